package resilience

import "sync/atomic"

// budget is the token bucket that retries and hedges draw on. It starts full with
// Burst tokens; each first attempt adds Ratio of a token, each repeat takes one.
// So the dependency gets at most (1 + Ratio) x first attempts + Burst attempts,
// whatever happens. A token whose repeat was refused before it started goes back.
//
// Tokens are counted in millionths, so that the bound is exact. Safe for
// concurrent use.
type budget struct {
	tokens, perFirst, size atomic.Int64
}

const token = 1_000_000

// configure sets the policy. Tokens in the bucket stay, as far as they fit.
func (b *budget) configure(p BudgetPolicy, first bool) {
	b.perFirst.Store(int64(p.Ratio * token))
	size := int64(p.Burst) * token
	b.size.Store(size)
	if first {
		b.tokens.Store(size)
		return
	}
	for {
		have := b.tokens.Load()
		if have <= size || b.tokens.CompareAndSwap(have, size) {
			return
		}
	}
}

// first adds what a first attempt earns. A full bucket costs one read.
func (b *budget) first() { b.add(b.perFirst.Load()) }

// take draws a token for a repeat.
func (b *budget) take() bool {
	for {
		have := b.tokens.Load()
		if have < token {
			return false
		}
		if b.tokens.CompareAndSwap(have, have-token) {
			return true
		}
	}
}

// putBack returns a token whose repeat did not start.
func (b *budget) putBack() { b.add(token) }

func (b *budget) add(n int64) {
	for {
		have, size := b.tokens.Load(), b.size.Load()
		if have >= size || b.tokens.CompareAndSwap(have, min(size, have+n)) {
			return
		}
	}
}

// left is the number of tokens in the bucket.
func (b *budget) left() float64 { return float64(b.tokens.Load()) / token }

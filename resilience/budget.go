package resilience

import "sync/atomic"

// Amplification is the most that retries and hedges together make of the load: n
// calls become at most Amplification x n + Budget.Burst attempts, whatever happens.
// It is 1 if no operation repeats, and 1 + Budget.Ratio otherwise.
//
// Of guards under one another each knows when the request is itself a repeat (the
// context of an attempt says so, and WithRetried across processes). It then neither
// repeats nor earns, so that layers add up and do not multiply: the lowest gets at
// most (1 + the sum of all ratios) x n + the sum of all bursts.
func (p Policy) Amplification() float64 { return 1 + p.Worst().Ratio }

// budget is the token bucket that retries and hedges draw on.
//
//	some ──(a first attempt that is not itself a repeat)──▶ Ratio more, up to Burst
//	at least one ──(a retry or hedge is due)──▶ one less
//	less than one ──(a retry or hedge is due)──▶ refused: the call ends with what it has
//	some ──(that retry or hedge did not start)──▶ one more
//
// It starts full with Burst tokens. Observed: attempts that started. Not observed:
// refusals, and how attempts end.
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

// isFull spares a call the look whether it earns anything.
func (b *budget) isFull() bool { return b.tokens.Load() >= b.size.Load() }

// first adds what a first attempt earns.
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

package resilience

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/backstay-go/backstay/resilience/internal/clock"
)

// Amplification is the factor by which retries and hedges may multiply the load: n
// calls become at most Amplification x n + Budget.Burst attempts, and Budget.PerSecond
// more for each second that passes, whatever happens. It is 1 if no operation repeats,
// and 1 + Budget.Ratio otherwise.
//
// Where guards are nested, each of them knows whether the request is itself a repeat:
// the context of an attempt carries that, and WithRetried passes it on across
// processes. For such a request a guard neither repeats nor earns tokens. So layers add
// up and do not multiply: the lowest dependency gets at most (1 + the sum of all
// ratios) x n + the sum of all bursts.
func (p Policy) Amplification() float64 { return 1 + p.Worst().Ratio }

// Budget is a token bucket that several guards share. It is meant for dependencies that
// have to bear repeats together, for example the shards of one store. Pass it to each
// guard with WithBudget. What the first attempts of one guard add, every guard may
// spend. It is safe for concurrent use, holds no resources and need not be closed. The
// zero value is not usable; call NewBudget.
type Budget struct {
	budget
	policy atomic.Pointer[BudgetPolicy] // defaults filled in
}

// NewBudget returns a full budget. Its error matches ErrPolicy.
func NewBudget(p BudgetPolicy) (*Budget, error) {
	b := &Budget{}
	b.open(nil)
	if err := b.set(p, true); err != nil {
		return nil, err
	}
	return b, nil
}

// Update changes the policy. The tokens stay in the bucket, as far as they fit. The
// amplification that each guard reports follows with the next update of that guard.
func (b *Budget) Update(p BudgetPolicy) error { return b.set(p, false) }

// Tokens returns the number of tokens in the bucket.
func (b *Budget) Tokens() float64 { return b.left() }

func (b *Budget) set(p BudgetPolicy, first bool) error {
	c := checker{}
	c.budget(p)
	if len(c.findings) > 0 {
		return fmt.Errorf("%w: %v", ErrPolicy, c.findings[0])
	}
	full := p.withDefaults()
	b.policy.Store(&full)
	b.configure(full, first)
	return nil
}

// WithBudget makes the guard use a budget that it shares with other guards. Then the
// guard's own policy must not have one.
func WithBudget(b *Budget) Option { return func(o *options) { o.budget = b } }

// budget is the token bucket that retries and hedges draw on.
//
//	some ──(a first attempt that is not itself a repeat)──▶ Ratio more, up to Burst
//	some ──(time passes)──▶ PerSecond more for each second, up to Burst
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
	clock *clock.Clock // nil: real time
	base  time.Time

	tokens, perFirst, size atomic.Int64
	perSecond              atomic.Int64
	accrued                atomic.Int64 // until when, as an offset from base in ns
}

const token = 1_000_000

func (b *budget) open(c *clock.Clock) { b.clock, b.base = c, c.Now() }

// configure sets the policy. Tokens in the bucket stay, as far as they fit.
func (b *budget) configure(p BudgetPolicy, first bool) {
	b.accrue()
	p = p.inForce()
	b.perFirst.Store(int64(p.Ratio * token))
	b.perSecond.Store(int64(p.PerSecond * token))
	b.accrued.Store(int64(b.clock.Since(b.base)))
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

// isFull lets a call skip adding tokens to a full bucket.
func (b *budget) isFull() bool { return b.tokens.Load() >= b.size.Load() }

// first adds the tokens that a first attempt earns.
func (b *budget) first() { b.add(b.perFirst.Load()) }

// accrue adds the tokens for the time that has passed since its last call.
func (b *budget) accrue() {
	rate := b.perSecond.Load()
	if rate == 0 {
		return
	}
	from, now := b.accrued.Load(), int64(b.clock.Since(b.base))
	gain := float64(now-from) / float64(time.Second) * float64(rate)
	switch size := b.size.Load(); {
	case gain < 1:
		return
	case gain >= float64(size):
		if b.accrued.CompareAndSwap(from, now) {
			b.add(size)
		}
	default:
		n := int64(gain)
		until := from + int64(float64(n)/float64(rate)*float64(time.Second))
		if b.accrued.CompareAndSwap(from, until) {
			b.add(n)
		}
	}
}

// take draws a token for a repeat.
func (b *budget) take() bool {
	b.accrue()
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

// left returns the number of tokens in the bucket.
func (b *budget) left() float64 {
	b.accrue()
	return float64(b.tokens.Load()) / token
}

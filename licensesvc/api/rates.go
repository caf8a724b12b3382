package api

import (
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/backstay-go/backstay/internal/lru"
)

// maxCallers bounds the callers whose rates are remembered.
const maxCallers = 10_000

// rates bounds the requests per second of each caller. It is safe for concurrent use.
type rates struct {
	perSecond float64
	mu        sync.Mutex
	callers   *lru.Cache[string, *rate.Limiter]
}

func newRates(perSecond float64) *rates {
	return &rates{perSecond: perSecond, callers: lru.New[string, *rate.Limiter](lru.Bounds{Entries: maxCallers}, nil)}
}

// take returns zero if a caller may make a request now, or how long it must wait.
func (l *rates) take(caller string, now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	bucket, ok := l.callers.Get(caller)
	if !ok {
		bucket = rate.NewLimiter(rate.Limit(l.perSecond), int(math.Ceil(2*l.perSecond)))
		l.callers.Put(caller, bucket, 0, time.Time{}, time.Time{})
	}
	r := bucket.ReserveN(now, 1)
	wait := r.DelayFrom(now)
	if wait > 0 {
		r.CancelAt(now)
	}
	return wait
}

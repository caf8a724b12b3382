package rest

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/backstay-go/backstay/resilience"
)

// breakerWatch notices that a breaker has opened. Then idle connections are closed, so that
// the probes that follow do not use connections from before the failure.
type breakerWatch struct {
	// last is the latest refusal of an open breaker. Each open period has a different
	// one.
	last atomic.Pointer[resilience.Refusal]
}

// isNew reports whether an error is the first refusal that was seen of an open period.
func (w *breakerWatch) isNew(err error) bool {
	if err == nil {
		return false
	}
	var refusal *resilience.Refusal
	return errors.As(err, &refusal) && refusal.By == resilience.ErrOpen && time.Now().Before(refusal.Until) &&
		w.last.Swap(refusal) != refusal
}

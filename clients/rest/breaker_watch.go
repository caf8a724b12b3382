package rest

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/backstay-go/backstay/resilience"
)

// breakerWatch notices that a breaker has opened. Then idle connections are closed: what
// comes after should not begin with connections from before.
type breakerWatch struct {
	// last is the refusal of the newest open period that was met: there is one a period.
	last atomic.Pointer[resilience.Refusal]
}

// isNew says whether an error is the first refusal that is met of an open period.
func (w *breakerWatch) isNew(err error) bool {
	if err == nil {
		return false
	}
	var refusal *resilience.Refusal
	return errors.As(err, &refusal) && refusal.By == resilience.ErrOpen && time.Now().Before(refusal.Until) &&
		w.last.Swap(refusal) != refusal
}

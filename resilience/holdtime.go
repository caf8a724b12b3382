package resilience

import (
	"sync/atomic"
	"time"
)

// holdTime estimates how long permits are held, in ns. It is a moving average in which
// one permit counts for at most longHold times the average so far. So a single permit
// that was held for minutes (a body that is read slowly, a call that hung) does not
// make the next calls look late, but many such permits do. Zero: unknown. Safe for
// concurrent use.
type holdTime struct{ atomic.Int64 }

const longHold = 4

// observe adds to the average. Of two calls at the same time one may be lost, because
// this is an estimate.
func (h *holdTime) observe(held int64) {
	old := h.Load()
	if old == 0 {
		h.Store(max(1, held))
		return
	}
	h.Store(max(1, old+(min(held, longHold*(old+holdStep))-old)/8))
}

// holdStep lets an average that is almost zero grow.
const holdStep = int64(100 * time.Microsecond)

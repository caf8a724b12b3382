package resilience

import (
	"sync/atomic"
	"time"
)

// holdTime estimates how long permits are held, in ns: a moving average in which one
// permit counts for at most longHold times the average so far. A single one that was
// held for minutes (a body that is read slowly, a call that hung) does not make the
// next calls look as if they would be late; many of them do. Zero: unknown. Safe for
// concurrent use.
type holdTime struct{ atomic.Int64 }

const longHold = 4

// observe moves the average. Of two calls at once one may be lost: it is an estimate.
func (h *holdTime) observe(held int64) {
	old := h.Load()
	if old == 0 {
		h.Store(max(1, held))
		return
	}
	h.Store(max(1, old+(min(held, longHold*(old+holdStep))-old)/8))
}

// holdStep lets an average of next to nothing grow.
const holdStep = int64(100 * time.Microsecond)

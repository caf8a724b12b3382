package cqlproxy

import (
	"time"

	"github.com/backstay-go/backstay/chaos"
)

// hang holds a request, or its answer, until the fault ends.
type hang struct{ noEffect }

func (hang) lasts(chaos.Fault) time.Duration { return chaos.MaxTTL }

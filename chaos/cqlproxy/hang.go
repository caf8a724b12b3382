package cqlproxy

import (
	"time"

	"github.com/backstay-go/backstay/chaos"
)

// hang holds a request, or its answer, as long as it lasts.
type hang struct{ noEffect }

func (hang) lasts(chaos.Fault) time.Duration { return chaos.MaxTTL }

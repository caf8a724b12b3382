package record_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/backstay-go/backstay/resilience"
	"github.com/backstay-go/backstay/resilience/record"
)

// TestEachRefusalHasACauseOfItsOwn, which a reader gets back.
func TestEachRefusalHasACauseOfItsOwn(t *testing.T) {
	down := func(context.Context) (int, error) { return 0, errors.New("down") }
	for want, c := range map[record.Cause]struct {
		kind   error
		change func(*resilience.Policy)
	}{
		record.Open: {resilience.ErrOpen, func(p *resilience.Policy) {
			p.Breaker = &resilience.BreakerPolicy{Mode: resilience.BreakerForcedOpen}
		}},
		record.RateLimited: {resilience.ErrRateLimited, func(p *resilience.Policy) {
			p.RateLimit = &resilience.RateLimitPolicy{PerSecond: 1e-6, Burst: 1}
		}},
		record.Throttled: {resilience.ErrThrottled, func(p *resilience.Policy) { p.Throttle = &resilience.ThrottlePolicy{K: 1} }},
	} {
		p := resilience.Policy{Name: "dep", Bulkhead: resilience.BulkheadPolicy{Limit: 1}, Default: resilience.OperationPolicy{Timeout: time.Minute}}
		c.change(&p)
		g, err := resilience.New(p)
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		for range 1000 {
			if _, err = resilience.Do(t.Context(), g, down); errors.Is(err, c.kind) {
				break
			}
		}
		var file bytes.Buffer
		w, failed := record.NewWriter(&file, record.Options{})
		if failed != nil {
			t.Fatal(failed)
		}
		ctx := w.Handle(t.Context(), resilience.Event{Kind: resilience.CallStarted, Dependency: "dep", Operation: "default"})
		w.Handle(ctx, resilience.Event{Kind: resilience.CallEnded, Dependency: "dep", Operation: "default", Err: err})
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		read, failed := record.ReadAll(&file)
		if failed != nil || len(read.Calls) != 1 || read.Calls[0].Cause != want {
			t.Errorf("%v became %+v, %v; want the cause %s", err, read.Calls, failed, want)
		}
	}
}

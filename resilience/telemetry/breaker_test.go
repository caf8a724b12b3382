package telemetry_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backstay-go/backstay/resilience"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// TestACircuitThatClosedForgetsWhatOpenedIt: when an operator opens it later, a refusal does
// not lead to a failure that has long been over.
func TestACircuitThatClosedForgetsWhatOpenedIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy()
		p.Breaker = &resilience.BreakerPolicy{MinimumCalls: 2, Probes: 1, Jitter: -1}
		r := newRig(t, p, sdktrace.AlwaysSample())
		for range 2 {
			if _, err := resilience.Do(t.Context(), r.guard, failing(1)); !errors.Is(err, errDown) {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Until(r.guard.Snapshot().OpenUntil))
		synctest.Wait()
		if _, err := resilience.Do(t.Context(), r.guard, answer); err != nil || r.guard.Snapshot().Breaker != resilience.BreakerClosed {
			t.Fatal(err, r.guard.Snapshot().Breaker)
		}
		if err := r.guard.Force(resilience.BreakerForcedOpen); err != nil {
			t.Fatal(err)
		}
		if _, err := resilience.Do(t.Context(), r.guard, answer); !errors.Is(err, resilience.ErrOpen) {
			t.Fatal(err)
		}
		calls := r.named("catalog/default")
		if links := calls[len(calls)-1].Links(); len(links) != 0 {
			t.Errorf("links %v; want none", links)
		}
	})
}

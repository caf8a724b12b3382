package dashboard_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/backstay-go/backstay/licensesvc/dashboard"
	"github.com/backstay-go/backstay/resilience"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRecorderKeepsSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r dashboard.Recorder
		for second := range 300 {
			for range 10 {
				r.Handle(t.Context(), resilience.Event{Kind: resilience.CallEnded, Dependency: "catalog", Took: 20 * time.Millisecond})
			}
			if second%2 == 0 {
				r.Handle(t.Context(), resilience.Event{Kind: resilience.CallEnded, Dependency: "catalog", Source: resilience.Stale, Took: time.Second})
				r.Handle(t.Context(), resilience.Event{Kind: resilience.CallEnded, Dependency: "catalog", Err: errors.New("x")})
				r.Handle(t.Context(), resilience.Event{Kind: resilience.Refused, Dependency: "catalog"})
			}
			time.Sleep(time.Second)
		}
		h := r.History("catalog", time.Now(), 1000)
		if len(h) != dashboard.Seconds-1 {
			t.Fatalf("%d seconds", len(h))
		}
		for i, m := range h {
			want := dashboard.Moment{Calls: 10}
			if m.At%2 == 0 {
				want = dashboard.Moment{Calls: 12, Failed: 1, Refused: 1}
			}
			if m.Calls != want.Calls || m.Failed != want.Failed || m.Refused != want.Refused || m.Sources["live"] != 10 || m.Sources["stale"] != want.Failed {
				t.Fatalf("second %d: %+v", i, m)
			}
			if m.P50ms < 18 || m.P50ms > 22 || want.Failed == 1 && (m.P99ms < 900 || m.P99ms > 1200) {
				t.Fatalf("latencies: %+v", m)
			}
			if i > 0 && m.At != h[i-1].At+1 {
				t.Fatal("a second is missing")
			}
		}
		time.Sleep(time.Hour)
		for _, m := range r.History("catalog", time.Now(), 90) {
			if m.Calls != 0 {
				t.Fatalf("an old second came back: %+v", m)
			}
		}
		if h := r.History("never seen", time.Now(), 3); len(h) != 3 || h[0].Calls != 0 {
			t.Errorf("unknown dependency: %+v", h)
		}
	})
}

func TestRecorderBoundsChanges(t *testing.T) {
	var r dashboard.Recorder
	for i := range 700 {
		r.Handle(t.Context(), resilience.Event{Kind: resilience.BreakerChanged, Dependency: "d", From: resilience.BreakerClosed, To: resilience.BreakerOpen, Err: fmt.Errorf("cause %d", i)})
	}
	changes, dropped := r.Changes()
	if len(changes) != 500 || dropped != 200 || changes[0].Why != "cause 200" || changes[499].Why != "cause 699" {
		t.Errorf("%d kept, %d dropped, first %q", len(changes), dropped, changes[0].Why)
	}
}

func TestConcurrentSafe(t *testing.T) {
	var r dashboard.Recorder
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for range 200 {
				r.Handle(t.Context(), resilience.Event{Kind: resilience.CallEnded, Dependency: fmt.Sprint(w % 3), Took: time.Duration(w) * time.Millisecond})
				r.Handle(t.Context(), resilience.Event{Kind: resilience.BreakerChanged, Dependency: "d"})
				r.History("1", time.Now(), 10)
				r.Changes()
				r.Names()
			}
		})
	}
	wg.Wait()
	if len(r.Names()) != 3 {
		t.Errorf("names: %v", r.Names())
	}
}

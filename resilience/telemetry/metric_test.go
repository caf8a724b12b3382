package telemetry_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backstay-go/backstay/resilience"
	"github.com/backstay-go/backstay/resilience/telemetry"
	"github.com/backstay-go/backstay/resilience/telemetry/bound"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// flat makes "name{attributes}" → value: a counter's or gauge's value, a
// histogram's count.
func flat(t *testing.T, all map[string]metricdata.Metrics) map[string]float64 {
	t.Helper()
	found := map[string]float64{}
	put := func(name string, set attribute.Set, v float64) {
		found[name+"{"+set.Encoded(attribute.DefaultEncoder())+"}"] = v
	}
	for name, m := range all {
		switch d := m.Data.(type) {
		case metricdata.Histogram[float64]:
			for _, p := range d.DataPoints {
				put(name, p.Attributes, float64(p.Count))
			}
		case metricdata.Sum[int64]:
			for _, p := range d.DataPoints {
				put(name, p.Attributes, float64(p.Value))
			}
		case metricdata.Gauge[int64]:
			for _, p := range d.DataPoints {
				put(name, p.Attributes, float64(p.Value))
			}
		case metricdata.Gauge[float64]:
			for _, p := range d.DataPoints {
				put(name, p.Attributes, p.Value)
			}
		default:
			t.Fatalf("%s is %T", name, d)
		}
	}
	return found
}

// TestEveryMetric takes a guard through every way out and holds the whole page, which
// is the same in whichever way the histograms are made.
func TestEveryMetric(t *testing.T) {
	t.Run("the meter's", func(t *testing.T) { everyMetric(t, func() *bound.Histograms { return nil }) })
	t.Run("bound", func(t *testing.T) { everyMetric(t, bound.New) })
}

func everyMetric(t *testing.T, histograms func() *bound.Histograms) {
	synctest.Test(t, func(t *testing.T) {
		p := policy()
		p.Breaker = &resilience.BreakerPolicy{MinimumCalls: 5, OpenFor: time.Minute}
		p.Default.Stale = &resilience.StalePolicy{MaxAge: time.Hour}
		r := newRigWith(t, p, sdktrace.NeverSample(), histograms())
		last := resilience.NewLastGood[int](1)
		do := func(on resilience.Caller, fails int, opts ...resilience.CallOption[int]) error {
			_, err := resilience.Do(t.Context(), on, failing(fails), opts...)
			return err
		}
		plan := r.guard.Operation("plan")
		must(t, do(plan, 1))                                         // a retry
		must(t, do(r.guard, 0, last.For("k")))                       // live, remembered
		must(t, do(r.guard, 1, last.For("k")))                       // stale
		must(t, do(r.guard, 1, resilience.FallbackValue(1)))         // static; the breaker opens at 3 of 5
		if err := do(plan, 0); !errors.Is(err, resilience.ErrOpen) { // refused
			t.Fatal(err)
		}
		p.Breaker.Mode = resilience.BreakerDisabled
		must(t, r.guard.Update(p))
		want := map[string]float64{
			"backstay.call.duration{backstay.dependency=catalog,backstay.operation=default,backstay.source=live}":                                               1,
			"backstay.call.duration{backstay.dependency=catalog,backstay.operation=default,backstay.source=stale}":                                              1,
			"backstay.call.duration{backstay.dependency=catalog,backstay.operation=default,backstay.source=static}":                                             1,
			"backstay.call.duration{backstay.dependency=catalog,backstay.operation=plan,backstay.source=live}":                                                  1,
			"backstay.call.duration{backstay.dependency=catalog,backstay.operation=plan,error.type=refused.breaker}":                                            1,
			"backstay.attempt.duration{backstay.attempt.outcome=failure,backstay.attempt.type=original,backstay.dependency=catalog,backstay.operation=plan}":    1,
			"backstay.attempt.duration{backstay.attempt.outcome=success,backstay.attempt.type=retry,backstay.dependency=catalog,backstay.operation=plan}":       1,
			"backstay.attempt.duration{backstay.attempt.outcome=success,backstay.attempt.type=original,backstay.dependency=catalog,backstay.operation=default}": 1,
			"backstay.attempt.duration{backstay.attempt.outcome=failure,backstay.attempt.type=original,backstay.dependency=catalog,backstay.operation=default}": 2,
			"backstay.backoff.duration{backstay.dependency=catalog,backstay.operation=plan}":                                                                    1,
			"backstay.value.age{backstay.dependency=catalog,backstay.operation=default,backstay.source=stale}":                                                  1,
			"backstay.refusals{backstay.dependency=catalog,backstay.operation=plan,backstay.refused.by=breaker}":                                                1,
			"backstay.breaker.transitions{backstay.breaker.state=open,backstay.dependency=catalog}":                                                             1,
			"backstay.breaker.transitions{backstay.breaker.state=closed,backstay.dependency=catalog}":                                                           1,
			"backstay.policy.updates{backstay.dependency=catalog}":                                                                                              1,
			"backstay.breaker.state{backstay.breaker.state=closed,backstay.dependency=catalog}":                                                                 1,
			"backstay.breaker.state{backstay.breaker.state=half-open,backstay.dependency=catalog}":                                                              0,
			"backstay.breaker.state{backstay.breaker.state=open,backstay.dependency=catalog}":                                                                   0,
			"backstay.breaker.window{backstay.breaker.window.kind=all,backstay.dependency=catalog}":                                                             0,
			"backstay.breaker.window{backstay.breaker.window.kind=failed,backstay.dependency=catalog}":                                                          0,
			"backstay.breaker.window{backstay.breaker.window.kind=slow,backstay.dependency=catalog}":                                                            0,
			"backstay.bulkhead.in_flight{backstay.dependency=catalog}":                                                                                          0,
			"backstay.bulkhead.waiting{backstay.dependency=catalog}":                                                                                            0,
			"backstay.bulkhead.limit{backstay.dependency=catalog}":                                                                                              2,
			"backstay.bulkhead.share.keys{backstay.dependency=catalog}":                                                                                         0,
			"backstay.bulkhead.share.largest{backstay.dependency=catalog}":                                                                                      0,
			"backstay.throttle.refused{backstay.dependency=catalog}":                                                                                            0,
			"backstay.amplification.bound{backstay.dependency=catalog}":                                                                                         1.2,
			"backstay.budget.tokens{backstay.dependency=catalog}":                                                                                               9.8,
			"backstay.panics{backstay.dependency=catalog,backstay.panic.of=call}":                                                                               0,
			"backstay.panics{backstay.dependency=catalog,backstay.panic.of=listener}":                                                                           0,
		}
		got := flat(t, r.metrics(t))
		delete(got, "backstay.budget.tokens{backstay.dependency=catalog}") // its arithmetic is the budget's test
		delete(want, "backstay.budget.tokens{backstay.dependency=catalog}")
		for _, key := range slices.Sorted(maps.Keys(want)) {
			if v, ok := got[key]; !ok || v != want[key] {
				t.Errorf("%s is %v (there: %v), want %v", key, v, ok, want[key])
			}
			delete(got, key)
		}
		for _, key := range slices.Sorted(maps.Keys(got)) {
			t.Errorf("%s = %v is not expected", key, got[key])
		}
	})
}

// TestSharesAndThrottleAreGauges: what one operation holds, and the share that the throttle
// refuses, are seen while they are.
func TestSharesAndThrottleAreGauges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy()
		p.Bulkhead = resilience.BulkheadPolicy{Limit: 4, MaxShare: 0.5}
		p.Throttle, p.Default.Retry = &resilience.ThrottlePolicy{Window: time.Hour}, nil
		r := newRig(t, p, sdktrace.NeverSample())
		one, err := resilience.Acquire(t.Context(), r.guard)
		must(t, err)
		defer one.Done(nil)
		for range 100 {
			_, _ = resilience.Do(t.Context(), r.guard, failing(1))
		}
		got := flat(t, r.metrics(t))
		for name, least := range map[string]float64{"bulkhead.share.keys": 1, "bulkhead.share.largest": 1, "throttle.refused": 0.5} {
			if v := got["backstay."+name+"{backstay.dependency=catalog}"]; v < least || v > 1 {
				t.Errorf("%s is %v, want %v to 1", name, v, least)
			}
		}
	})
}

func TestWaitIsMeasuredInSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy()
		p.Bulkhead.Limit = 1
		r := newRig(t, p, sdktrace.NeverSample())
		release := make(chan struct{})
		done := make(chan error, 1)
		go func() {
			_, err := resilience.Do(t.Context(), r.guard, func(context.Context) (int, error) { <-release; return 1, nil })
			done <- err
		}()
		synctest.Wait()
		time.AfterFunc(250*time.Millisecond, func() { close(release) })
		_, err := resilience.Do(t.Context(), r.guard, failing(0))
		must(t, err)
		must(t, <-done)
		h := r.metrics(t)["backstay.wait.duration"].Data.(metricdata.Histogram[float64])
		if len(h.DataPoints) != 1 || h.DataPoints[0].Sum != 0.25 {
			t.Errorf("waits %+v", h.DataPoints)
		}
	})
}

func TestCardinalityIsBounded(t *testing.T) {
	reader := metric.NewManualReader()
	tel, err := telemetry.New(telemetry.Config{MeterProvider: metric.NewMeterProvider(metric.WithReader(reader)), MaxOperations: 10})
	must(t, err)
	defer func() { must(t, tel.Close()) }()
	for i := range 1000 {
		e := resilience.Event{Kind: resilience.CallEnded, Dependency: fmt.Sprintf("host-%d", i), Operation: "default"}
		tel.Handle(t.Context(), e)
	}
	var all metricdata.ResourceMetrics
	must(t, reader.Collect(t.Context(), &all))
	points := map[string]metricdata.Metrics{}
	for _, m := range all.ScopeMetrics[0].Metrics {
		points[m.Name] = m
	}
	got := flat(t, points)
	if len(got) != 11 || got["backstay.call.duration{backstay.dependency=_OTHER,backstay.operation=_OTHER,backstay.source=live}"] != 990 {
		t.Errorf("%d series: %v", len(got), got)
	}
}

func TestWatchRefusesTwoGuardsOfOneName(t *testing.T) {
	r := newRig(t, policy(), sdktrace.NeverSample())
	twin, err := resilience.New(policy())
	must(t, err)
	defer func() { must(t, twin.Close()) }()
	must(t, r.tel.Watch(r.guard)) // again is fine
	if err := r.tel.Watch(twin); !errors.Is(err, telemetry.ErrConfig) || !strings.Contains(err.Error(), `"catalog"`) {
		t.Errorf("error %v", err)
	}
	if err := r.tel.Watch(nil); !errors.Is(err, telemetry.ErrConfig) {
		t.Errorf("Watch(nil): %v", err)
	}
	r.tel.Unwatch(r.guard)
	must(t, r.tel.Watch(twin))
	r.tel.Unwatch(twin)
	if _, ok := r.metrics(t)["backstay.bulkhead.limit"]; ok {
		t.Error("gauges of guards that nobody watches")
	}
}

func TestZeroValueMakesNothing(t *testing.T) {
	var tel telemetry.Telemetry
	g, err := resilience.New(policy(), resilience.WithListener(&tel))
	must(t, err)
	defer func() { must(t, g.Close()) }()
	_, err = resilience.Do(t.Context(), g, failing(0))
	must(t, err)
	must(t, tel.Watch(g))
	must(t, tel.Close())
	if n := g.Snapshot().ListenerPanics; n != 0 {
		t.Errorf("%d panics", n)
	}
}

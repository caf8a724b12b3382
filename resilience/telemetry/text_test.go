package telemetry_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/backstay-go/backstay/resilience"
	"github.com/backstay-go/backstay/resilience/telemetry"
)

// wordy is an error whose every text comes from outside.
type wordy string

func (w wordy) Error() string     { return string(w) }
func (w wordy) ErrorType() string { return string(w) }

// takeAllWays takes a guard through its ways out, with a name and an error's text.
func takeAllWays(t *testing.T, r *rig, text string) {
	t.Helper()
	down := func(context.Context) (int, error) { return 0, wordy(text) }
	plan := r.guard.Operation("plan")
	_, _ = resilience.Do(t.Context(), plan, down)                                   // with a retry
	_, _ = resilience.Do(t.Context(), r.guard, down, resilience.FallbackValue(1))   // a fallback
	_, _ = resilience.Do(t.Context(), r.guard, func(context.Context) (int, error) { // an inner guard's refusal
		return 0, &resilience.Refusal{Dependency: text, By: resilience.ErrOpen}
	})
	func() {
		defer func() { _ = recover() }()
		_, _ = resilience.Do(t.Context(), r.guard, func(context.Context) (int, error) { panic(text) })
	}()
	for range 10 { // the breaker opens, and refuses
		_, _ = resilience.Do(t.Context(), r.guard, down)
	}
}

func wordyPolicy(name string) resilience.Policy {
	p := policy()
	p.Name = name
	p.Breaker = &resilience.BreakerPolicy{MinimumCalls: 5}
	p.Operations["plan"].Retry.BaseDelay = 1
	return p
}

// FuzzTextsAreUTF8: whatever names and errors are, each text of each span and metric is
// valid UTF-8. One that is not would cost the whole batch.
func FuzzTextsAreUTF8(f *testing.F) {
	f.Add("caf\xe9", "d\xe9p\xf4t")
	f.Add("", "\xff")
	f.Add("…", "…")
	long := make([]byte, 0, 1000)
	for range 300 {
		long = append(long, "€"...)
	}
	f.Add(string(long), "long")
	f.Add(string(long[:499])+"\xe2", "cut")
	f.Fuzz(func(t *testing.T, text, name string) {
		if _, err := resilience.New(wordyPolicy(name)); err != nil {
			name = "catalog"
		}
		r := newRig(t, wordyPolicy(name), sdktrace.AlwaysSample())
		takeAllWays(t, r, text)
		set := func(where string, attributes []attribute.KeyValue) {
			for _, a := range attributes {
				if !utf8.ValidString(string(a.Key)) || !utf8.ValidString(a.Value.String()) {
					t.Errorf("%s: %s is %q", where, a.Key, a.Value.String())
				}
			}
		}
		for _, s := range r.spans.Ended() {
			if !utf8.ValidString(s.Name()) || !utf8.ValidString(s.Status().Description) {
				t.Errorf("%q: %q", s.Name(), s.Status().Description)
			}
			set(s.Name(), s.Attributes())
			for _, e := range s.Events() {
				set(s.Name()+" "+e.Name, e.Attributes)
			}
			for _, l := range s.Links() {
				set(s.Name()+" link", l.Attributes)
			}
		}
		for key := range flat(t, r.metrics(t)) {
			if !utf8.ValidString(key) {
				t.Errorf("metric %q", key)
			}
		}
	})
}

// TestABatchIsExportedWhateverTheTexts: one bad text costs no other span.
func TestABatchIsExportedWhateverTheTexts(t *testing.T) {
	var posts atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { posts.Add(1) }))
	defer s.Close()
	exporter, err := otlptracehttp.New(t.Context(), otlptracehttp.WithEndpointURL(s.URL))
	must(t, err)
	r := newRig(t, wordyPolicy("caf\xe9"), sdktrace.AlwaysSample())
	takeAllWays(t, r, "d\xe9p\xf4t")
	must(t, exporter.ExportSpans(t.Context(), r.spans.Ended()))
	must(t, exporter.Shutdown(t.Context()))
	if posts.Load() != 1 {
		t.Errorf("%d posts", posts.Load())
	}
}

// TestAnInnerGuardsRefusalIsNotTheOuters: the outer guard's call ran and failed.
func TestAnInnerGuardsRefusalIsNotTheOuters(t *testing.T) {
	for _, by := range []error{resilience.ErrOpen, resilience.ErrFull, resilience.ErrRateLimited, resilience.ErrClosed} {
		r := newRig(t, policy(), sdktrace.AlwaysSample())
		_, err := resilience.Do(t.Context(), r.guard, func(context.Context) (int, error) {
			return 0, &resilience.Refusal{Dependency: "inner", By: by}
		})
		if !errors.Is(err, by) {
			t.Fatal(err)
		}
		if got := flat(t, r.metrics(t))["backstay.call.duration{backstay.dependency=catalog,backstay.operation=default,error.type=refused.inner}"]; got != 1 {
			t.Errorf("%v: %v calls are counted as refused further in", by, got)
		}
		wantAttributes(t, r.one(t, "catalog/default"), map[attribute.Key]string{"error.type": "refused.inner", telemetry.RefusedByKey: ""})
	}
}

// TestACallsErrorIsCountedByWhatItMeans: an answer that is merely unwelcome is no error of
// the dependency's, and an objective can leave it out.
func TestACallsErrorIsCountedByWhatItMeans(t *testing.T) {
	for want, verdict := range map[string]resilience.Verdict{
		"ignored":  {Outcome: resilience.Ignored, Repeat: resilience.RepeatNever},
		"overload": {Outcome: resilience.Overload},
		"_OTHER":   {Outcome: resilience.Failure},
	} {
		r := newRig(t, policy(), sdktrace.NeverSample())
		_, _ = resilience.Do(t.Context(), r.guard, func(context.Context) (int, error) {
			return 0, judged{errDown, verdict}
		})
		if got := flat(t, r.metrics(t))["backstay.call.duration{backstay.dependency=catalog,backstay.operation=default,error.type="+want+"}"]; got != 1 {
			t.Errorf("%s: %v", want, flat(t, r.metrics(t)))
		}
	}
}

// TestEveryInstrumentIsBounded: of a hundred dependencies twenty are distinguished, in each
// metric, and the gauges of the others are their sums. Changes of breakers and policies,
// which belong to no operation, use up no pairs.
func TestEveryInstrumentIsBounded(t *testing.T) {
	const bound, guards = 20, 100
	r := newRigBounded(t, bound)
	for i := range guards {
		p := wordyPolicy(string(rune('a'+i%26)) + string(rune('a'+i/26)))
		g, err := resilience.New(p, resilience.WithListener(r.tel))
		must(t, err)
		defer g.Close()
		must(t, r.tel.Watch(g))
		must(t, g.Update(p))
		for range 10 {
			_, _ = resilience.Do(t.Context(), g, failing(1))
		}
	}
	limits := 0.0
	for name, m := range r.metrics(t) {
		dependencies := map[string]bool{}
		visit(m, func(set attribute.Set, value float64) {
			v, _ := set.Value(telemetry.DependencyKey)
			dependencies[v.AsString()] = true
			if name == "backstay.bulkhead.limit" {
				limits += value
			}
		})
		if len(dependencies) != bound+1 {
			t.Errorf("%s tells %d dependencies apart, want %d and the others", name, len(dependencies), bound)
		}
	}
	if limits != 2*guards {
		t.Errorf("the limits' sum is %v, want %d", limits, 2*guards)
	}
}

func visit(m metricdata.Metrics, each func(attribute.Set, float64)) {
	switch d := m.Data.(type) {
	case metricdata.Histogram[float64]:
		for _, p := range d.DataPoints {
			each(p.Attributes, p.Sum)
		}
	case metricdata.Sum[int64]:
		for _, p := range d.DataPoints {
			each(p.Attributes, float64(p.Value))
		}
	case metricdata.Gauge[int64]:
		for _, p := range d.DataPoints {
			each(p.Attributes, float64(p.Value))
		}
	case metricdata.Gauge[float64]:
		for _, p := range d.DataPoints {
			each(p.Attributes, p.Value)
		}
	}
}

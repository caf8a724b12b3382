package tracetest_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/backstay-go/backstay/resilience/resiliencetest/tracetest"
)

// failing is a test that records how it fails.
type failing struct {
	testing.TB
	said []string
}

func (f *failing) Helper() {}

func (f *failing) Errorf(format string, args ...any) {
	f.said = append(f.said, fmt.Sprintf(format, args...))
}

func (f *failing) Fatalf(format string, args ...any) {
	f.Errorf(format, args...)
	runtime.Goexit()
}

// said returns what a check says when it fails, or nothing.
func said(t *testing.T, check func(testing.TB)) string {
	f := &failing{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		check(f)
	}()
	<-done
	return strings.Join(f.said, "\n")
}

// TestEveryAssertionCanFail: each passes on the trace as it is, and fails with a text that says
// what is there instead.
func TestEveryAssertionCanFail(t *testing.T) {
	spans, err := degraded()
	if err != nil {
		t.Fatal(err)
	}
	trace := tracetest.Of(t, spans, "GET /plan")
	call := trace.One(t, "catalog/plan")
	const attempt, pause, fell = "catalog/plan attempt", "catalog/plan backoff", "backstay.fell_back"
	for _, tt := range []struct {
		name  string
		check func(testing.TB)
		want  string // part of the failure; empty: it passes
	}{
		{"two attempts, then the fallback", func(tb testing.TB) { call.WantOrder(tb, attempt, attempt, fell) }, ""},
		{"with the pause", func(tb testing.TB) { call.WantOrder(tb, attempt, pause, attempt) }, ""},
		{"nothing asked", func(tb testing.TB) { call.WantOrder(tb) }, ""},
		{"three attempts", func(tb testing.TB) { call.WantOrder(tb, attempt, attempt, attempt) }, `no "catalog/plan attempt" after`},
		{"the fallback first", func(tb testing.TB) { call.WantOrder(tb, fell, attempt) }, `no "catalog/plan attempt" after ["backstay.fell_back"]`},
		{"a child of another span", func(tb testing.TB) { trace.Roots[0].WantOrder(tb, attempt) }, "no "},
		{"an attribute", func(tb testing.TB) { call.Want(tb, "backstay.attempts=2", "error.type=") }, ""},
		{"another value", func(tb testing.TB) { call.Want(tb, "backstay.attempts=3") }, `backstay.attempts is "2", want "3"`},
		{"no attribute", func(tb testing.TB) { call.Want(tb, "backstay.attempts") }, "is not key=value"},
		{"an event", func(tb testing.TB) { call.Event(tb, fell).Want(tb, "backstay.source=static") }, ""},
		{"no such event", func(tb testing.TB) { call.Event(tb, "x") }, `0 events "x", want 1`},
		{"two of a name", func(tb testing.TB) { trace.One(tb, attempt) }, "2 spans"},
		{"no such trace", func(tb testing.TB) { tracetest.Of(tb, spans, "x") }, "0 traces with the root"},
	} {
		if got := said(t, tt.check); (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
			t.Errorf("%s: it says %q, want %q", tt.name, got, tt.want)
		}
	}
	if call.Parent != trace.Roots[0] || len(call.Children) != 3 || trace.ID == "" || len(tracetest.Traces(nil)) != 0 {
		t.Errorf("the tree is\n%s", trace)
	}
}

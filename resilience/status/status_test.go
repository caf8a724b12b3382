package status_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backstay-go/backstay/resilience"
	"github.com/backstay-go/backstay/resilience/status"
)

const token = "0123456789abcdef"

var errDown = errors.New("down")

func newStatus(t *testing.T, c status.Config) *status.Status {
	t.Helper()
	s, err := status.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newGuard(t *testing.T, name string, listeners ...resilience.Listener) *resilience.Guard {
	t.Helper()
	var options []resilience.Option
	for _, l := range listeners {
		options = append(options, resilience.WithListener(l))
	}
	g, err := resilience.New(resilience.Policy{
		Name: name, Bulkhead: resilience.BulkheadPolicy{Limit: 10},
		Breaker: &resilience.BreakerPolicy{MinimumCalls: 5},
		Default: resilience.OperationPolicy{Timeout: time.Second},
	}, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	return g
}

func fail(ctx context.Context, g *resilience.Guard, times int) {
	for range times {
		_, _ = resilience.Do(ctx, g, func(context.Context) (int, error) { return 0, errDown })
	}
}

func send(s *status.Status, method, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "/debug/guards", strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

// TestTheStateIsShown: snapshots, and what happened, equal events as one with a count.
func TestTheStateIsShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStatus(t, status.Config{})
		g := newGuard(t, "catalog", s)
		if err := s.Add(g); err != nil {
			t.Fatal(err)
		}
		fail(t.Context(), g, 30) // five of them open the breaker, and the others are refused
		synctest.Wait()
		var got struct {
			Guards []resilience.Snapshot `json:"guards"`
			Events []status.Event        `json:"events"`
		}
		w := send(s, "GET", "")
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 {
			t.Fatalf("%d %s: %v", w.Code, w.Body, err)
		}
		if len(got.Guards) != 1 || got.Guards[0].Breaker != resilience.BreakerOpen {
			t.Errorf("%+v", got.Guards)
		}
		var reported []string
		for _, e := range got.Events {
			reported = append(reported, fmt.Sprint(e.Kind, " ", e.Times, " ", e.To))
		}
		if want := "breaker_changed 1 open, refused 25 "; strings.Join(reported, ", ") != want {
			t.Errorf("%q, want %q", strings.Join(reported, ", "), want)
		}
		if got.Events[0].Error != "down" {
			t.Errorf("opened by %q", got.Events[0].Error)
		}
	})
}

// TestNothingIsChangedWithoutTheToken.
func TestNothingIsChangedWithoutTheToken(t *testing.T) {
	const force = `{"dependency":"catalog","action":"force","mode":"open"}`
	for _, c := range []struct {
		name, configured, method, body string
		header                         []string
		want                           int
	}{
		{"no token is configured", "", "POST", force, []string{"Authorization", "Bearer ", "Content-Type", "application/json"}, 403},
		{"none is given", token, "POST", force, nil, 401},
		{"an empty one is given", token, "POST", force, []string{"Authorization", "Bearer "}, 401},
		{"another is given", token, "POST", force, []string{"Authorization", "Bearer " + token + "0"}, 401},
		{"another scheme", token, "POST", force, []string{"Authorization", "Basic " + token}, 401},
		{"no JSON", token, "POST", force, []string{"Authorization", "Bearer " + token, "Content-Type", "text/plain"}, 415},
		{"another method", token, "DELETE", force, []string{"Authorization", "Bearer " + token}, 405},
		{"a body too large", token, "POST", `{"dependency":"` + strings.Repeat("x", 5000) + `"}`, valid, 400},
		{"an unknown field", token, "POST", `{"dependancy":"catalog"}`, valid, 400},
		{"two values", token, "POST", force + force, valid, 400},
		{"an unknown guard", token, "POST", `{"dependency":"other","action":"reset"}`, valid, 404},
		{"an unknown action", token, "POST", `{"dependency":"catalog","action":"break"}`, valid, 400},
		{"an unknown mode", token, "POST", `{"dependency":"catalog","action":"force","mode":"ajar"}`, valid, 400},
		{"force without a mode", token, "POST", `{"dependency":"catalog","action":"force"}`, valid, 400},
		{"reset with a mode", token, "POST", `{"dependency":"catalog","action":"reset","mode":"open"}`, valid, 400},
	} {
		s := newStatus(t, status.Config{Token: c.configured})
		g := newGuard(t, "catalog")
		if err := s.Add(g); err != nil {
			t.Fatal(err)
		}
		before := g.Snapshot()
		w := send(s, c.method, c.body, c.header...)
		var problem struct{ Title, Detail string }
		if err := json.Unmarshal(w.Body.Bytes(), &problem); w.Code != c.want || err != nil || problem.Detail == "" || w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %s", c.name, w.Code, w.Body)
		}
		if g.Snapshot() != before {
			t.Errorf("%s: the guard was changed", c.name)
		}
	}
}

var valid = []string{"Authorization", "Bearer " + token, "Content-Type", "application/json; charset=utf-8"}

// TestABreakerIsForcedAndReset, and the answer is what the guard is then.
func TestABreakerIsForcedAndReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStatus(t, status.Config{Token: token})
		g := newGuard(t, "catalog", s)
		if err := s.Add(g); err != nil {
			t.Fatal(err)
		}
		do := func(body string) resilience.BreakerState {
			w := send(s, "POST", body, valid...)
			var got resilience.Snapshot
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 {
				t.Fatalf("%s: %d %s, %v", body, w.Code, w.Body, err)
			}
			return got.Breaker
		}
		if got := do(`{"dependency":"catalog","action":"force","mode":"open"}`); got != resilience.BreakerOpen {
			t.Errorf("forced open: %v", got)
		}
		if got := do(`{"dependency":"catalog","action":"force","mode":"auto"}`); got != resilience.BreakerClosed {
			t.Errorf("taken back: %v", got)
		}
		fail(t.Context(), g, 10)
		if got := do(`{"dependency":"catalog","action":"reset"}`); got != resilience.BreakerClosed {
			t.Errorf("reset: %v", got)
		}
	})
}

// TestAClosedGuardIsNotChanged, and says so.
func TestAClosedGuardIsNotChanged(t *testing.T) {
	s, g := newStatus(t, status.Config{Token: token}), newGuard(t, "catalog")
	if err := errors.Join(s.Add(g), g.Close()); err != nil {
		t.Fatal(err)
	}
	for _, body := range []string{`{"dependency":"catalog","action":"reset"}`, `{"dependency":"catalog","action":"force","mode":"open"}`} {
		if w := send(s, "POST", body, valid...); w.Code != 409 {
			t.Errorf("%s: %d %s", body, w.Code, w.Body)
		}
	}
}

// TestTheRingIsBounded, and keeps the newest.
func TestTheRingIsBounded(t *testing.T) {
	s := newStatus(t, status.Config{Events: 5})
	for i := range 100 {
		s.Handle(t.Context(), resilience.Event{Kind: resilience.PolicyUpdated, Dependency: fmt.Sprint(i)})
	}
	got := s.Events()
	if len(got) != 5 || got[0].Dependency != "95" || got[4].Dependency != "99" {
		t.Errorf("%+v", got)
	}
}

// TestConcurrentSafe for the race detector.
func TestStatusConcurrentSafe(t *testing.T) {
	s := newStatus(t, status.Config{Token: token, Events: 3})
	var wg sync.WaitGroup
	for i := range 4 {
		g := newGuard(t, fmt.Sprint(i), s, status.NewLogger(slog.New(slog.NewTextHandler(io.Discard, nil))))
		wg.Go(func() {
			if err := s.Add(g); err != nil {
				t.Error(err)
			}
			fail(t.Context(), g, 20)
			send(s, "POST", `{"dependency":"0","action":"reset"}`, valid...)
			send(s, "GET", "")
			s.Remove(g)
		})
	}
	wg.Wait()
	if len(s.Snapshots()) != 0 {
		t.Error("a guard that was removed is shown")
	}
}

func TestBadConfiguration(t *testing.T) {
	for _, c := range []status.Config{{Token: "short"}, {Events: -1}, {Events: 1 << 20}} {
		if _, err := status.New(c); err == nil {
			t.Errorf("%+v is taken", c)
		}
	}
	s := newStatus(t, status.Config{})
	g, other := newGuard(t, "catalog"), newGuard(t, "catalog")
	if err := errors.Join(s.Add(g), s.Add(g)); err != nil {
		t.Error(err)
	}
	if s.Add(other) == nil || s.Add(nil) == nil {
		t.Error("a second guard of the name, or none, is taken")
	}
}

// TestALogHasALevelForEachEvent, and nothing of calls that went well.
func TestALogHasALevelForEachEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for level, want := range map[slog.Level][]string{
			slog.LevelWarn:  {`level=WARN msg="circuit breaker opened" dependency=catalog from=closed to=open error=down`},
			slog.LevelInfo:  {`level=WARN`, `level=INFO msg="policy updated" dependency=catalog`},
			slog.LevelDebug: {`level=DEBUG msg="call failed" dependency=catalog operation=default attempts=1 took=0s error=down`, `level=WARN`, `msg="call refused"`, `msg="fallback served" dependency=catalog operation=default source=static`, `level=INFO`},
		} {
			var text bytes.Buffer
			log := slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: level}))
			g := newGuard(t, "catalog", status.NewLogger(log))
			_, _ = resilience.Do(t.Context(), g, func(context.Context) (int, error) { return 1, nil })
			fail(t.Context(), g, 10)
			_, _ = resilience.Do(t.Context(), g, func(context.Context) (int, error) { return 0, errDown }, resilience.FallbackValue(1))
			if err := g.Update(g.Policy()); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			rest := text.String()
			for _, line := range want {
				_, after, found := strings.Cut(rest, line)
				if !found {
					t.Errorf("%v: no %q in\n%s", level, line, text.String())
					break
				}
				rest = after
			}
			if level == slog.LevelWarn && strings.Count(text.String(), "\n") != 1 {
				t.Errorf("warnings:\n%s", text.String())
			}
		}
	})
	var none *status.Logger
	none.Handle(t.Context(), resilience.Event{Kind: resilience.PolicyUpdated})
	status.NewLogger(nil).Handle(t.Context(), resilience.Event{Kind: resilience.PolicyUpdated})
}

var _ http.Handler = (*status.Status)(nil)

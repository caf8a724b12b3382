package rest_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/backstay-go/backstay/clients/rest"
	"github.com/backstay-go/backstay/clients/rest/cache"
	"github.com/backstay-go/backstay/resilience"
)

// ending is one way in which a request can end, and what follows from it whatever the
// protocol is and however the call is made.
type ending struct {
	name string
	// answer is the server's handler, and frames a server of HTTP/2 in its place.
	answer http.HandlerFunc
	frames func(c net.Conn, stream uint32, n int64)
	// base stands between the guard and the network. Nil: nothing does.
	base func(http.RoundTripper) http.RoundTripper
	// policy changes the guard's, open forces its breaker open.
	policy func(*resilience.OperationPolicy)
	open   bool
	// patience is the caller's deadline; leaves is when it cancels. Zero: never.
	patience, leaves time.Duration
	// upload is the body of a POST, in the two ways in which it is sent. Nil: a GET.
	upload func(release <-chan struct{}) (io.Reader, int64)
	// change and in are the request where it is not a GET of "/".
	change func(*http.Request)
	in     *rest.Request
	// waits: the caller does not read the answer until the timeout is over.
	waits bool
	// modes that the ending applies to. Empty: all.
	modes string

	// none: the request never becomes an attempt.
	none    bool
	outcome resilience.Outcome // of the attempt
	// inBody: a Transport's attempt has ended as a success, before its body did; the
	// breaker learns it later. answers: it may have been answered well before the ending.
	inBody, answers bool
	shrinks         bool // an adaptive limit
	fallback        bool // stands in
	// noStale: a cache has none for it, by RFC 5861, or because the answer has begun.
	noStale bool
}

const (
	patient   = 20 * time.Second
	shortTime = 150 * time.Millisecond
	enough    = 400 * time.Millisecond // for the head of an answer, on a machine that is not busy
	calls     = 16                     // as many as a round of an adaptive limit has
	limit     = 32
)

// answersUntilLeft keeps a request until its caller has gone.
func answersUntilLeft(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func reads(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }

func status(code int, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if len(header) == 2 {
			w.Header().Set(header[0], header[1])
		}
		w.WriteHeader(code)
	}
}

// breaksOff sends a part of a body, and then end does what it does.
func breaksOff(end func(*http.Request)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(`"` + strings.Repeat("x", 100_000)))
		_ = http.NewResponseController(w).Flush()
		end(r)
	}
}

func abort(*http.Request) { panic(http.ErrAbortHandler) }

func within(total, attempt time.Duration) func(*resilience.OperationPolicy) {
	return func(p *resilience.OperationPolicy) { p.Timeout, p.AttemptTimeout = total, attempt }
}

func failing(err error) func(http.RoundTripper) http.RoundTripper {
	return func(http.RoundTripper) http.RoundTripper {
		return roundTrips(func(*http.Request) (*http.Response, error) { return nil, err })
	}
}

// endingsOf are all of them. Nothing that the caller does or omits counts; all that the
// dependency does counts, unless it is an answer to this one request or a refusal.
func endingsOf(inner *resilience.Guard) []ending {
	const failure, overload, ignored = resilience.Failure, resilience.Overload, resilience.Ignored
	all := []ending{
		{name: "the caller cancelled", answer: answersUntilLeft, leaves: 100 * time.Millisecond, outcome: ignored},
		{name: "the caller's deadline", answer: answersUntilLeft, patience: 100 * time.Millisecond, outcome: ignored, fallback: true},
		{name: "the attempt's timeout", answer: answersUntilLeft, policy: within(patient, shortTime), outcome: failure, shrinks: true, fallback: true},
		{name: "the total timeout", answer: answersUntilLeft, policy: within(shortTime, 0), outcome: failure, shrinks: true, fallback: true},
		{name: "the caller cancelled within the answer", answer: breaksOff(func(r *http.Request) { <-r.Context().Done() }), leaves: 100 * time.Millisecond, outcome: ignored, inBody: true, noStale: true},
		{name: "the timeout within the answer", answer: breaksOff(func(r *http.Request) { <-r.Context().Done() }), policy: within(300*time.Millisecond, 0), outcome: failure, shrinks: true, fallback: true, inBody: true, noStale: true},
		{name: "the answer breaks off", answer: breaksOff(abort), outcome: failure, fallback: true, inBody: true, noStale: true},
		{name: "the caller does not read", answer: breaksOff(func(r *http.Request) { <-r.Context().Done() }), policy: within(enough, 0), waits: true, modes: "Transport", outcome: ignored, inBody: true, noStale: true},
		{name: "a reset", answer: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, outcome: failure, fallback: true},
		{name: "status 429", answer: status(429), outcome: overload, shrinks: true, fallback: true, noStale: true},
		{name: "status 429 with a time", answer: status(429, "Retry-After", "1000"), outcome: overload, shrinks: true, fallback: true, noStale: true},
		{name: "status 500", answer: status(500), outcome: failure, fallback: true},
		{name: "status 503", answer: status(503), outcome: failure, fallback: true},
		{name: "status 503 with a time", answer: status(503, "Retry-After", "1000"), outcome: overload, shrinks: true, fallback: true},
		{name: "status 503, marked", answer: status(503, rest.HeaderRefused, "overload"), outcome: overload, shrinks: true, fallback: true},
		{name: "no JSON", answer: func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }, modes: "Call, Attempt", outcome: failure, fallback: true, noStale: true},
		{name: "the base's context.Canceled", answer: reads, base: failing(context.Canceled), outcome: failure, fallback: true},
		{name: "the base's context.DeadlineExceeded", answer: reads, base: failing(context.DeadlineExceeded), outcome: failure, shrinks: true, fallback: true},
		{name: "a refused stream", frames: func(c net.Conn, stream uint32, _ int64) { frame(c, 3, 0, stream, number(7)) }, outcome: overload, shrinks: true, fallback: true},
		{name: "GOAWAY, not processed", frames: func(c net.Conn, _ uint32, _ int64) {
			frame(c, 7, 0, 0, number(0, 0))
			shut(c)
		}, outcome: overload, shrinks: true, fallback: true},
		{name: "GOAWAY, perhaps processed", frames: func(c net.Conn, stream uint32, _ int64) {
			frame(c, 7, 0, 0, number(1<<20+1, 0))
			shut(c)
		}, outcome: failure, fallback: true},
		{name: "this guard's refusal", answer: reads, open: true, none: true, fallback: true},
		{name: "an inner guard's refusal", answer: reads, base: func(b http.RoundTripper) http.RoundTripper {
			return passingOn{&rest.Transport{Guard: inner, Base: b}}
		}, outcome: failure, fallback: true},
		{name: "a bad method", answer: reads, change: func(r *http.Request) { r.Method = "BAD METHOD" }, in: &rest.Request{Path: "/", Method: "BAD METHOD"}, outcome: ignored},
		{name: "a bad header", answer: reads, change: func(r *http.Request) { r.Header.Set("X-A", "a\nb") }, in: &rest.Request{Path: "/", Header: http.Header{"X-A": {"a\nb"}}}, outcome: ignored},
		{name: "a bad address", answer: reads, change: func(r *http.Request) { r.URL.Scheme = "gopher" }, in: &rest.Request{Path: "/%zz"}, outcome: ignored},
		{name: "a body that is no JSON", answer: reads, in: &rest.Request{Path: "/", Method: "POST", Body: func() {}}, modes: "Call, Attempt", outcome: ignored},
	}
	for _, code := range []int{400, 401, 403, 404, 405, 409, 410, 412, 413, 422, 451, 499, 501, 505} {
		all = append(all, ending{name: fmt.Sprint("status ", code), answer: status(code), outcome: ignored})
	}
	all = append(all, ending{name: "status 404 with a long body", answer: func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(404)
		_, _ = w.Write([]byte(strings.Repeat("x", 100_000)))
	}, outcome: ignored})
	for name, body := range uploads {
		e := ending{name: "an upload that " + name, answer: reads, upload: body, modes: "Transport", outcome: ignored, answers: true}
		if strings.Contains(name, "stalls") || name == "trickles" {
			e.policy = within(300*time.Millisecond, 0)
		}
		all = append(all, e)
	}
	return all
}

// passingOn hides the type of a Transport, as wrappers of others do.
type passingOn struct{ *rest.Transport }

func (p passingOn) RoundTrip(r *http.Request) (*http.Response, error) {
	return p.Transport.RoundTrip(r)
}

// outcomes collects the verdicts of a guard's attempts.
type outcomes struct {
	mu  sync.Mutex
	all map[resilience.Outcome]int
}

func (o *outcomes) Handle(ctx context.Context, e resilience.Event) context.Context {
	if e.Kind == resilience.AttemptEnded {
		o.mu.Lock()
		defer o.mu.Unlock()
		if o.all == nil {
			o.all = map[resilience.Outcome]int{}
		}
		o.all[e.Verdict.Outcome]++
	}
	return ctx
}

// TestEndings: who ended a request decides the verdict, what the breaker counts, whether
// an adaptive limit shrinks, and whether a fallback stands in. Neither the protocol nor the
// way in which the call is made does.
func TestEndings(t *testing.T) {
	inner := guard(t)
	if err := inner.Force(resilience.BreakerForcedOpen); err != nil {
		t.Fatal(err)
	}
	for _, e := range endingsOf(inner) {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			if e.frames != nil {
				address, _, base := frames(t, e.frames)
				e.tryAll(t, address, base)
				return
			}
			onAll(t, e.answer, func(t *testing.T, s *service, base http.RoundTripper) { e.tryAll(t, s.URL, base) })
		})
	}
}

func (e ending) tryAll(t *testing.T, address string, base http.RoundTripper) {
	for mode, try := range map[string]func(ending, context.Context, *trial) (bool, error){"Transport": ending.transport, "Call": ending.call, "Attempt": ending.attempt} {
		if e.modes == "" || strings.Contains(e.modes, mode) {
			t.Run(mode, func(t *testing.T) {
				e.patiently(func(e ending) bool { return e.try(t, address, base, mode, try) })
			})
		}
	}
	if e.upload == nil && !e.waits && e.name != "no JSON" {
		t.Run("Transport with a cache", func(t *testing.T) {
			e.patiently(func(e ending) bool { return e.tryCached(t, address, base) })
		})
	}
}

// trial is what the calls of one mode share.
type trial struct {
	*testing.T
	address string
	base    http.RoundTripper
	guard   *resilience.Guard
	shadow  *resilience.Shadow
	tr      *rest.Transport
	client  *rest.Client
	timeout time.Duration
	// unbegun counts the requests that a busy machine began too late to say anything: no
	// answer within the timeout, or no body read within half of it.
	unbegun atomic.Int64
}

// prepare makes the guard and what it stands in front of.
func (e ending) prepare(t *testing.T, address string, base http.RoundTripper, l resilience.Listener) *trial {
	t.Helper()
	if e.base != nil {
		base = e.base(base)
	}
	p := resilience.Policy{
		Name:     "remote",
		Bulkhead: resilience.BulkheadPolicy{Limit: limit, Adaptive: &resilience.AdaptivePolicy{Objective: time.Hour, Max: limit}},
		Breaker:  &resilience.BreakerPolicy{MinimumCalls: 1000},
		Default:  resilience.OperationPolicy{Timeout: patient, Idempotent: true},
	}
	if e.policy != nil {
		e.policy(&p.Default)
	}
	g, err := resilience.New(p, resilience.WithListener(l))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.Close() })
	if e.open {
		if err := g.Force(resilience.BreakerForcedOpen); err != nil {
			t.Fatal(err)
		}
	}
	p.Breaker = &resilience.BreakerPolicy{MinimumCalls: calls}
	shadow, err := g.Shadow(p)
	if err != nil {
		t.Fatal(err)
	}
	c, err := rest.NewClient(rest.ClientConfig{BaseURL: address, Base: base})
	if err != nil {
		t.Fatal(err)
	}
	return &trial{T: t, timeout: p.Default.Timeout, address: address, base: base, guard: g, shadow: shadow, tr: &rest.Transport{Guard: g, Base: base}, client: c}
}

// short reports whether the ending has a timeout within which a request must have begun.
func (e ending) short() bool { return e.waits || e.upload != nil && e.policy != nil }

// patiently gives the ending more time until answers have begun within it, for a machine
// that is busy.
func (e ending) patiently(answered func(ending) bool) {
	for more := time.Duration(1); !answered(e); more *= 4 {
		policy := e.policy
		e.policy = func(p *resilience.OperationPolicy) { policy(p); p.Timeout *= more }
	}
}

// each makes all the calls at a time.
func (e ending) each(t *testing.T, call func(ctx context.Context)) {
	var wg sync.WaitGroup
	for range calls {
		wg.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if e.patience > 0 {
				ctx, cancel = context.WithTimeout(ctx, e.patience)
				defer cancel()
			}
			if e.leaves > 0 {
				defer time.AfterFunc(e.leaves, cancel).Stop()
			}
			call(ctx)
		})
	}
	wg.Wait()
}

// try makes the calls, and looks at everything that follows. It reports false if that says
// nothing, because the answers did not begin in time.
func (e ending) try(t *testing.T, address string, base http.RoundTripper, mode string, call func(ending, context.Context, *trial) (bool, error)) (answered bool) {
	seen := &outcomes{}
	with := e.prepare(t, address, base, seen)
	e.each(t, func(ctx context.Context) {
		fellBack, err := call(e, ctx, with)
		if mode != "Transport" && fellBack != e.fallback {
			t.Errorf("a fallback: %t, want %t; %v", fellBack, e.fallback, err)
		}
	})
	if e.short() && with.unbegun.Load() > 0 {
		return false
	}
	seen.mu.Lock()
	defer seen.mu.Unlock()
	if mode == "Transport" && (e.inBody || e.answers) {
		seen.all[e.outcome] += seen.all[resilience.Success]
		delete(seen.all, resilience.Success)
	}
	of, all := seen.all[e.outcome], 0
	for _, n := range seen.all {
		all += n
	}
	// A request that can't be built is no attempt, or one that is ignored.
	if e.none && all != 0 || !e.none && of != all || !e.none && all != calls && e.in == nil {
		t.Errorf("the attempts ended as %v, want %d of outcome %d", seen.all, calls, e.outcome)
	}
	failures := 0
	if e.outcome == resilience.Failure {
		failures = calls
	}
	s := with.guard.Snapshot()
	counted := s.Calls
	if e.inBody || e.answers {
		counted = failures // the successes of some count as well
	}
	if s.Failures != failures || counted != failures || s.InFlight != 0 {
		t.Errorf("the breaker counts %d failures of %d calls, want %d; %d permits are held", s.Failures, s.Calls, failures, s.InFlight)
	}
	if r := with.shadow.Report(); !e.inBody && (r.Breaker == resilience.BreakerOpen) != (failures > 0 && !e.none) {
		t.Errorf("the breaker of a shadow is %v", r.Breaker)
	}
	if mode == "Transport" && e.inBody && e.shrinks {
		return true // the calls have made a round of successes before their bodies end
	}
	if (s.Limit < limit) != e.shrinks || s.Limit > limit {
		t.Errorf("the limit is %d of %d; shrinks %t, want %t", s.Limit, limit, s.Limit < limit, e.shrinks)
	}
	return true
}

// request is the one of the transport.
func (e ending) request(ctx context.Context, with *trial) (*http.Request, func()) {
	with.Helper()
	release, done := make(chan struct{}), func() {}
	r, err := http.NewRequestWithContext(ctx, "GET", with.address+"/", nil)
	if err != nil {
		with.Fatal(err)
	}
	if e.upload != nil {
		reader, length := e.upload(release)
		var once sync.Once
		start, soon := time.Now(), make(chan struct{})
		r.Method, r.ContentLength = "POST", length
		r.Body = io.NopCloser(bodyFunc(func(p []byte) (int, error) {
			once.Do(func() {
				if time.Since(start) < with.timeout/2 {
					close(soon)
				}
			})
			return reader.Read(p)
		}))
		// A Read that blocks may keep RoundTrip beyond the deadline, and its server.
		wait := enough
		if e.short() {
			wait = with.timeout * 3 / 2
		}
		time.AfterFunc(wait, func() { close(release) })
		done = func() {
			<-release
			select {
			case <-soon:
			default:
				with.unbegun.Add(1)
			}
		}
	}
	if e.change != nil {
		e.change(r)
	}
	return r, done
}

func (e ending) transport(ctx context.Context, with *trial) (fellBack bool, err error) {
	r, done := e.request(ctx, with)
	defer done()
	resp, err := with.tr.RoundTrip(r)
	if err != nil {
		if e.waits {
			with.unbegun.Add(1)
		}
		return false, err
	}
	defer resp.Body.Close()
	if e.waits {
		<-time.After(with.timeout + 50*time.Millisecond)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	state, _ := cache.Of(resp)
	return state.Hit, err
}

func (e ending) typed() rest.Request {
	if e.in != nil {
		return *e.in
	}
	return rest.Request{Path: "/"}
}

func (e ending) call(ctx context.Context, with *trial) (fellBack bool, err error) {
	res, err := rest.Call(ctx, with.client, with.guard, e.typed(), resilience.FallbackValue("fallback"))
	return res.Value == "fallback", err
}

func (e ending) attempt(ctx context.Context, with *trial) (fellBack bool, err error) {
	res, err := resilience.Do(ctx, with.guard, func(ctx context.Context) (string, error) {
		return rest.Attempt[string](ctx, with.client, e.typed())
	}, resilience.FallbackValue("fallback"))
	return res.Value == "fallback", err
}

// tryCached looks whether a cache serves its stale answer, which is the fallback of a
// Transport.
func (e ending) tryCached(t *testing.T, address string, base http.RoundTripper) (answered bool) {
	with := e.prepare(t, address, base, &outcomes{})
	c, err := cache.New(cache.Config{})
	if err != nil {
		t.Fatal(err)
	}
	stale := &rest.Transport{Guard: guard(t), Cache: c, Base: roundTrips(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Header: http.Header{"Cache-Control": {"max-age=0, stale-if-error=600"}, "Date": {time.Now().UTC().Format(http.TimeFormat)}}, Body: io.NopCloser(strings.NewReader("old")), Request: r}, nil
	})}
	r, _ := http.NewRequestWithContext(t.Context(), "GET", address+"/", nil)
	resp, err := stale.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	with.tr.Cache = c
	e.each(t, func(ctx context.Context) {
		if fellBack, err := e.transport(ctx, with); fellBack != (e.fallback && !e.noStale) {
			t.Errorf("a stale answer: %t, want %t; %v", fellBack, e.fallback && !e.noStale, err)
		}
	})
	if e.short() && with.unbegun.Load() > 0 {
		return false
	}
	if s := with.guard.Snapshot(); (s.Failures > 0) != (e.outcome == resilience.Failure && !e.none) {
		t.Errorf("the breaker counts %d failures", s.Failures)
	}
	return true
}

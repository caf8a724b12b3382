package compattest

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/backstay-go/backstay/clients/rest"
	"github.com/backstay-go/backstay/clients/rest/server"
	"github.com/backstay-go/backstay/resilience"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must come, on a machine under any load.
const patience = 30 * time.Second

// counted is a guard, and what it did.
type counted struct {
	*resilience.Guard
	mu                          sync.Mutex
	calls, attempts, refused    int
	succeeded, failed, overload int
}

// Handle implements resilience.Listener.
func (c *counted) Handle(ctx context.Context, e resilience.Event) context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch e.Kind {
	case resilience.CallEnded:
		c.calls++
	case resilience.Refused:
		c.refused++
	case resilience.AttemptEnded:
		c.attempts++
		switch {
		case e.Err == nil:
			c.succeeded++
		case e.Verdict.Outcome == resilience.Failure:
			c.failed++
		case e.Verdict.Outcome == resilience.Overload:
			c.overload++
		}
	}
	return ctx
}

// want checks the counts once every permit is back.
func (c *counted) want(t *testing.T, calls, attempts, succeeded, failed, overload, refused int) {
	t.Helper()
	c.since(t, counts{}, calls, attempts, succeeded, failed, overload, refused)
}

// counts are, in order: calls, attempts, succeeded, failed, overload, refused.
type counts [6]int

func (c *counted) now() counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	return counts{c.calls, c.attempts, c.succeeded, c.failed, c.overload, c.refused}
}

// since is want for what came after before.
func (c *counted) since(t *testing.T, before counts, want ...int) {
	t.Helper()
	c.free(t)
	have := c.now()
	for i := range have {
		have[i] -= before[i]
	}
	if have != counts(want) {
		t.Errorf("%s: calls, attempts, succeeded, failed, overload, refused: %v, want %v", c.Name(), have, want)
	}
}

func (c *counted) free(t *testing.T) {
	t.Helper()
	wait(t, "all permits of "+c.Name()+" are back", func() bool { return c.Snapshot().InFlight == 0 })
}

func wait(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v", what, patience)
		}
		<-tick.C
	}
}

func guard(t *testing.T, p resilience.Policy) *counted {
	t.Helper()
	c := &counted{}
	g, err := resilience.New(p, resilience.WithListener(c))
	if err != nil {
		t.Fatal(err)
	}
	c.Guard = g
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// caller is the guard of a client: three attempts.
func caller(t *testing.T) *counted {
	return guard(t, resilience.Policy{
		Name: "caller", Bulkhead: resilience.BulkheadPolicy{Limit: 20, Queue: 20}, Budget: &resilience.BudgetPolicy{Ratio: 1, Burst: 100},
		Default: resilience.OperationPolicy{Timeout: patience, Idempotent: true,
			Retry: &resilience.RetryPolicy{MaxAttempts: 3, BaseDelay: time.Millisecond, MaxDelay: 2 * time.Millisecond}},
	})
}

// service is the guard of a server.
func service(t *testing.T, limit int) *counted {
	return guard(t, resilience.Policy{
		Name: "service", Bulkhead: resilience.BulkheadPolicy{Limit: limit}, Default: resilience.OperationPolicy{Timeout: patience},
	})
}

// handler is next behind a guard.
func handler(t *testing.T, g *counted, next http.Handler) *server.Handler {
	t.Helper()
	h, err := server.NewHandler(next, server.HandlerConfig{Guard: g.Guard})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// protocols are what tests run on.
type protocols struct {
	*http.Protocols
	tls *tls.Config // of callers
}

var http1 = func() protocols {
	p := protocols{Protocols: new(http.Protocols)}
	p.SetHTTP1(true)
	return p
}()

// onEach runs a test on HTTP/1.1, HTTP/2 without TLS, and HTTP/2 with it.
func onEach(t *testing.T, test func(t *testing.T, on protocols)) {
	t.Run("HTTP1", func(t *testing.T) { test(t, http1) })
	t.Run("H2C", func(t *testing.T) {
		on := protocols{Protocols: new(http.Protocols)}
		on.SetUnencryptedHTTP2(true)
		test(t, on)
	})
	t.Run("HTTP2", func(t *testing.T) {
		certified := httptest.NewUnstartedServer(nil)
		certified.StartTLS()
		certified.Close()
		on := protocols{new(http.Protocols), certified.Client().Transport.(*http.Transport).TLSClientConfig}
		on.SetHTTP2(true)
		test(t, on)
	})
}

// speak makes a transport speak them.
func (on protocols) speak(tr *http.Transport) {
	tr.Protocols = on.Protocols
	if on.tls != nil {
		tr.TLSClientConfig = on.tls.Clone()
	}
	// A machine that is busy elsewhere is no black hole.
	tr.HTTP2 = &http.HTTP2Config{SendPingTimeout: patience, PingTimeout: patience}
}

// standard is net/http's own transport.
func standard(t *testing.T, on protocols) *http.Transport {
	tr := &http.Transport{}
	on.speak(tr)
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

func serve(t *testing.T, on protocols, h http.Handler) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if (r.ProtoMajor == 2) == on.HTTP1() {
			t.Errorf("a request came by %s", r.Proto)
		}
		h.ServeHTTP(w, r)
	}))
	s.Config.Protocols = on.Protocols
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	if on.tls != nil {
		s.EnableHTTP2 = true
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

// transport is guarded.
func transport(t *testing.T, on protocols, g *counted) *rest.Transport {
	t.Helper()
	tr := &rest.Transport{Guard: g.Guard, Base: rest.NewBase(20, on.speak)}
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

// thirdTime fails twice, then lets next answer: bodies in order, for each attempt.
func thirdTime(status int, next http.Handler, bodies *[]string, header ...string) http.Handler {
	var mu sync.Mutex
	n := 0
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		n++
		mine := n
		mu.Unlock()
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		mu.Lock()
		*bodies = append(*bodies, string(b))
		mu.Unlock()
		if mine%3 != 0 {
			for i := 0; i+1 < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			http.Error(w, "not yet", status)
			return
		}
		r.Body = io.NopCloser(&again{text: b})
		next.ServeHTTP(w, r)
	})
}

// again is a body that was read.
type again struct{ text []byte }

func (a *again) Read(p []byte) (int, error) {
	if len(a.text) == 0 {
		return 0, io.EOF
	}
	n := copy(p, a.text)
	a.text = a.text[n:]
	return n, nil
}

func same(t *testing.T, bodies []string, n int) {
	t.Helper()
	if len(bodies) != n {
		t.Errorf("%d requests arrived, want %d", len(bodies), n)
	}
	for _, b := range bodies {
		if b == "" || b != bodies[0] {
			t.Errorf("bodies differ: %q", bodies)
		}
	}
}

var errNotAsked = errors.New("the test does not ask for this")

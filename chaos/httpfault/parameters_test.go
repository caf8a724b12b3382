package httpfault_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/httpfault"
	"github.com/backstay-go/backstay/chaos/internal/faulttest"
)

// pipes is a listener in memory, so that time can be virtual.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func listenPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	p.conns <- theirs
	return ours, nil
}

const long = "a body that is longer than forty bytes, so that there is something to count"

// observed runs a rule in virtual time on one side, and returns all that a client and the
// handler see of four requests, one a minute.
func observed(t *testing.T, side string, what chaos.What, ttl time.Duration) (log string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		began := time.Now()
		say := func(format string, args ...any) {
			mu.Lock()
			defer mu.Unlock()
			log += fmt.Sprintf("%s "+format+"\n", append([]any{time.Since(began)}, args...)...)
		}
		injector, err := chaos.New(chaos.Plan{Seed: 1, Rules: []chaos.Rule{{Name: "r", Where: chaos.Where{Protocol: chaos.HTTP}, TTL: ttl, What: what}}}, chaos.Config{})
		if err != nil {
			t.Fatal(err)
		}
		injector.Start()
		cfg := httpfault.Config{Dependency: "membership", Injector: injector}
		handler := http.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			say("the handler runs")
			_, _ = io.WriteString(w, long)
		}))
		listener := listenPipes()
		base := &http.Transport{DialContext: listener.dial}
		transport := http.RoundTripper(base)
		if side == "handler" {
			handler = httpfault.Handler(handler, cfg)
		} else {
			transport = httpfault.Transport(transport, cfg)
		}
		server := &http.Server{Handler: handler}
		go func() { _ = server.Serve(listener) }()
		client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		for n := range 4 {
			if wait := time.Until(began.Add(time.Duration(n) * time.Minute)); wait > 0 {
				<-time.After(wait)
			}
			ask(t, client, say)
		}
		base.CloseIdleConnections()
		_ = server.Close()
		synctest.Wait() // What still hangs ends with its connection, not with its rule.
		injector.Stop()
	})
	return log
}

// ask sends a request and describes what comes back.
func ask(t *testing.T, client *http.Client, say func(string, ...any)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://pipe/", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		say("failed: %v", err)
		return
	}
	defer resp.Body.Close()
	var header strings.Builder
	resp.Header.Del("Date")
	_ = resp.Header.Write(&header)
	say("%d, %d bytes, %q", resp.StatusCode, resp.ContentLength, header.String())
	for body, total := bufio.NewReaderSize(resp.Body, 512), 0; total < 4096; {
		b := make([]byte, 512)
		n, err := body.Read(b)
		total += n
		if n > 0 {
			say("read %q", b[:n])
		}
		if err != nil {
			say("ended: %v", err)
			return
		}
	}
}

// TestNoParameterIsIgnored: whatever parameter a kind takes on HTTP changes what a client
// or the handler sees, on both sides.
func TestNoParameterIsIgnored(t *testing.T) {
	for _, v := range faulttest.Variants(chaos.HTTP, time.Second) {
		for side := range places {
			t.Run(v.Name()+"/"+side, func(t *testing.T) {
				a, b := observed(t, side, v.A, 20*time.Minute), observed(t, side, v.B, 20*time.Minute)
				if a == b {
					t.Errorf("it makes no difference:\n%s", a)
				}
				if again := observed(t, side, v.A, 20*time.Minute); again != a {
					t.Errorf("the same fault gave something else:\n%s\nand then\n%s", a, again)
				}
			})
		}
	}
}

// TestAResetTakesItsTime: before an answer, instead of one that was carried out, and in a
// body; not when its rule has ended by then.
func TestAResetTakesItsTime(t *testing.T) {
	const delay = 5 * time.Second
	for name, c := range map[string]struct {
		change func(*chaos.What)
		ttl    time.Duration
		ran    bool
		want   string
	}{
		"before an answer": {func(*chaos.What) {}, time.Hour, false, "5s failed"},
		"after execution":  {func(w *chaos.What) { w.At = "after" }, time.Hour, true, "5s failed"},
		"in the body":      {func(w *chaos.What) { w.AfterBytes = 20 }, time.Hour, true, "0s read \"" + long[:20] + "\"\n5s ended"},
		"too late":         {func(*chaos.What) {}, 3 * time.Second, true, "3s read \"" + long + "\"\n3s"},
		"too late, after":  {func(w *chaos.What) { w.At = "after" }, 3 * time.Second, true, "3s read \"" + long + "\"\n3s"},
		"too late, in it":  {func(w *chaos.What) { w.AfterBytes = 20 }, 3 * time.Second, true, "0s read \"" + long[:20] + "\"\n3s read \"" + long[20:]},
	} {
		for side := range places {
			t.Run(name+"/"+side, func(t *testing.T) {
				what := chaos.What{Kind: chaos.Reset, Delay: delay}
				c.change(&what)
				log := observed(t, side, what, c.ttl)
				first, _, _ := strings.Cut(log, "\n1m0s")
				if ran := strings.Contains(first, "0s the handler runs") || strings.Contains(first, "3s the handler runs"); ran != c.ran || !strings.Contains(first, c.want) {
					t.Errorf("%s\nwant %q, the handler run: %v", first, c.want, c.ran)
				}
			})
		}
	}
}

// TestAQuotaHasANewPeriod: when one is over, calls pass again; until then a refusal says
// how long that is.
func TestAQuotaHasANewPeriod(t *testing.T) {
	for side := range places {
		t.Run(side, func(t *testing.T) {
			log := observed(t, side, chaos.What{Kind: chaos.Quota, Limit: 1, Period: 150 * time.Second}, time.Hour)
			for _, want := range []string{"\n0s 200", "\n1m0s 429", `Retry-After: 90\r`, "\n2m0s 429", `Retry-After: 30\r`, "\n3m0s 200"} {
				if !strings.Contains(log, want) {
					t.Errorf("no %q in\n%s", want, log)
				}
			}
		})
	}
}

// TestTheFirstFaultWins: of those that do not wait; waits of other rules are added.
func TestTheFirstFaultWins(t *testing.T) {
	for place, open := range places {
		t.Run(place, func(t *testing.T) {
			i := inject(t, rule(chaos.Latency, func(w *chaos.What) { w.Delay = 20 * time.Millisecond }), rule(chaos.Truncate, func(w *chaos.What) { w.Bytes = 3 }),
				rule(chaos.Status, func(w *chaos.What) { w.Status = 500 }), rule(chaos.SlowBody, func(w *chaos.What) { w.Delay = 20 * time.Millisecond }))
			client, url := open(t, i)
			began := time.Now()
			resp, body, err := get(t, client, url)
			if !errors.Is(err, io.ErrUnexpectedEOF) || resp.StatusCode != 200 || body != text[:3] {
				t.Errorf("%v %q %v", resp, body, err)
			}
			if took := time.Since(began); took < 40*time.Millisecond || i.Stats().Injected != 3 {
				t.Errorf("took %s, %d faults", took, i.Stats().Injected)
			}
		})
	}
}

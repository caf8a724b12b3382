package toxiproxy_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	client "github.com/Shopify/toxiproxy/v2/client"
	"go.uber.org/goleak"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/internal/tcptest"
	"github.com/backstay-go/backstay/chaos/tcpproxy/toxiproxy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// build serves the interface, and an echo server; it returns their addresses.
func build(t *testing.T, listeners ...chaos.Listener) (api, echo string) {
	t.Helper()
	echo = tcptest.Serve(t, tcptest.Echo)
	a, err := toxiproxy.New(t.Context(), toxiproxy.Config{Seed: 1, Listeners: listeners})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(a)
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
		server.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return server.URL, echo
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// exchange sends on a connection and reads back; took is how long that was.
func exchange(c net.Conn, text string) (got string, took time.Duration, err error) {
	began := time.Now()
	if _, err = io.WriteString(c, text); err != nil {
		return "", 0, err
	}
	b := make([]byte, len(text))
	n, err := io.ReadFull(c, b)
	return string(b[:n]), time.Since(began), err
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	must(t, err)
	t.Cleanup(func() { c.Close() })
	must(t, c.SetDeadline(time.Now().Add(20*time.Second)))
	return c
}

// TestToxiproxysOwnClientDrivesIt is what people's suites do, with the client they use.
func TestToxiproxysOwnClientDrivesIt(t *testing.T) {
	api, echo := build(t)
	c := client.NewClient(api)
	p, err := c.CreateProxy("echo", "127.0.0.1:0", echo)
	must(t, err)
	live := dial(t, p.Listen)
	if got, _, err := exchange(live, "hello"); got != "hello" {
		t.Fatalf("%q, %v", got, err)
	}
	toxic, err := p.AddToxic("", "latency", "downstream", 1, client.Attributes{"latency": 80, "jitter": 0})
	must(t, err)
	if toxic.Name != "latency_downstream" || toxic.Attributes["latency"] != float64(80) {
		t.Errorf("made %+v", toxic)
	}
	if _, took, err := exchange(dial(t, p.Listen), "slow"); err != nil || took < 80*time.Millisecond {
		t.Errorf("took %s, %v", took, err)
	}
	toxic, err = p.UpdateToxic("latency_downstream", 0, client.Attributes{"latency": 90})
	if err != nil || toxic.Attributes["latency"] != float64(90) || toxic.Toxicity != 0 {
		t.Errorf("changed %+v, %v", toxic, err)
	}
	if toxics, err := p.Toxics(); err != nil || len(toxics) != 1 {
		t.Errorf("toxics %v, %v", toxics, err)
	}
	must(t, p.RemoveToxic("latency_downstream"))
	_, err = p.AddToxic("", "reset_peer", "upstream", 1, client.Attributes{"timeout": 0})
	must(t, err)
	for err == nil { // A connection hears of a new toxic soon, not at once.
		_, _, err = exchange(live, "x")
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("reset_peer on a live connection: %v, want a reset", err)
	}
	must(t, p.Disable())
	if c, err := net.Dial("tcp", p.Listen); err == nil {
		c.Close()
		t.Error("a disabled proxy accepts")
	}
	must(t, c.ResetState())
	if got, _, err := exchange(dial(t, p.Listen), "again"); got != "again" {
		t.Errorf("after a reset: %q, %v", got, err)
	}
	many, err := c.Populate([]client.Proxy{{Name: "echo", Listen: p.Listen, Upstream: echo, Enabled: true}, {Name: "second", Listen: "127.0.0.1:0", Upstream: echo, Enabled: true}})
	if err != nil || len(many) != 2 {
		t.Errorf("populated %v, %v", many, err)
	}
	must(t, many[1].Delete())
	if all, err := c.Proxies(); err != nil || len(all) != 1 || all["echo"] == nil {
		t.Errorf("proxies %v, %v", all, err)
	}
}

func TestATimeoutClosesAndSoDoesItsRemoval(t *testing.T) {
	reported := make(chan chaos.Event, 10)
	api, echo := build(t, chaos.ListenerFunc(func(_ context.Context, e chaos.Event) { reported <- e }))
	p, err := client.NewClient(api).CreateProxy("echo", "127.0.0.1:0", echo)
	must(t, err)
	for _, ms := range []int{0, 50} {
		_, err = p.AddToxic("t", "timeout", "upstream", 1, client.Attributes{"timeout": ms})
		must(t, err)
		c := dial(t, p.Listen)
		_, err = io.WriteString(c, "swallowed")
		must(t, err)
		<-reported // it is swallowed, or closed
		if ms == 0 {
			must(t, p.RemoveToxic("t"))
		}
		if b, err := io.ReadAll(c); len(b) != 0 || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("timeout %d: %q, %v; want a closed connection", ms, b, err)
		}
		if ms > 0 {
			must(t, p.RemoveToxic("t"))
		}
	}
}

func TestLimitDataAndSlicer(t *testing.T) {
	api, echo := build(t)
	p, err := client.NewClient(api).CreateProxy("echo", "127.0.0.1:0", echo)
	must(t, err)
	_, err = p.AddToxic("", "slicer", "upstream", 1, client.Attributes{"average_size": 2, "size_variation": 1, "delay": 10})
	must(t, err)
	_, err = p.AddToxic("", "limit_data", "downstream", 1, client.Attributes{"bytes": 5})
	must(t, err)
	if got, _, err := exchange(dial(t, p.Listen), "0123456789"); got != "01234" || err == nil {
		t.Errorf("%q, %v", got, err)
	}
}

func TestStatusesAndErrorBodies(t *testing.T) {
	api, echo := build(t)
	for _, c := range []struct {
		method, path, body, agent string
		status                    int
		text                      string
	}{
		{"GET", "/version", "", "", 200, `{"version":"2.12.0"}`},
		{"GET", "/proxies", "", "", 200, `{}`},
		{"GET", "/proxies", "", "Mozilla/5.0", 403, "User agent not allowed"},
		{"POST", "/proxies", `{"name":"p"}`, "", 400, `{"error":"missing required field: upstream","status":400}`},
		{"POST", "/proxies", `{"upstream":"x:1"}`, "", 400, `{"error":"missing required field: name","status":400}`},
		{"POST", "/proxies", `{`, "", 400, `{"error":"bad request body: unexpected EOF","status":400}`},
		{"POST", "/proxies", `{"name":"p","listen":"127.0.0.1:0","upstream":"` + echo + `"}`, "", 201, `"enabled":true,"toxics":[]}`},
		{"POST", "/proxies", `{"name":"p","upstream":"` + echo + `"}`, "", 409, `{"error":"proxy already exists","status":409}`},
		{"GET", "/proxies/q", "", "", 404, `{"error":"proxy not found","status":404}`},
		{"POST", "/proxies/p/toxics", `{"type":"latency","stream":"sideways"}`, "", 400, `{"error":"stream was invalid, can be either upstream or downstream","status":400}`},
		{"POST", "/proxies/p/toxics", `{"type":"rain"}`, "", 400, `{"error":"invalid toxic type","status":400}`},
		{"POST", "/proxies/p/toxics", `{"type":"latency","attributes":{"latency":"long"}}`, "", 400, `bad request body`},
		{"POST", "/proxies/p/toxics", `{"type":"bandwidth","attributes":{"rate":1}}`, "", 200, `{"attributes":{"rate":1},"name":"bandwidth_downstream","type":"bandwidth","stream":"downstream","toxicity":1}`},
		{"POST", "/proxies/p/toxics", `{"type":"bandwidth"}`, "", 409, `{"error":"toxic already exists","status":409}`},
		{"PATCH", "/proxies/p/toxics/bandwidth_downstream", `{"toxicity":2}`, "", 400, `bad request body`},
		{"GET", "/proxies/p/toxics/rain", "", "", 404, `{"error":"toxic not found","status":404}`},
		{"GET", "/metrics", "", "", 200, `toxiproxy_proxy_sent_bytes_total{direction="upstream"`},
		{"DELETE", "/proxies/p", "", "", 204, ``},
		{"POST", "/reset", "", "", 204, ``},
	} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, api+c.path, strings.NewReader(c.body))
		must(t, err)
		if c.agent != "" {
			req.Header.Set("User-Agent", c.agent)
		}
		resp, err := http.DefaultClient.Do(req)
		must(t, err)
		body, err := io.ReadAll(resp.Body)
		must(t, err)
		resp.Body.Close()
		if resp.StatusCode != c.status || !bytes.Contains(body, []byte(c.text)) || resp.Header.Get("X-Toxiproxy-Request-Id") == "" {
			t.Errorf("%s %s %s: %d %s; want %d %s", c.method, c.path, c.body, resp.StatusCode, body, c.status, c.text)
		}
	}
}

func TestATokenIsAskedFor(t *testing.T) {
	const token = "a-long-token-that-is-hard-to-guess"
	a, err := toxiproxy.New(t.Context(), toxiproxy.Config{Token: token})
	must(t, err)
	defer a.Close()
	for header, want := range map[string]int{"": 401, "Bearer ": 401, "Bearer wrong": 401, token: 401, "Bearer " + token: 200} {
		r := httptest.NewRequest("GET", "/proxies", nil)
		r.Header.Set("Authorization", header)
		w := httptest.NewRecorder()
		a.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%q: %d, want %d", header, w.Code, want)
		}
	}
}

func TestToxicsEndWhenNobodyAsksAnyMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, err := toxiproxy.New(t.Context(), toxiproxy.Config{DeadMan: time.Minute})
		must(t, err)
		defer a.Close()
		ask := func(method, path, body string) string {
			w := httptest.NewRecorder()
			a.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
			return w.Body.String()
		}
		ask("POST", "/proxies", `{"name":"p","listen":"127.0.0.1:0","upstream":"127.0.0.1:1","enabled":false}`)
		slow := `{"name":"slow","type":"latency","attributes":{"latency":100}}`
		ask("POST", "/proxies/p/toxics", slow)
		for range 3 {
			time.Sleep(50 * time.Second)
			if got := ask("GET", "/proxies/p/toxics", ""); !strings.Contains(got, `"slow"`) {
				t.Fatalf("while somebody asks: %s", got)
			}
		}
		time.Sleep(time.Minute)
		if got := ask("GET", "/proxies/p/toxics", ""); strings.TrimSpace(got) != "[]" {
			t.Errorf("when nobody asked for a minute: %s", got)
		}
		if got := ask("POST", "/proxies/p/toxics", slow); !strings.Contains(got, `"slow"`) {
			t.Errorf("afterwards: %s", got)
		}
	})
}

package toxiproxy_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	client "github.com/Shopify/toxiproxy/v2/client"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/tcpproxy/toxiproxy"
)

// ask sends one request and returns what was answered.
func ask(t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	must(t, err)
	resp, err := http.DefaultClient.Do(req)
	must(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	must(t, err)
	return resp.StatusCode, string(b)
}

// TestEachRouteAnswers: those of Toxiproxy by both of their methods, and our own.
func TestEachRouteAnswers(t *testing.T) {
	api, echo := build(t)
	for _, c := range []struct {
		method, path, body string
		status             int
		text               string
	}{
		{"POST", "/populate", `[{"name":"p","listen":"127.0.0.1:0","upstream":"` + echo + `"}]`, 201, `{"proxies":[{"name":"p",`},
		{"POST", "/populate", `[{"name":"q"}]`, 400, `{"error":"missing required field: upstream at proxy 1","status":400,"proxies":null}`},
		{"POST", "/populate", `[{"upstream":"x:1"}]`, 400, `{"error":"missing required field: name at proxy 1","status":400,"proxies":null}`},
		{"GET", "/proxies/p", "", 200, `"upstream":"` + echo + `","enabled":true,"toxics":[]}`},
		{"GET", "/proxies/p/connections", "", 200, `[]`},
		{"GET", "/proxies/p/toxics", "", 200, `[]`},
		{"POST", "/proxies/p/toxics", `{"name":"slow","type":"latency","stream":"upstream","attributes":{"latency":5}}`, 200, `"name":"slow"`},
		{"GET", "/proxies/p/toxics/slow", "", 200, `{"attributes":{"jitter":0,"latency":5},"name":"slow","type":"latency","stream":"upstream","toxicity":1}`},
		{"POST", "/proxies/p/toxics/slow", `{"attributes":{"latency":6}}`, 200, `"latency":6`},
		{"PATCH", "/proxies/p/toxics/slow", `{"attributes":{"jitter":1}}`, 200, `{"jitter":1,"latency":6}`},
		{"POST", "/proxies/p", `{"enabled":false}`, 200, `"enabled":false`},
		{"GET", "/proxies/p/connections", "", 200, `[]`},
		{"PATCH", "/proxies/p", `{"enabled":true}`, 200, `"enabled":true`},
		{"PATCH", "/proxies/p", `{`, 400, `bad request body`},
		{"PATCH", "/proxies/p", `{"listen":"256.0.0.1:0"}`, 500, `{"error":"lookup 256.0.0.1`},
		{"PATCH", "/proxies/p", `{"listen":"127.0.0.1:0"}`, 200, `"enabled":true`},
		{"POST", "/reset", "", 204, ``},
		{"GET", "/proxies/p", "", 200, `"enabled":true,"toxics":[]}`},
		{"GET", "/metrics", "", 200, `toxiproxy_proxy_received_bytes_total{direction="downstream"`},
		{"DELETE", "/proxies/p/toxics/slow", "", 404, `{"error":"toxic not found","status":404}`},
		{"PATCH", "/proxies/p/toxics/slow", `{}`, 404, `{"error":"toxic not found","status":404}`},
		{"DELETE", "/proxies/p", "", 204, ``},
		{"DELETE", "/proxies/p", "", 404, `{"error":"proxy not found","status":404}`},
		{"PATCH", "/proxies/p", `{}`, 404, `{"error":"proxy not found","status":404}`},
		{"GET", "/proxies/p/toxics", "", 404, `{"error":"proxy not found","status":404}`},
		{"GET", "/proxies/p/connections", "", 404, `{"error":"proxy not found","status":404}`},
	} {
		if status, body := ask(t, c.method, api+c.path, c.body); status != c.status || !strings.Contains(body, c.text) {
			t.Errorf("%s %s %s: %d %s; want %d %s", c.method, c.path, c.body, status, body, c.status, c.text)
		}
	}
}

// TestEachToxicOnTheWire: those that delay, by the time that an exchange takes; and the
// list of connections names what each met.
func TestEachToxicOnTheWire(t *testing.T) {
	api, echo := build(t)
	p, err := client.NewClient(api).CreateProxy("echo", "127.0.0.1:0", echo)
	must(t, err)
	for _, c := range []struct {
		kind       string
		attributes client.Attributes
		reported   chaos.Kind
		least      time.Duration
	}{
		{"latency", client.Attributes{"latency": 100, "jitter": 20}, chaos.Latency, 80 * time.Millisecond},
		{"latency", client.Attributes{"latency": 5, "jitter": 50}, chaos.Latency, 0}, // some would be early: they come at once
		{"bandwidth", client.Attributes{"rate": 1}, chaos.Bandwidth, 100 * time.Millisecond},
		{"slicer", client.Attributes{"average_size": 64, "delay": 20_000}, chaos.Slice, 120 * time.Millisecond},
	} {
		for _, stream := range []string{"upstream", "downstream"} {
			_, err := p.AddToxic("t", c.kind, stream, 1, c.attributes)
			must(t, err)
			conn, text, took := dial(t, p.Listen), strings.Repeat("x", 256), time.Duration(0)
			for range 2 { // A rate lets a first chunk pass at once.
				got, once, err := exchange(conn, text)
				if took += once; got != text || err != nil {
					t.Fatalf("%s: %q, %v", c.kind, got, err)
				}
			}
			if took < c.least {
				t.Errorf("%s %s took %s, less than %s", c.kind, stream, took, c.least)
			}
			_, body := ask(t, "GET", api+"/proxies/echo/connections", "")
			var all []map[string]any
			if err := json.Unmarshal([]byte(body), &all); err != nil || !slices.ContainsFunc(all, func(c map[string]any) bool { return c["client"] == conn.LocalAddr().String() }) || !strings.Contains(body, `"t"`) {
				t.Errorf("%s: connections %s, %v", c.kind, body, err)
			}
			conn.Close()
			must(t, p.RemoveToxic("t"))
		}
	}
	_, err = p.AddToxic("t", "slow_close", "upstream", 1, client.Attributes{"delay": 100})
	must(t, err)
	conn := dial(t, p.Listen)
	began := time.Now()
	must(t, conn.(interface{ CloseWrite() error }).CloseWrite())
	if rest, err := io.ReadAll(conn); err != nil || len(rest) != 0 || time.Since(began) < 100*time.Millisecond {
		t.Errorf("slow_close: %q, %v after %s", rest, err, time.Since(began))
	}
	must(t, p.RemoveToxic("t"))
	_, err = p.AddToxic("t", "reset_peer", "downstream", 1, client.Attributes{"timeout": 100})
	must(t, err)
	began = time.Now()
	if got, _, err := exchange(dial(t, p.Listen), "text"); got != "" || !errors.Is(err, syscall.ECONNRESET) || time.Since(began) < 100*time.Millisecond {
		t.Errorf("reset_peer: %q, %v after %s", got, err, time.Since(began))
	}
}

// TestAToxicityIsRolledOnceAConnection: neither another toxic nor its end changes which
// connections are hit, and a seed hits the same ones in another process.
func TestAToxicityIsRolledOnceAConnection(t *testing.T) {
	hits := func(seed uint64) []bool {
		_, echo := build(t)
		a, err := toxiproxy.New(t.Context(), toxiproxy.Config{Seed: seed})
		must(t, err)
		defer a.Close()
		server := httptest.NewServer(a)
		defer server.Close()
		p, err := client.NewClient(server.URL).CreateProxy("echo", "127.0.0.1:0", echo)
		must(t, err)
		_, err = p.AddToxic("half", "limit_data", "downstream", 0.5, client.Attributes{"bytes": 8})
		must(t, err)
		var hit []bool
		for n := range 20 {
			c := dial(t, p.Listen)
			got, _, err := exchange(c, "text")
			if got != "text" || err != nil {
				t.Fatalf("before the limit: %q, %v", got, err)
			}
			_, err = p.AddToxic("neighbour", "latency", "downstream", 1, client.Attributes{"latency": 1})
			must(t, err)
			if n%2 == 0 {
				must(t, p.RemoveToxic("neighbour"))
			}
			got, _, _ = exchange(c, "more")
			after, _, err := exchange(c, "end")
			if cut := after != "end"; cut != (err != nil) || !cut && got != "more" {
				t.Errorf("connection %d: %q, then %q, %v", n, got, after, err)
			}
			hit = append(hit, err != nil)
			if n%2 == 1 {
				must(t, p.RemoveToxic("neighbour"))
			}
		}
		return hit
	}
	first := hits(3)
	if again := hits(3); !slices.Equal(first, again) {
		t.Errorf("one seed hit %v, and then %v", first, again)
	}
	if !slices.Contains(first, true) || !slices.Contains(first, false) {
		t.Errorf("hit %v", first)
	}
	if other := hits(4); slices.Equal(first, other) {
		t.Error("another seed hit the same")
	}
}

// TestMetricsCountBytes: those that came and those that were passed on, by direction, with
// the names and labels of Toxiproxy's collectors.
func TestMetricsCountBytes(t *testing.T) {
	api, echo := build(t)
	p, err := client.NewClient(api).CreateProxy("echo", "127.0.0.1:0", echo)
	must(t, err)
	conn := dial(t, p.Listen)
	got, _, err := exchange(conn, "0123456789")
	if got != "0123456789" || err != nil {
		t.Fatalf("%q, %v", got, err)
	}
	_, err = p.AddToxic("cut", "limit_data", "downstream", 1, client.Attributes{"bytes": 12})
	must(t, err)
	if got, _, err = exchange(dial(t, p.Listen), "abcdefghijklmnopqrstuvwxyz"); got != "abcdefghijkl" || err == nil {
		t.Fatalf("%q, %v", got, err)
	}
	labels := func(metric, direction string) string {
		return fmt.Sprintf("toxiproxy_proxy_%s_bytes_total{direction=%q,listener=%q,proxy=\"echo\",upstream=%q} ", metric, direction, p.Listen, echo)
	}
	want := map[string]int{
		labels("received", "upstream"): 36, labels("sent", "upstream"): 36,
		labels("received", "downstream"): 36, labels("sent", "downstream"): 22,
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); ; <-tick.C { // A byte is counted once it was passed on, when its echo may be there already.
		_, body := ask(t, "GET", api+"/metrics", "")
		missing := maps.Clone(want)
		maps.DeleteFunc(missing, func(line string, n int) bool { return strings.Contains(body, fmt.Sprintf("%s%d\n", line, n)) })
		if len(missing) == 0 {
			break
		}
		if time.Since(began) > time.Minute {
			t.Fatalf("no %v in\n%s", missing, body)
		}
	}
}

func TestItIsRefusedWhereChaosIsOff(t *testing.T) {
	t.Setenv(chaos.OffVariable, "off")
	if _, err := toxiproxy.New(t.Context(), toxiproxy.Config{}); !errors.Is(err, chaos.ErrOff) {
		t.Errorf("error is %v", err)
	}
}

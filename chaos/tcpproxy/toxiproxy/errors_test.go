package toxiproxy_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	client "github.com/Shopify/toxiproxy/v2/client"

	"github.com/backstay-go/backstay/chaos"
)

// TestAnErrorIsNeverLost: whatever goes wrong is answered with a text and its status, and
// changes nothing.
func TestAnErrorIsNeverLost(t *testing.T) {
	api, echo := build(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer taken.Close()
	if status, body := ask(t, "POST", api+"/proxies", `{"name":"p","listen":"127.0.0.1:0","upstream":"`+echo+`"}`); status != 201 {
		t.Fatal(status, body)
	}
	if status, body := ask(t, "POST", api+"/proxies/p/toxics", `{"name":"t","type":"noop"}`); status != 200 {
		t.Fatal(status, body)
	}
	_, before := ask(t, "GET", api+"/proxies", "")
	type request struct{ method, path, body string }
	requests := []request{
		{"POST", "/proxies", `{"name":"q","upstream":"u:1","listen":"` + taken.Addr().String() + `"}`},
		{"POST", "/proxies", `{"name":"q","upstream":"u:1","listen":"127.0.0.1"}`},
		{"POST", "/proxies", `{"name":"q","upstream":"u:1","listen":"127.0.0.1:99999"}`},
		{"POST", "/proxies", `{"name":"q","upstream":"u:1","listen":"no.such.host.invalid:1"}`},
		{"POST", "/proxies", `{"name":"q","upstream":"without a port"}`},
		{"PATCH", "/proxies/p", `{"listen":"127.0.0.1"}`},
		{"PATCH", "/proxies/p", `{"listen":"127.0.0.1:99999"}`},
		{"POST", "/populate", `[{"name":"q","upstream":"u:1","listen":"` + taken.Addr().String() + `"}]`},
		{"POST", "/populate", `{"name":"q"}`},
		{"POST", "/proxies/p/toxics", `{"type":"connection_limit"}`},
		{"POST", "/proxies/p/toxics/t", `{"toxicity":-1}`},
		{"POST", "/proxies/p/toxics/t", `[]`},
	}
	for name, attributes := range map[string][]string{
		"latency": {"latency", "jitter"}, "bandwidth": {"rate"}, "slow_close": {"delay"}, "timeout": {"timeout"}, "reset_peer": {"timeout"},
		"slicer": {"average_size", "size_variation", "delay"}, "limit_data": {"bytes"}, "connection_limit": {"limit"}, "corrupt": {"bytes", "after_uptime"},
	} {
		for _, attribute := range attributes {
			for _, value := range []string{"9223372036854775807", "9223372036854775808", "1e30", "-1", "-9223372036854775808", "1.5", `"1"`} {
				requests = append(requests, request{"POST", "/proxies/p/toxics", fmt.Sprintf(`{"type":%q,"attributes":{%q:%s}}`, name, attribute, value)})
			}
		}
	}
	for _, r := range requests {
		status, body := ask(t, r.method, api+r.path, r.body)
		var reported struct {
			Error  string `json:"error"`
			Status int    `json:"status"`
		}
		if err := json.Unmarshal([]byte(body), &reported); err != nil || status < 400 || reported.Status != status || reported.Error == "" {
			t.Errorf("%s %s %s: %d %s", r.method, r.path, r.body, status, body)
		}
		if _, after := ask(t, "GET", api+"/proxies", ""); after != before {
			t.Fatalf("%s %s %s made\n%s of\n%s", r.method, r.path, r.body, after, before)
		}
	}
}

// TestPopulateIsSafeToRepeat: with whatever name of its address, a proxy that is as it should
// be keeps its toxics and its connections (Toxiproxy#131, #631).
func TestPopulateIsSafeToRepeat(t *testing.T) {
	api, echo := build(t)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	_, port, err := net.SplitHostPort(free.Addr().String())
	must(t, err)
	free.Close()
	populate := func(listen string) {
		t.Helper()
		if status, body := ask(t, "POST", api+"/populate", `[{"name":"p","listen":"`+listen+`","upstream":"`+echo+`"}]`); status != 201 {
			t.Fatal(status, body)
		}
	}
	populate("localhost:" + port)
	if status, body := ask(t, "POST", api+"/proxies/p/toxics", `{"name":"t","type":"noop"}`); status != 200 {
		t.Fatal(status, body)
	}
	c := dial(t, "127.0.0.1:"+port)
	for _, listen := range []string{"localhost:" + port, "127.0.0.1:" + port, "localhost:" + port} {
		populate(listen)
		if status, body := ask(t, "PATCH", api+"/proxies/p", `{"listen":"`+listen+`"}`); status != 200 {
			t.Fatal(status, body)
		}
		if got, _, err := exchange(c, "still there"); err != nil {
			t.Errorf("%s: %q, %v", listen, got, err)
		}
		if status, _ := ask(t, "GET", api+"/proxies/p/toxics/t", ""); status != 200 {
			t.Errorf("%s: the toxic has gone", listen)
		}
	}
}

// TestToxicsThatEndHoldNothing: by removal, by a reset, and by a change, in both directions.
func TestToxicsThatEndHoldNothing(t *testing.T) {
	api, echo := build(t)
	c := client.NewClient(api)
	for _, toxic := range []struct {
		kind   string
		strong client.Attributes
		weak   client.Attributes
	}{
		{"latency", client.Attributes{"latency": 3_600_000}, client.Attributes{"latency": 0}},
		{"bandwidth", client.Attributes{"rate": 1}, client.Attributes{"rate": 1_000_000}},
		{"slicer", client.Attributes{"average_size": 1, "delay": 1_000_000_000}, client.Attributes{"delay": 0}},
		{"hang", nil, nil},
	} {
		for _, stream := range []string{"upstream", "downstream"} {
			for _, way := range []string{"removed", "reset", "changed", "toxicity"} {
				t.Run(toxic.kind+"/"+stream+"/"+way, func(t *testing.T) {
					p, err := c.CreateProxy("p", "127.0.0.1:0", echo)
					must(t, err)
					defer p.Delete()
					_, err = p.AddToxic("t", toxic.kind, stream, 1, toxic.strong)
					must(t, err)
					conn := dial(t, p.Listen)
					text := strings.Repeat("held ", 20_000)
					go func() { _, _ = io.WriteString(conn, text) }()
					for deadline := time.Now().Add(20 * time.Second); ; {
						if _, body := ask(t, "GET", api+"/proxies/p/connections", ""); strings.Contains(body, `"faults":["t"]`) {
							break
						} else if time.Now().After(deadline) {
							t.Fatalf("it meets nothing: %s", body)
						}
					}
					switch {
					case way == "reset":
						must(t, c.ResetState())
					case way == "changed" && toxic.weak != nil:
						_, err = p.UpdateToxic("t", 1, toxic.weak)
						must(t, err)
					case way == "toxicity":
						_, err = p.UpdateToxic("t", 0, nil)
						must(t, err)
					default:
						must(t, p.RemoveToxic("t"))
					}
					got := make([]byte, len(text))
					if n, err := io.ReadFull(conn, got); err != nil || string(got) != text {
						t.Errorf("%d of %d bytes came, %v", n, len(text), err)
					}
				})
			}
		}
	}
}

// TestEachKindOnTCPIsAType: by the name that it has in plans, with every parameter that is a
// whole number.
func TestEachKindOnTCPIsAType(t *testing.T) {
	api, echo := build(t)
	if status, body := ask(t, "POST", api+"/proxies", `{"name":"p","listen":"127.0.0.1:0","upstream":"`+echo+`"}`); status != 201 {
		t.Fatal(status, body)
	}
	for _, k := range chaos.Kinds() {
		if !k.Kind.AppliesTo(chaos.TCP) {
			continue
		}
		status, body := ask(t, "POST", api+"/proxies/p/toxics", fmt.Sprintf(`{"name":%q,"type":%q,"attributes":{"limit":1,"chunk_bytes":2,"rate":3,"delay":4}}`, k.Kind, k.Kind))
		if status != http.StatusOK {
			t.Errorf("%s: %d %s", k.Kind, status, body)
		}
	}
}

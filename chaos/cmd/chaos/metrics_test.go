package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/backstay-go/backstay/chaos/internal/tcptest"
)

// counted is the value of chaos_faults_total with all of the labels; empty if there is none.
func counted(t *testing.T, page string, labels ...string) string {
	t.Helper()
	resp, err := http.Get(page)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^chaos_faults_total\{([^\n]*)\} (\S+)$`).FindAllStringSubmatch(string(b), -1) {
		found := m[2]
		for _, l := range labels {
			if !strings.Contains(m[1], l) {
				found = ""
			}
		}
		if found != "" {
			return found
		}
	}
	return ""
}

// TestFaultsAreCounted: what was injected is on the page, once each, and in spans, by rule,
// kind, dependency and node; of both proxies.
func TestFaultsAreCounted(t *testing.T) {
	const startup = "\x04\x00\x00\x07\x01\x00\x00\x00\x16\x00\x01\x00\x0bCQL_VERSION\x00\x053.0.0"
	for _, c := range []struct {
		command string
		args    []string
		send    string
		labels  []string
	}{
		{"proxy", []string{"--dependency", "d", "--upstream", tcptest.Serve(t, tcptest.Discard), write(t, refusePlan)}, "",
			[]string{`chaos_rule="closed door"`, `chaos_kind="refuse"`, `chaos_dependency="d"`}},
		{"cql", []string{"--listen", "127.0.0.1:0", "--upstream", tcptest.Serve(t, tcptest.Discard), "--name", "n1", "--plan",
			write(t, "rules:\n  - name: lost\n    where: {operation: STARTUP}\n    what: {kind: reset}\n")}, startup,
			[]string{`chaos_rule="lost"`, `chaos_kind="reset"`, `chaos_dependency="cassandra"`, `chaos_node="n1"`}},
	} {
		t.Run(c.command, func(t *testing.T) {
			var mu sync.Mutex
			var spans []byte
			collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				b, _ := io.ReadAll(r.Body)
				mu.Lock()
				defer mu.Unlock()
				spans = append(spans, b...)
			}))
			defer collector.Close()
			defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
			out := &lines{ch: make(chan string, 50)}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			done := make(chan int, 1)
			go func() {
				done <- run(ctx, append([]string{c.command, "--page", "127.0.0.1:0"}, c.args...), out, io.Discard)
			}()
			page := after(t, out, "metrics at ")
			proxy := after(t, out, " at ")
			for range 3 {
				conn, err := net.Dial("tcp", proxy)
				if err != nil {
					continue // which is how a refusal can look
				}
				// Errors are what the fault does.
				_, _ = io.WriteString(conn, c.send)
				_, _ = io.Copy(io.Discard, conn)
				conn.Close()
			}
			holds(t, "three faults are counted", func() bool { return counted(t, page, c.labels...) == "3" })
			cancel()
			if status := <-done; status != 0 {
				t.Errorf("status %d", status)
			}
			mu.Lock()
			defer mu.Unlock()
			// A span has the name, and its event too.
			if n := bytes.Count(spans, []byte("chaos.fault")); n != 6 {
				t.Errorf("%d names of spans and events, want 3 of each", n)
			}
			for _, label := range c.labels {
				_, value, _ := strings.Cut(label, `="`)
				if !bytes.Contains(spans, []byte(strings.TrimSuffix(value, `"`))) {
					t.Errorf("no %s in the spans", value)
				}
			}
		})
	}
}

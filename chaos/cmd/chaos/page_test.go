package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// holds waits for a condition.
func holds(t *testing.T, what string, cond func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-ctx.Done():
			t.Fatalf("not within a minute: %s", what)
		case <-tick.C:
		}
	}
}

// after is what follows a word in a line that a command says.
func after(t *testing.T, out *lines, word string) string {
	t.Helper()
	line := <-out.ch
	_, rest, ok := strings.Cut(line, word)
	if !ok {
		t.Fatalf("it said %q, not %q", line, word)
	}
	rest, _, _ = strings.Cut(rest, ",")
	return strings.TrimSpace(rest)
}

// upstream answers each connection with a word.
func upstream(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, "hello")
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

func greeted(addr string) bool {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return false
	}
	defer c.Close()
	b, err := io.ReadAll(c)
	return err == nil && string(b) == "hello"
}

const refusePlan = "rules:\n  - name: closed door\n    where: {dependency: d}\n    what: {kind: refuse}\n"

func TestFaultsOfAProxyAreSpansAndAMetric(t *testing.T) {
	spans := make(chan []byte, 100)
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		spans <- b
	}))
	defer collector.Close()
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	out := &lines{ch: make(chan string, 20)}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, []string{"proxy", "--dependency", "d", "--upstream", upstream(t), "--page", "127.0.0.1:0", write(t, refusePlan)}, out, out)
	}()
	page := after(t, out, "metrics at ")
	proxy := after(t, out, "d at ")
	if greeted(proxy) {
		t.Error("a connection was not refused")
	}
	holds(t, "the fault is counted", func() bool {
		resp, err := http.Get(page)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		return err == nil && bytes.Contains(b, []byte("chaos_faults_total{")) && bytes.Contains(b, []byte(`chaos_rule="closed door"`))
	})
	cancel()
	if status := <-done; status != 0 {
		t.Errorf("status %d", status)
	}
	for { // Its end sent what was left.
		select {
		case b := <-spans:
			if bytes.Contains(b, []byte("chaos.fault")) && bytes.Contains(b, []byte("closed door")) {
				return
			}
		default:
			t.Fatal("no span tells of the fault")
		}
	}
}

func TestFaultsEndWithWhoAskedForThem(t *testing.T) {
	out := &lines{ch: make(chan string, 20000)}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, []string{"proxy", "--dependency", "d", "--upstream", upstream(t), "--page", "127.0.0.1:0", "--dead-man", "300ms", write(t, refusePlan)}, out, out)
	}()
	after(t, out, "metrics at ")
	proxy := after(t, out, "d at ")
	holds(t, "nobody is there, and connections pass", func() bool { return greeted(proxy) })
	cancel()
	if status := <-done; status != 0 {
		t.Errorf("status %d", status)
	}
}

func TestASignOfLifeIsPassedOn(t *testing.T) {
	var out bytes.Buffer
	p, err := openPage(t.Context(), pageFlags{addr: "127.0.0.1:0"}, &out)
	if err != nil {
		t.Fatal(err)
	}
	defer p.close(t.Context())
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	signs := 0
	p.keeps(func() { signs++ })
	base := strings.TrimSuffix(strings.Fields(out.String())[2], "/metrics,")
	for _, r := range []struct {
		method, path string
		status       int
	}{{http.MethodPost, "/alive", 204}, {http.MethodGet, "/metrics", 200}, {http.MethodGet, "/alive", 405}, {http.MethodPost, "/other", 404}} {
		req, err := http.NewRequestWithContext(t.Context(), r.method, base+r.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != r.status {
			t.Errorf("%s %s: %d, want %d", r.method, r.path, resp.StatusCode, r.status)
		}
	}
	if signs != 1 {
		t.Errorf("%d signs of life were passed on, want 1", signs)
	}
}

func TestAPageThatCannotBe(t *testing.T) {
	plan := write(t, refusePlan)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, c := range []struct {
		args   []string
		status int
		says   string
	}{
		{[]string{"--page", "0.0.0.0:0"}, 2, "loopback"},
		{[]string{"--dead-man", "10s"}, 2, "--dead-man needs --page"},
		{[]string{"--page", "127.0.0.1:0", "--dead-man", "1ms"}, 2, "10ms or more"},
		{[]string{"--page", taken.Addr().String()}, 1, "give --page a free port"},
	} {
		for _, command := range [][]string{
			{"proxy", "--dependency", "d", "--upstream", "127.0.0.1:1", plan},
			{"cql", "--listen", "127.0.0.1:0", "--upstream", "127.0.0.1:1", "--dependency", "d", "--plan", plan},
		} {
			if command[0] == "cql" {
				command[len(command)-1] = write(t, strings.Replace(refusePlan, "refuse", "drop_reply", 1))
			}
			var out bytes.Buffer
			if status := run(t.Context(), append(command[:len(command):len(command)], c.args...), &out, &out); status != c.status || !strings.Contains(out.String(), c.says) {
				t.Errorf("%s %v: status %d, %s", command[0], c.args, status, out.String())
			}
		}
	}
}

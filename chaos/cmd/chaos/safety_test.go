package main

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/backstay-go/backstay/chaos"
)

// TestEveryCommandThatHarmsIsRefused: where the process forbids faults.
func TestEveryCommandThatHarmsIsRefused(t *testing.T) {
	t.Setenv(chaos.OffVariable, "off")
	plan, cql := write(t, refusePlan), write(t, cqlPlan)
	for _, args := range [][]string{
		{"proxy", "--dependency", "d", "--upstream", "127.0.0.1:1", plan},
		{"proxy", "--api", "127.0.0.1:0"},
		{"cql", "--listen", "127.0.0.1:0", "--upstream", "127.0.0.1:1", "--name", "n1", "--plan", cql},
		{"run", "hang"},
		{"enumerate", "show", "--protocol", "process"},
	} {
		if status, out := command(t, args...); status == 0 || !strings.Contains(out, chaos.OffVariable) {
			t.Errorf("%v: status %d, %s", args, status, out)
		}
	}
	if status, out := command(t, "check", plan); status != 0 {
		t.Errorf("a plan can't be checked: status %d, %s", status, out)
	}
}

// TestATokenOpensTheInterfaceToOthers: an address that others can reach takes a token,
// and then asks for it.
func TestATokenOpensTheInterfaceToOthers(t *testing.T) {
	const token = "a-long-token-that-is-hard-to-guess"
	for text, says := range map[string]string{"short": "at least 16", "": "at least 16"} {
		if status, out := command(t, "proxy", "--api", "0.0.0.0:0", "--token-file", write(t, text)); status != 2 || !strings.Contains(out, says) {
			t.Errorf("token %q: status %d, %s", text, status, out)
		}
	}
	out := &lines{ch: make(chan string, 20)}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, []string{"proxy", "--api", "0.0.0.0:0", "--token-file", write(t, token+"\n")}, out, out)
	}()
	_, port, err := net.SplitHostPort(after(t, out, "interface at "))
	if err != nil {
		t.Fatal(err)
	}
	for header, want := range map[string]int{"": 401, "Bearer " + token: 200} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:"+port+"/proxies", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", header)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%q: %d, want %d", header, resp.StatusCode, want)
		}
	}
	cancel()
	if status := <-done; status != 0 {
		t.Errorf("status %d", status)
	}
}

// TestTheCQLCommandStandsBeforeSeveralNodes: each --listen is before the --upstream of the
// same place.
func TestTheCQLCommandStandsBeforeSeveralNodes(t *testing.T) {
	var nodes []net.Listener
	args := []string{"cql", "--plan", write(t, "rules:\n  - name: lost\n    where: {node: n2}\n    what: {kind: drop_reply}\n")}
	for _, name := range []string{"n1", "n2", "n3"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		nodes = append(nodes, l)
		args = append(args, "--listen", "127.0.0.1:0", "--upstream", l.Addr().String(), "--name", name)
	}
	out := &lines{ch: make(chan string, 20)}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan int, 1)
	go func() { done <- run(ctx, args, out, out) }()
	// An OPTIONS frame of version 4, as it must reach the node.
	sent := []byte{4, 0, 0, 1, 5, 0, 0, 0, 0}
	for _, node := range nodes {
		client, err := net.Dial("tcp", after(t, out, "cassandra at "))
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		if _, err := client.Write(sent); err != nil {
			t.Fatal(err)
		}
		up, err := node.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer up.Close()
		got := make([]byte, len(sent))
		if n, err := up.Read(got); err != nil || !bytes.Equal(got[:n], sent) {
			t.Errorf("%x, %v", got[:n], err)
		}
	}
	cancel()
	if status := <-done; status != 0 {
		t.Errorf("status %d", status)
	}
}

package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"testing"
)

const cqlPlan = `rules:
  - name: lost
    where: {dependency: cassandra, node: n1, table: t}
    what: {kind: drop_reply}
`

func TestTheCQLCommandSaysWhatIsWrong(t *testing.T) {
	ok := write(t, cqlPlan)
	for _, c := range []struct {
		name string
		args []string
		says string
	}{
		{"no nodes", nil, "Nodes is empty"},
		{"unpaired", []string{"--listen", "127.0.0.1:0"}, "1 --listen and 0 --upstream"},
		{"names missing", []string{"--listen", "127.0.0.1:0", "--upstream", "127.0.0.1:1", "--name", "a", "--name", "b"}, "2 --name and 1 --upstream"},
		{"open to all", []string{"--listen", "0.0.0.0:9042", "--upstream", "127.0.0.1:1"}, "loopback"},
		{"bad upstream", []string{"--listen", "127.0.0.1:0", "--upstream", "node"}, `Upstream is "node": give host:port`},
		{"unknown node", []string{"--listen", "127.0.0.1:0", "--upstream", "127.0.0.1:1", "--name", "n2", "--plan", ok}, `no node is called "n1"; did you mean "n2"?`},
		{"unknown dependency", []string{"--listen", "127.0.0.1:0", "--upstream", "127.0.0.1:1", "--name", "n1", "--dependency", "db", "--plan", ok}, `no dependency is called "cassandra"`},
		{"bad plan", []string{"--listen", "127.0.0.1:0", "--upstream", "127.0.0.1:1", "--plan", write(t, "rules: [{what: {kind: drop_replies}}]")}, `did you mean "drop_reply"?`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			if got := run(t.Context(), append([]string{"cql"}, c.args...), &out, &out); got != 2 || !strings.Contains(out.String(), c.says) {
				t.Errorf("status %d, want 2 and %q in\n%s", got, c.says, out.String())
			}
		})
	}
}

func TestTheCQLCommandRunsBeforeANodeThatIsDown(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	down := l.Addr().String()
	l.Close()
	out, errs := &lines{ch: make(chan string, 20)}, &lines{ch: make(chan string, 20)}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, []string{"cql", "--listen", "127.0.0.1:0", "--upstream", down, "--name", "n1", "--plan", write(t, cqlPlan)}, out, errs)
	}()
	_, rest, _ := strings.Cut(<-out.ch, "cassandra at ")
	address, _, _ := strings.Cut(rest, ",")
	for _, want := range []string{"cassandra, n1: cannot read the schema", "were not checked"} {
		if reported := <-errs.ch; !strings.Contains(reported, want) {
			t.Errorf("got %q, want %q", reported, want)
		}
	}
	if c, err := net.Dial("tcp", address); err == nil {
		_, _ = io.ReadAll(c)
		c.Close()
	}
	if reported := <-errs.ch; !strings.Contains(reported, "cassandra, n1: cannot reach the node") {
		t.Errorf("got %q", reported)
	}
	cancel()
	if status := <-done; status != 0 {
		t.Errorf("status %d", status)
	}
	for _, want := range []string{"1 connections, 0 bytes up, 0 bytes down", "lost: chosen 0 times"} {
		if said := <-out.ch; !strings.Contains(said, want) {
			t.Errorf("said %q, want %q", said, want)
		}
	}
}

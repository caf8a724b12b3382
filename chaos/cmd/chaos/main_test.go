package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/internal/cli"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// run runs a command line, without standard input, and returns the exit status.
func run(ctx context.Context, args []string, out, errs io.Writer) int {
	return runWith(ctx, "", args, out, errs)
}

// runWith is run with a standard input.
func runWith(ctx context.Context, input string, args []string, out, errs io.Writer) int {
	streams := &cli.Streams{In: strings.NewReader(input), Out: out, Err: errs}
	return cli.Run(ctx, program(streams), streams, args)
}

const good = `name: a bad hour
seed: 7
rules:
  - name: catalog slow
    where: {dependency: catalog, protocol: tcp}
    when: {from: 10s, to: 30s}
    what: {kind: latency, delay: 300ms, jitter: 50ms}
    often: {probability: 0.5}
  - name: catalog cut
    where: {dependency: catalog, protocol: tcp}
    when: {from: 40s, to: 60s}
    what: {kind: reset}
`

const detailed = `rules:
  - where: {protocol: cql, operation: BATCH, consistency: LOCAL_QUORUM, conditional: true}
    when: {every: 10}
    what: {kind: cql_error, code: write_timeout, at: after}
  - where: {dependency: db, node: n1}
    what: {kind: partition, peers: [n2, clients]}
  - where: {dependency: orders}
    when: {ramp: 10s}
    what: {kind: reset, delay: 2s, after_uptime: 100ms}
  - where: {dependency: orders}
    what: {kind: status, status: 503, headers: {X-Reason: drill}, retry_after: 5s}
`

func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "plan.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestEachDelayHasAWord: a sentence about a kind that takes a delay says what it is.
func TestEachDelayHasAWord(t *testing.T) {
	for _, k := range chaos.Kinds() {
		takes := slices.Contains(slices.Concat(k.Needs, k.Takes), "delay")
		if _, ok := delays[k.Kind]; ok != takes {
			t.Errorf("%s takes a delay: %t, has a word for it: %t", k.Kind, takes, ok)
		}
	}
}

func TestCommands(t *testing.T) {
	ok, bad := write(t, good), write(t, strings.Replace(good, "kind: reset", "kind: rest", 1))
	for _, c := range []struct {
		name string
		args []string
		want int
		says []string
	}{
		{"good", []string{"check", ok}, 0, nil},
		{"bad", []string{"check", ok, bad}, 1, []string{"rest", "reset"}},
		{"missing", []string{"check", "none.yaml"}, 2, []string{"none.yaml"}},
		{"bad and missing", []string{"check", bad, "none.yaml"}, 2, []string{"none.yaml", `did you mean`}},
		{"bad, as JSON", []string{"check", "-o", "json", bad}, 1, []string{`"problems": [`}},
		{"well, as JSON", []string{"check", "-o", "json", ok}, 0, []string{"[]"}},
		{"no plan", []string{"check"}, 2, []string{"chaos check --help"}},
		{"a scenario", []string{"check", write(t, short)}, 0, nil},
		{"a bad scenario", []string{"check", write(t, strings.Replace(short, "kind: status", "kind: stattus", 1))}, 1, []string{`did you mean "status"?`}},
		{"a scenario that its system can't play", []string{"check", write(t, strings.Replace(short, "dependency: membership", "dependency: members", 1))}, 1, []string{"plan.yaml:11:13: error: faults[0].where.dependency", `did you mean "membership"?`}},
		{"a setting that isn't there", []string{"check", write(t, strings.Replace(short, "members:", "membres:", 1))}, 1, []string{"plan.yaml:3:12: error: settings.membres: there is no such setting"}},
		{"a scenario on one line", []string{"check", write(t, `{"name": "a", "load": [{"for": "5s", "per_second": 0}]}`)}, 1, []string{"load[0].per_second: is 0"}},
		{"a plan with a header called load", []string{"check", write(t, "rules:\n  - where: {dependency: a}\n    what:\n      kind: status\n      status: 503\n      headers:\n        load: high\n")}, 0, nil},
		{"a scenario for a proxy", []string{"proxy", "--dependency", "membership", "--upstream", "127.0.0.1:1", write(t, short)}, 2, []string{"is a scenario", "chaos run"}},
		{"explain a scenario", []string{"explain", write(t, short)}, 0, []string{"short\nseed 9, 1 rule, over after 2s", "from 1s to 2s membership (over http) answers with an error status 500."}},
		{"a plan for another place", []string{"proxy", "--dependency", "cassandra", "--upstream", "127.0.0.1:1", write(t, cqlPlan)}, 2, []string{`on tcp: "lost" (drop_reply)`}},
		{"explain CQL", []string{"explain", write(t, cqlPlan)}, 0, []string{"cassandra (node n1, table t) executes and loses the reply."}},
		{"explain more", []string{"explain", write(t, detailed)}, 0, []string{
			"every dependency (over cql, operation BATCH, at LOCAL_QUORUM, with IF) answers with a CQL error write_timeout, once it was carried out, only each call whose number is a multiple of 10.",
			"db (node n1) is cut off from n2, clients.",
			"orders resets the connection after 2s [after_uptime: 100ms], more and more for 10s; over tcp, cql only, as its parameters mean nothing elsewhere.",
			"orders answers with an error status 503 [headers: X-Reason: drill retry_after: 5s]."}},
		{"explain", []string{"explain", ok}, 0, []string{"a bad hour", "from 10s to 30s catalog (over tcp) is slow by 300ms ± 50ms, with a chance of 50 %.",
			"catalog slow  ..........####################..............................", "catalog cut   ........................................####################"}},
		{"no upstream", []string{"proxy", "--dependency", "catalog", ok}, 2, []string{"Upstream"}},
		{"a name for loopback", []string{"proxy", "--dependency", "d", "--upstream", "127.0.0.1:1", "--listen", "localhost:0", ok}, 2, []string{`no dependency is called "catalog"`}},
		{"open to all", []string{"proxy", "--dependency", "catalog", "--upstream", "127.0.0.1:1", "--listen", "0.0.0.0:0", ok}, 2, []string{"loopback"}},
		{"a plan for another node", []string{"proxy", "--dependency", "catalog", "--upstream", "127.0.0.1:1", write(t, "rules: [{where: {node: node1}, what: {kind: reset}}]")}, 2, []string{`plan.yaml:1:18: error: rules[0].where.node: "rule 1": no node is called "node1"; there are: 127.0.0.1:1`}},
		{"a plan for another node by name", []string{"proxy", "--dependency", "catalog", "--upstream", "127.0.0.1:1", "--name", "node2", write(t, "rules: [{where: {node: node1}, what: {kind: reset}}]")}, 2, []string{`no node is called "node1"; did you mean "node2"?`}},
		{"a plan for somebody else", []string{"proxy", "--dependency", "membership", "--upstream", "127.0.0.1:1", ok}, 2, []string{`plan.yaml:5:13: error: rules[0].where.dependency: "catalog slow": no dependency is called "catalog"`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			if got := run(t.Context(), c.args, &out, &out); got != c.want {
				t.Errorf("status %d, want %d", got, c.want)
			}
			for _, says := range c.says {
				if !strings.Contains(out.String(), says) {
					t.Errorf("%q is not in\n%s", says, out.String())
				}
			}
		})
	}
}

func TestStandardInput(t *testing.T) {
	for _, c := range []struct {
		name, input string
		args        []string
		want        int
		says        string
	}{
		{"a plan", good, []string{"explain", "-"}, 0, "catalog slow"},
		{"a bad plan", strings.Replace(good, "kind: reset", "kind: rest", 1), []string{"check", "-"}, 1, "standard input:12:18: error: "},
		{"a scenario for a proxy", short, []string{"proxy", "--dependency", "d", "--upstream", "127.0.0.1:1", "-"}, 2, "standard input is a scenario"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			if got := runWith(t.Context(), c.input, c.args, &out, &out); got != c.want || !strings.Contains(out.String(), c.says) {
				t.Errorf("status %d, want %d, and %q in\n%s", got, c.want, c.says, out.String())
			}
		})
	}
}

// lines is a writer that tests read lines from.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
	ch  chan string
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf.Write(b)
	for {
		line, err := l.buf.ReadString('\n')
		if err != nil {
			l.buf.WriteString(line)
			return len(b), nil
		}
		l.ch <- line
	}
}

func TestTheProxyFollowsThePlan(t *testing.T) {
	listen, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer listen.Close() // before the wait: a test that failed early would wait for ever
	wg.Go(func() {
		c, err := listen.Accept()
		if err == nil {
			_, _ = io.WriteString(c, "hello")
			c.Close()
		}
	})
	plan := write(t, "rules:\n  - name: slow\n    where: {dependency: d, node: n1}\n    what: {kind: latency, delay: 1ms}\n"+
		"  - name: for nodes\n    where: {dependency: db, node: n2}\n    what: {kind: kill}\n")
	out := &lines{ch: make(chan string, 10)}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan int)
	go func() {
		done <- run(ctx, []string{"proxy", "--dependency", "d", "--name", "n1", "--upstream", listen.Addr().String(), plan}, out, out)
	}()
	if reported := <-out.ch; !strings.Contains(reported, `do nothing here: "for nodes" (kill)`) {
		t.Errorf("got %q", reported)
	}
	_, rest, _ := strings.Cut(<-out.ch, "d at ")
	address, _, _ := strings.Cut(rest, ",")
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if b, err := io.ReadAll(c); err != nil || string(b) != "hello" {
		t.Errorf("%q, %v", b, err)
	}
	if reported := <-out.ch; !strings.Contains(reported, "slow: latency") {
		t.Errorf("got %q", reported)
	}
	cancel()
	if status := <-done; status != 0 {
		t.Errorf("status %d", status)
	}
	if sum := <-out.ch; !strings.Contains(sum, "1 connections, 0 bytes up, 5 bytes down") {
		t.Errorf("sum %q", sum)
	}
}

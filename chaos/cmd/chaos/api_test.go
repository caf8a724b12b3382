package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	client "github.com/Shopify/toxiproxy/v2/client"
)

func TestTheProxyServesToxiproxysInterface(t *testing.T) {
	config := write(t, `[{"name":"db","listen":"127.0.0.1:0","upstream":"127.0.0.1:1"}]`)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	said, says := io.Pipe()
	var errs bytes.Buffer
	done := make(chan int, 1)
	go func() {
		status := run(ctx, []string{"proxy", "--api", "127.0.0.1:0", "--config", config}, says, &errs)
		_ = says.Close()
		done <- status
	}()
	line, err := bufio.NewReader(said).ReadString('\n')
	if err != nil {
		t.Fatalf("it ended with %d before it served: %s", <-done, errs.String())
	}
	addr := strings.TrimSuffix(strings.Fields(line)[3], ",")
	all, err := client.NewClient(addr).Proxies()
	if err != nil || all["db"] == nil || !all["db"].Enabled {
		t.Errorf("proxies %v, %v", all, err)
	}
	stop()
	if status := <-done; status != 0 {
		t.Errorf("status %d: %s", status, errs.String())
	}
	var out bytes.Buffer
	if status := run(t.Context(), []string{"proxy", "--api", "0.0.0.0:0"}, &out, &out); status != 2 || !strings.Contains(out.String(), "loopback") {
		t.Errorf("status %d: %s", status, out.String())
	}
}

func TestTheInterfaceSaysWhatIsWrong(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	plan := write(t, good)
	for _, c := range []struct {
		name string
		args []string
		want int
		says string
	}{
		{"a proxy without upstream", []string{"--api", "127.0.0.1:0", "--config", write(t, `[{"name":"db"}]`)}, 2, "missing required field: upstream at proxy 1"},
		{"no list", []string{"--api", "127.0.0.1:0", "--config", write(t, `{"name":"db"}`)}, 2, "it is a list in JSON"},
		{"no file", []string{"--api", "127.0.0.1:0", "--config", plan + ".gone"}, 2, ".gone"},
		{"a port that is taken", []string{"--api", "127.0.0.1:0", "--config", write(t, `[{"name":"db","listen":"`+taken.Addr().String()+`","upstream":"127.0.0.1:1"}]`)}, 1, "choose a free host:port"},
		{"flags of a plan", []string{"--api", "127.0.0.1:0", "--upstream", "127.0.0.1:1", "--dependency", "db"}, 2, "--upstream, --dependency: for a PLAN"},
		{"flags of the interface", []string{"--upstream", "127.0.0.1:1", "--dependency", "catalog", "--seed", "7", plan}, 2, "--seed: for --api"},
	} {
		t.Run(c.name, func(t *testing.T) {
			// What should be refused and is not would serve until then.
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			var out bytes.Buffer
			if status := run(ctx, append([]string{"proxy"}, c.args...), &out, &out); status != c.want || !strings.Contains(out.String(), c.says) {
				t.Errorf("status %d, want %d, and %q in\n%s", status, c.want, c.says, out.String())
			}
		})
	}
}

package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"strings"
	"testing"

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
	if status := run(t.Context(), []string{"proxy", "--api", "127.0.0.1:0", "--config", write(t, `[{"name":"db"}]`)}, &out, &out); status != 1 || !strings.Contains(out.String(), "missing required field: upstream") {
		t.Errorf("status %d: %s", status, out.String())
	}
}

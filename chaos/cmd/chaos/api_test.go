package main

import (
	"bytes"
	"context"
	"net"
	"strings"
	"testing"
	"time"

	client "github.com/Shopify/toxiproxy/v2/client"
)

func TestTheProxyServesToxiproxysInterface(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	config := write(t, `[{"name":"db","listen":"127.0.0.1:0","upstream":"127.0.0.1:1"}]`)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var out bytes.Buffer
	done := make(chan int, 1)
	go func() { done <- run(ctx, []string{"proxy", "--api", addr, "--config", config}, &out, &out) }()
	c := client.NewClient(addr)
	var all map[string]*client.Proxy
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		if all, err = c.Proxies(); err == nil {
			break
		}
	}
	if err != nil || all["db"] == nil || !all["db"].Enabled {
		t.Errorf("proxies %v, %v", all, err)
	}
	stop()
	if status := <-done; status != 0 {
		t.Errorf("status %d: %s", status, out.String())
	}
	if status := run(t.Context(), []string{"proxy", "--api", "0.0.0.0:0"}, &out, &out); status != 2 || !strings.Contains(out.String(), "loopback") {
		t.Errorf("status %d: %s", status, out.String())
	}
	if status := run(t.Context(), []string{"proxy", "--api", "127.0.0.1:0", "--config", write(t, `[{"name":"db"}]`)}, &out, &out); status != 1 || !strings.Contains(out.String(), "missing required field: upstream") {
		t.Errorf("status %d: %s", status, out.String())
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"github.com/backstay-go/backstay/clients/rest/server"
)

const (
	rounds = 10
	// notice is how long a server that is not ready goes on, and when the balancer sees
	// that it is not.
	notice = 100 * time.Millisecond
	linger = 500 * time.Millisecond
	// warm is how long clients send before a server ends.
	warm = 100 * time.Millisecond
)

// end is a way to end a server.
type end struct {
	name string
	// serve serves until ctx ends, then ends.
	serve func(ctx context.Context, s *http.Server, l net.Listener) error
}

// plain serves as net/http does; after the notice, end ends it.
func plain(end func(*http.Server) error) func(context.Context, *http.Server, net.Listener) error {
	return func(ctx context.Context, s *http.Server, l net.Listener) error {
		served := make(chan error, 1)
		go func() { served <- s.Serve(l) }()
		<-ctx.Done()
		time.Sleep(notice)
		err := end(s)
		if e := <-served; !errors.Is(e, http.ErrServerClosed) {
			err = errors.Join(err, e)
		}
		return err
	}
}

var ends = []end{
	{"`Shutdown`", plain(func(s *http.Server) error { return s.Shutdown(context.Background()) })},
	{"`SetKeepAlivesEnabled(false)`, 500 ms, `Shutdown`", plain(func(s *http.Server) error {
		s.SetKeepAlivesEnabled(false)
		time.Sleep(linger)
		return s.Shutdown(context.Background())
	})},
	{"`server.Server`", func(ctx context.Context, s *http.Server, l net.Listener) error {
		own, err := server.NewServer(server.ServerConfig{HTTP: s, Notice: notice, Linger: linger})
		if err != nil {
			return err
		}
		return own.Run(ctx, l)
	}},
}

// running is a server that runs.
type running struct {
	url  string
	stop context.CancelFunc
	done chan error
}

func start(e end, p *http.Protocols) (*running, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &running{url: "http://" + l.Addr().String(), stop: stop, done: make(chan error, 1)}
	s := &http.Server{Handler: http.HandlerFunc(answer), Protocols: p, ReadHeaderTimeout: time.Minute}
	go func() { r.done <- e.serve(ctx, s, l) }()
	return r, nil
}

// count is what came of requests.
type count struct{ sent, failed atomic.Int64 }

// measure ends servers one after the other, each way in turn, under the same clients.
func measure(k kind) ([]*count, error) {
	counts := make([]*count, len(ends))
	for i := range counts {
		counts[i] = &count{}
	}
	other, err := start(ends[0], k.protocols())
	if err != nil {
		return nil, err
	}
	to := &target{count: counts[0]}
	to.server.Store(other)
	stop := k.clients(to)
	defer stop()
	for range rounds {
		for i, e := range ends {
			mine, err := start(e, k.protocols())
			if err != nil {
				return nil, err
			}
			to.move(mine, counts[i])
			time.Sleep(warm)
			mine.stop()
			time.Sleep(notice)
			to.server.Store(other)
			if err := <-mine.done; err != nil {
				return nil, fmt.Errorf("%s: %w", e.name, err)
			}
		}
	}
	return counts, nil
}

func run() error {
	var b strings.Builder
	fmt.Fprintf(&b, `# Requests lost while a server ends

Made by `+"`go run ./draining`"+` in docs/benchmarks: %s, %s/%s, %d cores, clients and servers in one process, over loopback. 50 clients send POSTs of 100 bytes over kept connections. Each way ends %d servers, in turn, under the same clients. A server that is to end says that it is not ready; %v later the balancer sends clients elsewhere, and the server begins to end. Failed of sent, per way:

| | HTTP/1.1, busy | HTTP/1.1, 3 ms pause | HTTP/2, 3 ms pause |
|-|-|-|-|
`, runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), rounds, notice)
	rows := make([]string, len(ends))
	for i, e := range ends {
		rows[i] = "| " + e.name
	}
	for _, k := range kinds {
		counts, err := measure(k)
		if err != nil {
			return fmt.Errorf("%s: %w", k.name, err)
		}
		for i, c := range counts {
			rows[i] += fmt.Sprintf(" | %d of %d", c.failed.Load(), c.sent.Load())
			fmt.Fprintf(os.Stderr, "%s, %s: %d of %d\n", k.name, ends[i].name, c.failed.Load(), c.sent.Load())
		}
	}
	b.WriteString(strings.Join(rows, " |\n") + " |\n\nHTTP/1.1 clients can't send a body twice here, HTTP/2 clients (without TLS) can: a Go client drops a request whose connection is taken away before it was begun, if it can't get the body again.\n")
	return os.WriteFile("draining/README.md", []byte(b.String()), 0o644)
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
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
		go func() {
			if s.TLSConfig != nil {
				served <- s.ServeTLS(l, "", "")
			} else {
				served <- s.Serve(l)
			}
		}()
		<-ctx.Done()
		time.Sleep(notice)
		err := end(s)
		if e := <-served; !errors.Is(e, http.ErrServerClosed) {
			err = errors.Join(err, e)
		}
		return err
	}
}

// shutdown is bounded: over TLS it may wait for a connection for ever.
func shutdown(s *http.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return s.Close()
}

var ends = []end{
	{"`Shutdown`", plain(shutdown)},
	{"`SetKeepAlivesEnabled(false)`, 500 ms, `Shutdown`", plain(func(s *http.Server) error {
		s.SetKeepAlivesEnabled(false)
		time.Sleep(linger)
		return shutdown(s)
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

func start(e end, k kind) (*running, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &running{url: "http://" + l.Addr().String(), stop: stop, done: make(chan error, 1)}
	s := &http.Server{Handler: http.HandlerFunc(answer), Protocols: k.protocols(), ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0)}
	if k.tls {
		own, _ := certified()
		s.TLSConfig, r.url = own.Clone(), "https://"+l.Addr().String()
	}
	go func() { r.done <- e.serve(ctx, s, l) }()
	return r, nil
}

// count is what came of requests.
type count struct{ sent, failed atomic.Int64 }

// measure ends servers one after the other, each way at the same time under clients of
// its own.
func measure(k kind) ([]*count, error) {
	counts, errs := make([]*count, len(ends)), make([]error, len(ends))
	var all sync.WaitGroup
	for i, e := range ends {
		counts[i] = &count{}
		all.Go(func() { errs[i] = k.under(e, counts[i]) })
	}
	all.Wait()
	return counts, errors.Join(errs...)
}

// under ends servers in one way.
func (k kind) under(e end, c *count) error {
	now, err := start(e, k)
	if err != nil {
		return err
	}
	to := &target{count: c}
	to.server.Store(now)
	stop := k.clients(to)
	defer stop()
	for range rounds {
		next, err := start(e, k)
		if err != nil {
			return err
		}
		time.Sleep(warm)
		now.stop()
		time.Sleep(notice)
		to.server.Store(next)
		if err := <-now.done; err != nil {
			return fmt.Errorf("%s: %w", e.name, err)
		}
		now = next
	}
	return nil
}

func run() error {
	var b strings.Builder
	fmt.Fprintf(&b, `# Requests lost while a server ends

Made by `+"`go run ./draining`"+` in docs/benchmarks: %s, %s/%s, %d cores, clients and servers in one process, over loopback. 50 clients, of which 5 are busy and the others pause for %v, send POSTs of 100 bytes over kept connections, with bodies that can't be sent again. Each way ends %d servers, one after the other, under separate clients; the ways run side by side. A server that is to end says that it is not ready; %v later the balancer sends clients elsewhere, and the server begins to end. Failed of sent, per way:

| | HTTP/1.1 | HTTP/2 without TLS | HTTP/2 over TLS |
|-|-|-|-|
`, runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), pause, rounds, notice)
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
	b.WriteString(strings.Join(rows, " |\n") + " |\n")
	return os.WriteFile("draining/README.md", []byte(b.String()), 0o644)
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

package tcpproxy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/internal/faulttest"
	"github.com/backstay-go/backstay/chaos/tcpproxy"
)

// unit is the length of delays here, and of what times are rounded to.
const unit = 100 * time.Millisecond

// seen is what both sides of a connection see of a fault, with times rounded down.
type seen struct {
	began time.Time
	mu    sync.Mutex
	log   strings.Builder
}

func (s *seen) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(&s.log, format+"\n", args...)
}

func (s *seen) at() int { return int(time.Since(s.began) / unit) }

// read takes what comes until n bytes are there, the time is over, or the end; false if
// there is no more to come.
func (s *seen) read(c net.Conn, n int, wait time.Duration) bool {
	if err := c.SetReadDeadline(time.Now().Add(wait)); err != nil {
		s.say("no deadline: %v", err)
		return false
	}
	b, got := make([]byte, 256), 0
	for got < n {
		m, err := c.Read(b)
		if got += m; m > 0 {
			s.say("%d: the client reads %q", s.at(), b[:m])
		}
		if err != nil {
			s.say("%d: %s", s.at(), class(err))
			return errors.Is(err, os.ErrDeadlineExceeded)
		}
	}
	return true
}

// talk is the client's side: it waits for the greeting, sends two messages and ends.
func (s *seen) talk(addr string) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		s.say("%d: %s", s.at(), class(err))
		return
	}
	defer c.Close()
	if !s.read(c, 1000, 3*unit/2) { // all of the greeting, and silence
		return
	}
	for range 2 {
		if _, err := io.WriteString(c, strings.Repeat("message ", 5)); err != nil {
			s.say("%d: %s", s.at(), class(err))
			return
		}
		if !s.read(c, 40, 3*unit) {
			return
		}
	}
	_ = c.(*net.TCPConn).CloseWrite() // The connection may be gone.
	s.read(c, 1000, 5*unit)
}

func class(err error) string {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "silence"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "reset"
	case errors.Is(err, io.EOF):
		return "end"
	}
	return "other error"
}

const greeting = "a greeting of more than twenty bytes"

// watch runs a fault on one connection: a greeting, two messages with their echo, the end.
func watch(t *testing.T, what chaos.What) string {
	s := &seen{}
	listen, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Error(err)
		return ""
	}
	var longest time.Duration
	injector, err := chaos.New(chaos.Plan{Seed: 1, Rules: []chaos.Rule{{Name: "r", Where: chaos.Where{Protocol: chaos.TCP}, What: what}}}, chaos.Config{Listeners: []chaos.Listener{
		chaos.ListenerFunc(func(_ context.Context, e chaos.Event) {
			s.mu.Lock()
			defer s.mu.Unlock()
			longest = e.Delay
		})}})
	if err != nil {
		t.Error(err)
		return ""
	}
	injector.Start()
	proxy, err := tcpproxy.Start(t.Context(), tcpproxy.Config{Dependency: "echo", Upstream: listen.Addr().String(), Injector: injector})
	if err != nil {
		t.Error(err)
		return ""
	}
	var wg sync.WaitGroup
	if what.Kind == chaos.ConnectionLimit {
		// It is seen by the second connection.
		first, err := net.Dial("tcp", proxy.Addr())
		if err != nil {
			t.Error(err)
			return ""
		}
		defer first.Close()
		if c, err := listen.Accept(); err == nil {
			defer c.Close()
		}
	}
	s.began = time.Now()
	var server strings.Builder
	wg.Go(func() {
		c, err := listen.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		// Errors are how a fault ends it.
		_, _ = io.WriteString(c, greeting)
		n, _ := io.Copy(c, c)
		fmt.Fprintf(&server, "%d: the server echoed %d\n", s.at(), n)
	})
	s.talk(proxy.Addr())
	took := time.Since(s.began)
	if err := proxy.Close(); err != nil {
		t.Error(err)
	}
	injector.Stop()
	listen.Close()
	wg.Wait()
	if k := what.Kind; k == chaos.SlowAccept || k == chaos.Latency {
		// Draws that are nearer to each other than the times are distinguished by this.
		if s.say("a delay of %s", longest); took < longest {
			t.Errorf("%s of %s was over after %s", k, longest, took)
		}
	}
	return s.log.String() + server.String()
}

// TestNoParameterIsIgnored: whatever parameter a kind takes on TCP changes what the client,
// the server or a listener sees.
func TestNoParameterIsIgnored(t *testing.T) { faulttest.Differ(t, chaos.TCP, unit, watch) }

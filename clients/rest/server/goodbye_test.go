package server_test

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/backstay-go/backstay/clients/rest/server"
)

// TestTLSSaysGoodbye: an answer on HTTP/2 with TLS says goodbye when no other stream
// runs, or when half of Linger has passed, and the connection that follows stays.
func TestTLSSaysGoodbye(t *testing.T) {
	ready := httptest.NewUnstartedServer(nil)
	ready.StartTLS()
	defer ready.Close()
	release := make(chan struct{})
	began := make(chan struct{}, 1)
	conns := make(chan string, 1000)
	s := run(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/held" {
			began <- struct{}{}
			<-release
			return
		}
		conns <- r.RemoteAddr
	}), nil, func(c *server.ServerConfig) {
		c.HTTP.TLSConfig = &tls.Config{Certificates: ready.TLS.Certificates}
		c.Linger = time.Hour
	})
	tr := ready.Client().Transport.(*http.Transport).Clone()
	tr.ForceAttemptHTTP2 = true
	defer tr.CloseIdleConnections()
	at := &site{client: &http.Client{Transport: tr}}
	get := func() string {
		resp, _ := at.answer(t, request(t, t.Context(), "GET", "https://"+s.addr, ""))
		if resp.StatusCode != 200 || resp.ProtoMajor != 2 {
			t.Error(resp.Status, resp.Proto)
		}
		return <-conns
	}
	first := get()
	held := at.do(request(t, t.Context(), "GET", "https://"+s.addr+"/held", ""))
	receive(t, "one is held", began)
	s.stop()
	wait(t, "it drains", s.Draining)
	if again := get(); again != first {
		t.Error("a connection on which a stream runs was closed at once")
	}
	server.Press(s.Server)
	second := first
	wait(t, "the connection is closed", func() bool { second = get(); return second != first })
	if again := get(); again != second {
		t.Error("the connection that followed was closed")
	}
	close(release)
	if resp := receive(t, "the held one is answered", held); resp == nil || resp.StatusCode != 200 {
		t.Errorf("%v", resp)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestHTTP2IsToldFirst: a caller on HTTP/2 without TLS is told to begin no more, streams
// that it begins before it has read that are answered, and the last stream is named
// only after they were. The caller here reads nothing until it has begun three.
func TestHTTP2IsToldFirst(t *testing.T) {
	release := make(chan struct{})
	began := make(chan struct{}, 3)
	s := run(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began <- struct{}{}
		<-release
	}), protocol("http2"), func(c *server.ServerConfig) { c.Linger = -1 })
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	write := func(kind, flags, stream byte, payload string) {
		t.Helper()
		if _, err := c.Write(append([]byte{0, 0, byte(len(payload)), kind, flags, 0, 0, 0, stream}, payload...)); err != nil {
			t.Fatal(err)
		}
	}
	// GET / of http://x, in HPACK: three of the static table, and a literal host.
	const get = "\x82\x84\x86\x01\x01x"
	if _, err := io.WriteString(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	write(4, 0, 0, "") // SETTINGS
	write(1, 5, 1, get)
	receive(t, "the first runs", began)
	s.stop()
	wait(t, "no connection is taken", func() bool {
		other, err := net.Dial("tcp", s.addr)
		if err == nil {
			_ = other.Close()
		}
		return err != nil
	})
	write(1, 5, 3, get)
	receive(t, "one that was begun without knowing", began)
	var last []uint32
	answered := map[uint32]bool{}
	released := false
	for len(last) < 2 {
		head := make([]byte, 9)
		if _, err := io.ReadFull(c, head); err != nil {
			t.Fatalf("after %v, %v: %v", last, answered, err)
		}
		payload := make([]byte, int(head[1])<<8|int(head[2]))
		if _, err := io.ReadFull(c, payload); err != nil {
			t.Fatal(err)
		}
		switch kind, flags, stream := head[3], head[4], uint32(head[8]); {
		case kind == 4 && flags == 0:
			write(4, 1, 0, "") // the server's SETTINGS, acknowledged
		case kind == 6 && flags == 0:
			write(1, 5, 5, get) // on the way when the goodbye came
			write(6, 1, 0, string(payload))
			receive(t, "the last one runs", began)
			if !released {
				released = true
				close(release)
			}
		case kind == 7:
			last = append(last, uint32(payload[0])<<24|uint32(payload[1])<<16|uint32(payload[2])<<8|uint32(payload[3]))
		case kind <= 1 && flags&1 != 0:
			answered[stream] = true
		}
		if len(last) == 2 && len(answered) != 3 {
			t.Errorf("the last stream was named with %d of 3 answered", len(answered))
		}
	}
	if last[0] != 1<<31-1 || last[1] != 5 {
		t.Errorf("GOAWAY named %v, want 2147483647 and 5", last)
	}
	_ = c.Close()
	if err := receive(t, "it ends", s.end); err != nil {
		t.Error(err)
	}
}

// TestACallerThatDoesNotAnswerTheGoodbye holds the end up for a while only.
func TestACallerThatDoesNotAnswerTheGoodbye(t *testing.T) {
	s := run(t, http.NotFoundHandler(), protocol("http2"), func(c *server.ServerConfig) { c.Linger, c.Limit = -1, 200*time.Millisecond })
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 9)); err != nil {
		t.Fatal(err)
	}
	s.stop()
	receive(t, "it ends", s.end)
}

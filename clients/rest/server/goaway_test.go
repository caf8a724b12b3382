package server_test

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/backstay-go/backstay/clients/rest/server"
)

// dialed is a connection to a server of HTTP/2, with TLS or without.
func dialed(t *testing.T, s *running, p *http.Protocols) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if !p.HTTP2() {
		return c
	}
	_, callers := certified()
	callers = callers.Clone()
	callers.NextProtos, callers.ServerName = []string{"h2"}, "example.com"
	return tls.Client(c, callers)
}

// TestHTTP2IsToldFirst: a caller on HTTP/2 is asked to begin no more, streams that it
// begins before it has read that are answered, and the last stream is named only after
// they were. The caller here reads nothing until it has begun three.
func TestHTTP2IsToldFirst(t *testing.T) {
	for _, name := range []string{"http2", "https2"} {
		t.Run(name, func(t *testing.T) { isToldFirst(t, protocol(name)) })
	}
}

func isToldFirst(t *testing.T, p *http.Protocols) {
	release := make(chan struct{})
	began := make(chan struct{}, 3)
	s := run(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began <- struct{}{}
		<-release
	}), p, func(c *server.ServerConfig) { c.Linger = -1 })
	c := dialed(t, s, p)
	write := func(kind, flags, stream byte, payload string) {
		t.Helper()
		if _, err := c.Write(append([]byte{0, 0, byte(len(payload)), kind, flags, 0, 0, 0, stream}, payload...)); err != nil {
			t.Fatal(err)
		}
	}
	// GET / of http://x or https://x, in HPACK: three of the static table, and a literal host.
	get := "\x82\x84\x86\x01\x01x"
	if p.HTTP2() {
		get = "\x82\x84\x87\x01\x01x"
	}
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
	for _, name := range []string{"http2", "https2"} {
		t.Run(name, func(t *testing.T) { doesNotAnswerTheGoodbye(t, protocol(name)) })
	}
}

func doesNotAnswerTheGoodbye(t *testing.T, p *http.Protocols) {
	s := run(t, http.NotFoundHandler(), p, func(c *server.ServerConfig) { c.Linger, c.Limit = -1, 200*time.Millisecond })
	c := dialed(t, s, p)
	if _, err := io.WriteString(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 9)); err != nil {
		t.Fatal(err)
	}
	s.stop()
	receive(t, "it ends", s.end)
}

// TestWhoPausesIsToldFirst: while Linger lasts, goodbye is said on connections that are
// idle, for a Go client that begins a request in that moment may fail.
func TestWhoPausesIsToldFirst(t *testing.T) {
	for _, name := range []string{"http2", "https2"} {
		t.Run(name, func(t *testing.T) {
			p := protocol(name)
			began, release := make(chan struct{}, 1), make(chan struct{})
			s := run(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				began <- struct{}{}
				<-release
			}), p, func(c *server.ServerConfig) { c.Linger = time.Hour })
			// reported is closed when a caller, which begins so many streams, gets GOAWAY.
			caller := func(streams int) (reported chan struct{}) {
				c := dialed(t, s, p)
				if _, err := io.WriteString(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"); err != nil {
					t.Fatal(err)
				}
				get := "\x82\x84\x86\x01\x01x"
				if p.HTTP2() {
					get = "\x82\x84\x87\x01\x01x"
				}
				for range streams {
					if _, err := io.WriteString(c, "\x00\x00"+string(rune(len(get)))+"\x01\x05\x00\x00\x00\x01"+get); err != nil {
						t.Fatal(err)
					}
				}
				reported, ready := make(chan struct{}), make(chan struct{})
				go func() {
					head := make([]byte, 9)
					for n := 0; ; n++ {
						if _, err := io.ReadFull(c, head); err != nil {
							return
						}
						if _, err := io.CopyN(io.Discard, c, int64(head[1])<<8|int64(head[2])); err != nil {
							return
						}
						if n == 0 {
							close(ready)
						}
						if head[3] == 7 {
							close(reported)
							return
						}
					}
				}()
				receive(t, "it is spoken to", ready)
				return reported
			}
			busy := caller(1)
			receive(t, "it runs", began)
			idle := caller(0)
			s.stop()
			receive(t, "the idle one gets GOAWAY", idle)
			select {
			case <-busy:
				t.Error("a caller with a request under way got GOAWAY before the end")
			default:
			}
			close(release)
			receive(t, "the other gets GOAWAY once it pauses", busy)
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

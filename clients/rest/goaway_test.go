package rest_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/backstay-go/backstay/clients/rest"
	"github.com/backstay-go/backstay/resilience"
)

// TestGoodbyeBeforeTheRequestBegan: a server says goodbye when a request has found its
// connection and has not begun. net/http gives such a request up if it can't get its
// body again ("cannot rewind body after connection loss"); here it goes on another one.
func TestGoodbyeBeforeTheRequestBegan(t *testing.T) {
	for _, name := range []string{"HTTP2", "H2C"} {
		t.Run(name, func(t *testing.T) {
			on(t, name, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }, func(t *testing.T, s *service, _ *rest.Base) {
				first := make(chan *overheard, 1)
				base := rest.NewBase(5, func(tr *http.Transport) {
					protocol(s, tr)
					dial := tr.DialContext
					tr.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
						c, err := dial(ctx, network, address)
						if err != nil {
							return nil, err
						}
						o := &overheard{Conn: c, ended: make(chan struct{})}
						select {
						case first <- o:
						default:
						}
						return o, nil
					}
				})
				t.Cleanup(base.CloseIdleConnections)
				goodbye := sync.OnceFunc(func() {
					go s.CloseClientConnections()
					<-(<-first).ended
				})
				var armed atomic.Bool
				ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) {
					if armed.Load() {
						goodbye()
					}
				}})
				g := guard(t, func(p *resilience.Policy) { p.Default.Retry = nil })
				c := client(t, &rest.Transport{Guard: g, Base: base})
				post := func() {
					t.Helper()
					r, _ := http.NewRequestWithContext(ctx, "POST", s.URL, io.MultiReader(strings.NewReader("hello")))
					resp, err := c.Do(r)
					if err != nil {
						t.Fatal(err)
					}
					b, err := io.ReadAll(resp.Body)
					resp.Body.Close()
					if string(b) != "hello" || err != nil {
						t.Errorf("%q, %v", b, err)
					}
				}
				post()
				armed.Store(true)
				post()
				if n := s.conns.Load(); n != 2 {
					t.Errorf("%d connections, want 2", n)
				}
			})
		})
	}
}

// overheard is a connection that tells when it is closed.
type overheard struct {
	net.Conn
	ended chan struct{}
	once  sync.Once
}

func (o *overheard) Close() error {
	o.once.Do(func() { close(o.ended) })
	return o.Conn.Close()
}

package rest

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backstay-go/backstay/resilience"
)

// TestAddressesAreTriedInTurn: which address a name's connection goes to, and when.
func TestAddressesAreTriedInTurn(t *testing.T) {
	const never = time.Hour
	refused := errors.New("refused")
	type address struct {
		ip      string
		answers time.Duration
		err     error
	}
	for _, c := range []struct {
		name      string
		addresses []address
		left      time.Duration
		want      string
		after     time.Duration
		tried     int
	}{
		{"the first answers", []address{{"::1", time.Millisecond, nil}, {"10.0.0.1", 0, nil}}, time.Minute, "[::1]:80", time.Millisecond, 1},
		{"the first is dead, of another family", []address{{"::1", never, nil}, {"10.0.0.1", 0, nil}}, time.Minute, "10.0.0.1:80", stagger, 2},
		{"the first is dead, of the same family", []address{{"10.0.0.1", never, nil}, {"10.0.0.2", 0, nil}}, time.Minute, "10.0.0.2:80", stagger, 2},
		{"families take turns", []address{{"::1", never, nil}, {"::2", 0, nil}, {"10.0.0.1", never, nil}}, time.Minute, "[::2]:80", 2 * stagger, 3},
		{"the first is refused", []address{{"10.0.0.1", 0, refused}, {"10.0.0.2", 0, nil}}, time.Minute, "10.0.0.2:80", 0, 2},
		{"the first is slow, the second dead", []address{{"10.0.0.1", 2 * stagger, nil}, {"10.0.0.2", never, nil}}, time.Minute, "10.0.0.1:80", 2 * stagger, 2},
		{"little time is left", []address{{"10.0.0.1", never, nil}, {"10.0.0.2", 0, nil}}, 90 * time.Millisecond, "10.0.0.2:80", 30 * time.Millisecond, 2},
		{"all are refused", []address{{"10.0.0.1", 0, refused}, {"10.0.0.2", 0, refused}}, time.Minute, "", 0, 2},
		{"all are dead", []address{{"10.0.0.1", never, nil}, {"10.0.0.2", never, nil}}, time.Minute, "", dialTimeout, 2},
		{"mapped", []address{{"::ffff:10.0.0.1", 0, nil}}, time.Minute, "10.0.0.1:80", 0, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				open := map[string]net.Conn{}
				tried := 0
				d := &dialer{
					lookup: func(context.Context, string) (all []netip.Addr, err error) {
						for _, a := range c.addresses {
							all = append(all, netip.MustParseAddr(a.ip))
						}
						return all, nil
					},
					one: func(ctx context.Context, _, to string) (net.Conn, error) {
						host, _, _ := net.SplitHostPort(to)
						mu.Lock()
						tried++
						mu.Unlock()
						i := slices.IndexFunc(c.addresses, func(a address) bool { return netip.MustParseAddr(a.ip).Unmap().String() == host })
						select {
						case <-time.After(c.addresses[i].answers):
						case <-ctx.Done():
							return nil, context.Cause(ctx)
						}
						if err := c.addresses[i].err; err != nil {
							return nil, err
						}
						near, far := net.Pipe()
						mu.Lock()
						defer mu.Unlock()
						open[to] = far
						return near, nil
					},
				}
				ctx, cancel := context.WithTimeout(t.Context(), c.left)
				defer cancel()
				began := time.Now()
				conn, err := d.dial(ctx, "tcp", "name.test:80")
				if took := time.Since(began); took != c.after || tried != c.tried {
					t.Errorf("it took %v and %d addresses, want %v and %d", took, tried, c.after, c.tried)
				}
				if (c.want == "") != (err != nil) {
					t.Fatalf("error %v, want %q", err, c.want)
				}
				synctest.Wait()
				if err == nil {
					if open[c.want] == nil || len(open) != 1 {
						t.Errorf("connections to %v, want %s", open, c.want)
					}
					_ = conn.Close()
				}
			})
		})
	}
}

// TestALateConnectionIsClosed: two that connect together are one too many.
func TestALateConnectionIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		closed := make(chan string, 2)
		d := &dialer{
			lookup: func(context.Context, string) ([]netip.Addr, error) {
				return []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")}, nil
			},
			one: func(_ context.Context, _, to string) (net.Conn, error) {
				if strings.HasPrefix(to, "10.0.0.1") { // heeds no context
					<-time.After(time.Second)
				}
				near, _ := net.Pipe()
				return reported{near, func() { closed <- to }}, nil
			},
		}
		conn, err := d.dial(t.Context(), "tcp", "name.test:80")
		if err != nil {
			t.Fatal(err)
		}
		<-time.After(2 * time.Second)
		if to := <-closed; to != "10.0.0.1:80" || len(closed) != 0 {
			t.Errorf("%s was closed", to)
		}
		_ = conn.Close()
	})
}

// reported is a connection that reports when it is closed.
type reported struct {
	net.Conn
	closed func()
}

func (c reported) Close() error { c.closed(); return c.Conn.Close() }

// TestANameWithoutAddress is a dial's error, as net.Dialer has it.
func TestANameWithoutAddress(t *testing.T) {
	for _, found := range []error{&net.DNSError{Err: "no such host", Name: "name.test", IsNotFound: true}, nil} {
		d := &dialer{lookup: func(context.Context, string) ([]netip.Addr, error) { return nil, found }}
		_, err := d.dial(t.Context(), "tcp", "name.test:80")
		op, unknown := (*net.OpError)(nil), (*net.DNSError)(nil)
		if !errors.As(err, &op) || op.Op != "dial" || !errors.As(err, &unknown) || unknown.Name != "name.test" {
			t.Errorf("%v", err)
		}
	}
}

// TestACancelledCallsDial: on plain HTTP/1.1 it ends with the call, whose permit was for
// it: a connection that takes longer than an attempt would be of no use to the next.
// Where a handshake comes on top, or many calls share a connection, net/http dials, and
// goes on for the next caller.
func TestACancelledCallsDial(t *testing.T) {
	for _, h2c := range []bool{false, true} {
		t.Run(map[bool]string{false: "HTTP1", true: "H2C"}[h2c], func(t *testing.T) {
			s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			s.Config.Protocols = new(http.Protocols)
			s.Config.Protocols.SetHTTP1(!h2c)
			s.Config.Protocols.SetUnencryptedHTTP2(h2c)
			s.Start()
			defer s.Close()
			var dials atomic.Int64
			began, ended, release := make(chan struct{}), make(chan struct{}), make(chan struct{})
			b := NewBase(2, func(tr *http.Transport) {
				tr.Protocols = s.Config.Protocols
				inner := tr.DialContext
				tr.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
					switch {
					case dials.Add(1) == 1:
						close(began)
						select {
						case <-release:
						case <-ctx.Done():
							close(ended)
							return nil, ctx.Err()
						}
					case h2c: // only the first serves
						select {
						case <-t.Context().Done():
						case <-ctx.Done():
						}
						return nil, ctx.Err()
					}
					return inner(ctx, network, address)
				}
			})
			defer b.CloseIdleConnections()
			g, err := resilience.New(resilience.Policy{Name: "dep", Bulkhead: resilience.BulkheadPolicy{Limit: 2}, Default: resilience.OperationPolicy{Timeout: 9 * time.Second}})
			if err != nil {
				t.Fatal(err)
			}
			defer g.Close()
			tr := &Transport{Guard: g, Base: b}
			get := func(ctx context.Context) error {
				r, _ := http.NewRequestWithContext(ctx, "GET", s.URL, nil)
				resp, err := tr.RoundTrip(r)
				if err == nil {
					resp.Body.Close()
				}
				return err
			}
			ctx, cancel := context.WithCancel(t.Context())
			result := make(chan error)
			go func() { result <- get(ctx) }()
			<-began
			cancel()
			if err := <-result; !errors.Is(err, context.Canceled) {
				t.Errorf("the cancelled call: %v", err)
			}
			if h2c {
				close(release)
			} else {
				<-ended
			}
			if err := get(t.Context()); err != nil {
				t.Errorf("the next call: %v", err)
			}
		})
	}
}

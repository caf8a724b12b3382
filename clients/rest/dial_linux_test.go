package rest

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/backstay-go/backstay/resilience"
)

// blackHole takes a port of an address and answers no connection: what the system takes
// for a listener that does not accept is used up.
func blackHole(t *testing.T, at netip.Addr, port int) {
	t.Helper()
	family, to := syscall.AF_INET, syscall.Sockaddr(&syscall.SockaddrInet4{Port: port, Addr: [4]byte{}})
	if at.Is4() {
		to.(*syscall.SockaddrInet4).Addr = at.As4()
	} else {
		family, to = syscall.AF_INET6, &syscall.SockaddrInet6{Port: port, Addr: at.As16()}
	}
	fd, err := syscall.Socket(family, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatalf("a socket for %s: %v", at, err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.Bind(fd, to); err != nil {
		t.Fatalf("bind %s: %v", at, err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	address := netip.AddrPortFrom(at, uint16(port)).String()
	for {
		c, err := net.DialTimeout("tcp", address, 100*time.Millisecond)
		if err != nil {
			return
		}
		t.Cleanup(func() { _ = c.Close() })
	}
}

// TestADeadAddressCostsLittle: a name with one that answers nothing, of the other family
// or of the same, before the one that lives.
func TestADeadAddressCostsLittle(t *testing.T) {
	for _, dead := range []string{"::1", "127.0.0.2"} {
		for _, protocol := range []string{"HTTP1", "H2C"} {
			t.Run(dead+" "+protocol, func(t *testing.T) {
				s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
				s.Config.Protocols = new(http.Protocols)
				s.Config.Protocols.SetHTTP1(protocol == "HTTP1")
				s.Config.Protocols.SetUnencryptedHTTP2(protocol == "H2C")
				s.Start()
				defer s.Close()
				at := s.Listener.Addr().(*net.TCPAddr)
				blackHole(t, netip.MustParseAddr(dead), at.Port)
				b := NewBase(2, func(tr *http.Transport) {
					tr.Protocols = s.Config.Protocols
					d := newDialer()
					d.lookup = func(context.Context, string) ([]netip.Addr, error) {
						return []netip.Addr{netip.MustParseAddr(dead), at.AddrPort().Addr()}, nil
					}
					tr.DialContext = d.dial
				})
				defer b.CloseIdleConnections()
				g, err := resilience.New(resilience.Policy{Name: "dep", Bulkhead: resilience.BulkheadPolicy{Limit: 2}, Default: resilience.OperationPolicy{Timeout: 9 * time.Second}})
				if err != nil {
					t.Fatal(err)
				}
				defer g.Close()
				r, _ := http.NewRequestWithContext(t.Context(), "GET", "http://name.test:"+s.URL[len("http://127.0.0.1:"):], nil)
				resp, err := (&Transport{Guard: g, Base: b}).RoundTrip(r)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
			})
		}
	}
}

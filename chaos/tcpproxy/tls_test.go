package tcpproxy_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/tcpproxy"
)

// secured is a server that speaks TLS, its certificate, and a pool that trusts it.
func secured(t *testing.T) (addr string, own, trusts *tls.Config) {
	t.Helper()
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }))
	t.Cleanup(s.Close)
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return s.Listener.Addr().String(), &tls.Config{Certificates: s.TLS.Certificates}, &tls.Config{RootCAs: pool}
}

// fetch gets a page through a proxy, with or without TLS.
func fetch(t *testing.T, addr string, with *tls.Config) (string, error) {
	t.Helper()
	tr := &http.Transport{TLSClientConfig: with}
	defer tr.CloseIdleConnections()
	url := "http://" + addr
	if with != nil {
		url = "https://" + addr
	}
	resp, err := (&http.Client{Transport: tr, Timeout: 20 * time.Second}).Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}

func TestTLSOnEitherSide(t *testing.T) {
	secure, own, trusts := secured(t)
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }))
	t.Cleanup(plain.Close)
	for _, c := range []struct {
		name     string
		upstream string
		clients  *tls.Config // what the proxy speaks with clients
		up       *tls.Config // and with the upstream
		with     *tls.Config // what the client speaks
	}{
		{"passed on", secure, nil, nil, trusts},
		{"with clients", plain.Listener.Addr().String(), own, nil, trusts},
		{"with the upstream", secure, nil, trusts, nil},
		{"on both sides", secure, own, trusts, trusts},
	} {
		t.Run(c.name, func(t *testing.T) {
			injector, err := chaos.New(chaos.Plan{}, chaos.Config{})
			if err != nil {
				t.Fatal(err)
			}
			injector.Start()
			defer injector.Stop()
			p, err := tcpproxy.Start(t.Context(), tcpproxy.Config{Dependency: "web", Upstream: c.upstream, TLS: c.clients, UpstreamTLS: c.up, Injector: injector})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			if got, err := fetch(t, p.Addr(), c.with); err != nil || got != "hello" {
				t.Errorf("%q, %v", got, err)
			}
			if err := injector.Update(chaos.Plan{Rules: []chaos.Rule{{Where: chaos.Where{Dependency: "web"}, What: chaos.What{Kind: chaos.Reset, AfterBytes: 1}}}}); err != nil {
				t.Fatal(err)
			}
			if _, err := fetch(t, p.Addr(), c.with); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("through a reset: %v", err)
			}
		})
	}
}

// TestABadHandshakeEndsItsConnectionOnly: half a hello, bytes that are none, and an
// upstream that nobody vouches for.
func TestABadHandshakeEndsItsConnectionOnly(t *testing.T) {
	secure, own, trusts := secured(t)
	failed := make(chan error, 10)
	p, err := tcpproxy.Start(t.Context(), tcpproxy.Config{Dependency: "web", Upstream: secure, TLS: own, UpstreamTLS: trusts, DialTimeout: 500 * time.Millisecond, OnError: func(err error) { failed <- err }})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	// The first eight bytes of a hello that would have 512, and a line of HTTP.
	for _, text := range []string{"\x16\x03\x01\x02\x00\x01\x00\x01", "GET / HTTP/1.1\r\n\r\n"} {
		c, err := net.Dial("tcp", p.Addr())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, text); err != nil {
			t.Fatal(err)
		}
		if err := c.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(c); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%q: the connection stays open", text)
		}
		if err := <-failed; err == nil {
			t.Error("the fault was not reported")
		}
		c.Close()
	}
	if s := p.Stats(); s.Failed != 2 {
		t.Errorf("stats %+v", s)
	}
	strange, err := tcpproxy.Start(t.Context(), tcpproxy.Config{Dependency: "web", Upstream: secure, UpstreamTLS: &tls.Config{RootCAs: x509.NewCertPool()}, OnError: func(err error) { failed <- err }})
	if err != nil {
		t.Fatal(err)
	}
	defer strange.Close()
	if _, err := fetch(t, strange.Addr(), nil); !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, io.EOF) {
		t.Errorf("the client sees %v", err)
	}
	var unknown x509.UnknownAuthorityError
	if err := <-failed; !errors.As(err, &unknown) {
		t.Errorf("got %v", err)
	}
	if _, err := tcpproxy.Start(t.Context(), tcpproxy.Config{Dependency: "web", Upstream: secure, TLS: &tls.Config{}}); err == nil {
		t.Error("TLS without a certificate was accepted")
	}
}

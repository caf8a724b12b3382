package scenario

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/httpfault"
	"github.com/backstay-go/backstay/chaos/tcpproxy"
)

// Proxies are the proxies in front of a system's dependencies. The zero value has none. It
// is not safe for concurrent use. The caller that starts proxies must close them.
type Proxies struct{ ends []func(context.Context) error }

// TCP starts a proxy for TCP faults in front of an address, and returns the address of the
// proxy. listen is the proxy's host:port; an empty text means a free port on loopback.
func (p *Proxies) TCP(ctx context.Context, dependency, listen, upstream string, injector *chaos.Injector) (string, error) {
	proxy, err := tcpproxy.Start(ctx, tcpproxy.Config{Dependency: dependency, Listen: listen, Upstream: upstream, Injector: injector})
	if err != nil {
		return "", err
	}
	p.ends = append(p.ends, func(context.Context) error { return proxy.Close() })
	return proxy.Addr(), nil
}

// HTTP does the same for HTTP faults. operation returns the name of a request in rules; if
// it is nil, the name is the request's method and path.
func (p *Proxies) HTTP(ctx context.Context, dependency, listen, upstream string, operation func(*http.Request) string, injector *chaos.Injector) (string, error) {
	if listen == "" {
		listen = "127.0.0.1:0"
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", listen)
	if err != nil {
		return "", fmt.Errorf("scenario: proxy before %s: cannot listen on %s: %w; choose a free host:port", dependency, listen, err)
	}
	carrier := &http.Transport{MaxIdleConnsPerHost: 64}
	target := &url.URL{Scheme: "http", Host: upstream}
	handler := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }, Transport: carrier, ErrorLog: log.New(io.Discard, "", 0)}
	// Errors on a connection are caused by faults or by the system, and are visible in the
	// answers.
	server := &http.Server{ReadHeaderTimeout: 5 * time.Second, ErrorLog: log.New(io.Discard, "", 0),
		Handler: httpfault.Handler(handler, httpfault.Config{Dependency: dependency, Operation: operation, Injector: injector})}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	p.ends = append(p.ends, func(ctx context.Context) error {
		err := server.Shutdown(ctx)
		if err != nil {
			err = errors.Join(err, server.Close())
		}
		carrier.CloseIdleConnections()
		if e := <-served; !errors.Is(e, http.ErrServerClosed) {
			err = errors.Join(err, e)
		}
		return err
	})
	return l.Addr().String(), nil
}

// Close ends the proxies in the reverse order of their start.
func (p *Proxies) Close(ctx context.Context) error {
	var errs []error
	for i := len(p.ends) - 1; i >= 0; i-- {
		errs = append(errs, p.ends[i](ctx))
	}
	p.ends = nil
	return errors.Join(errs...)
}

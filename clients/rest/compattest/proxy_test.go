package compattest

import (
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/coder/websocket"
)

// proxied is a backend behind a ReverseProxy, which is guarded on both sides.
type proxied struct {
	url       string
	near, far *counted // the proxy's transport, and its handler
}

func proxy(t *testing.T, on protocols, backend http.Handler, wrap func(http.Handler) http.Handler) *proxied {
	t.Helper()
	p := &proxied{near: caller(t), far: service(t, 20)}
	target, err := url.Parse(serve(t, on, backend).URL)
	if err != nil {
		t.Fatal(err)
	}
	rp := &httputil.ReverseProxy{Transport: transport(t, on, p.near), Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }, ErrorLog: log.New(io.Discard, "", 0)}
	var h http.Handler = handler(t, p.far, rp)
	if wrap != nil {
		h = wrap(h)
	}
	p.url = serve(t, on, h).URL
	return p
}

func get(t *testing.T, on protocols, url string) (*http.Response, string, error) {
	t.Helper()
	tr := standard(t, on)
	defer tr.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp, string(b), err
}

func TestReverseProxy(t *testing.T) {
	onEach(t, func(t *testing.T, on protocols) {
		var bodies []string
		p := proxy(t, on, thirdTime(http.StatusServiceUnavailable, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Trailer", "X-Announced")
			_, _ = io.WriteString(w, "hello")
			w.Header().Set("X-Announced", "a")
			w.Header().Set(http.TrailerPrefix+"X-Unannounced", "b")
		}), &bodies), nil)
		resp, body, err := get(t, on, p.url)
		if err != nil || resp.StatusCode != 200 || body != "hello" || resp.Trailer.Get("X-Announced") != "a" || resp.Trailer.Get("X-Unannounced") != "b" {
			t.Errorf("%s %q %v, %v", resp.Status, body, resp.Trailer, err)
		}
		p.near.want(t, 1, 3, 1, 2, 0, 0)
		p.far.want(t, 1, 1, 1, 0, 0, 0)
	})
}

// TestReverseProxyCutShort: an answer that breaks off breaks off for the caller too,
// and holds no permit.
func TestReverseProxyCutShort(t *testing.T) {
	onEach(t, func(t *testing.T, on protocols) {
		p := proxy(t, on, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "half")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}), nil)
		if _, body, err := get(t, on, p.url); err == nil {
			t.Errorf("it seems whole: %q", body)
		}
		p.near.free(t)
		p.far.want(t, 1, 1, 0, 0, 0, 0)
	})
}

// TestReverseProxyStreams: what the backend flushes arrives before it has ended.
func TestReverseProxyStreams(t *testing.T) {
	onEach(t, func(t *testing.T, on protocols) {
		release := make(chan struct{})
		p := proxy(t, on, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, "data: 1\n\n")
			_ = http.NewResponseController(w).Flush()
			<-release
		}), nil)
		tr := standard(t, on)
		defer tr.CloseIdleConnections()
		resp, err := (&http.Client{Transport: tr}).Get(p.url)
		if err != nil {
			t.Fatal(err)
		}
		first := make([]byte, 9)
		if _, err := io.ReadFull(resp.Body, first); err != nil || string(first) != "data: 1\n\n" {
			t.Errorf("%q, %v", first, err)
		}
		if p.near.Snapshot().InFlight != 1 || p.far.Snapshot().InFlight != 1 {
			t.Errorf("in flight: %d and %d", p.near.Snapshot().InFlight, p.far.Snapshot().InFlight)
		}
		close(release)
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		p.near.want(t, 1, 1, 1, 0, 0, 0)
		p.far.want(t, 1, 1, 1, 0, 0, 0)
	})
}

// speak talks over a WebSocket at the address.
func speak(t *testing.T, at string, between func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	c, resp, err := websocket.Dial(ctx, strings.Replace(at, "http", "ws", 1), &websocket.DialOptions{HTTPClient: &http.Client{Transport: tr}})
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		t.Error(resp.Status)
	}
	for range 3 {
		if err := c.Write(ctx, websocket.MessageText, []byte("hello")); err != nil {
			t.Fatal(err)
		}
		if _, b, err := c.Read(ctx); err != nil || string(b) != "HELLO" {
			t.Fatalf("%q, %v", b, err)
		}
		if between != nil {
			between()
		}
	}
	if err := c.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Error(err)
	}
}

// shout answers WebSockets in capitals.
func shout(t *testing.T) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer c.CloseNow()
		for {
			kind, b, err := c.Read(r.Context())
			if err != nil {
				return
			}
			if err := c.Write(r.Context(), kind, []byte(strings.ToUpper(string(b)))); err != nil {
				return
			}
		}
	}
}

// TestReverseProxyWebSocket: a connection that changes its protocol holds the permits of
// both guards while it lives.
func TestReverseProxyWebSocket(t *testing.T) {
	p := proxy(t, http1, shout(t), nil)
	speak(t, p.url, func() {
		if p.near.Snapshot().InFlight != 1 || p.far.Snapshot().InFlight != 1 {
			t.Errorf("in flight: %d and %d", p.near.Snapshot().InFlight, p.far.Snapshot().InFlight)
		}
	})
	p.near.want(t, 1, 1, 1, 0, 0, 0)
	p.far.want(t, 1, 1, 0, 0, 0, 0)
}

// TestWebSocket accepts WebSockets in a guarded handler.
func TestWebSocket(t *testing.T) {
	far := service(t, 20)
	s := httptest.NewServer(handler(t, far, shout(t)))
	defer s.Close()
	speak(t, s.URL, nil)
	far.want(t, 1, 1, 0, 0, 0, 0)
}

package httpfault_test

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/httpfault"
)

// closing is a request's body that knows whether it was closed.
type closing struct {
	io.Reader
	closed atomic.Bool
}

// Close notes it.
func (c *closing) Close() error { c.closed.Store(true); return nil }

// never is a base that must not be asked.
type never struct{ t *testing.T }

// RoundTrip fails the test.
func (n never) RoundTrip(*http.Request) (*http.Response, error) {
	n.t.Error("the request was sent")
	return nil, io.EOF
}

// TestWhatIsNotSentIsClosed: a RoundTripper owes its request that, also where it refuses,
// and where the caller leaves while a fault waits.
func TestWhatIsNotSentIsClosed(t *testing.T) {
	for kind, change := range map[chaos.Kind]func(*chaos.What){
		chaos.Reset: nil, chaos.Refuse: nil, chaos.Drop: nil, chaos.TLSFailure: nil, chaos.RedirectLoop: nil, chaos.Error: nil,
		chaos.Hang:    nil,
		chaos.Status:  func(w *chaos.What) { w.Status = 503 },
		chaos.Latency: func(w *chaos.What) { w.Delay = time.Hour },
	} {
		if change == nil {
			change = func(*chaos.What) {}
		}
		tr := httpfault.Transport(never{t}, httpfault.Config{Dependency: "membership", Injector: inject(t, rule(kind, change))})
		ctx, cancel := context.WithCancel(t.Context())
		if kind == chaos.Hang || kind == chaos.Latency {
			cancel()
		}
		body := &closing{Reader: strings.NewReader("in")}
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://127.0.0.1/", body)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := tr.RoundTrip(r)
		cancel()
		if (resp == nil) == (err == nil) {
			t.Errorf("%s: answer %v, %v", kind, resp, err)
		}
		if resp != nil {
			if got := resp.Header.Get("Content-Type"); got != "text/plain; charset=utf-8" {
				t.Errorf("%s: Content-Type %q", kind, got)
			}
			if text, err := io.ReadAll(resp.Body); err != nil || int64(len(text)) != resp.ContentLength {
				t.Errorf("%s: %d bytes of %d, %v", kind, len(text), resp.ContentLength, err)
			}
			resp.Body.Close()
		}
		if !body.closed.Load() {
			t.Errorf("%s: the request's body was not closed", kind)
		}
	}
}

// answering is a base that answers everything with the same text.
type answering string

// RoundTrip answers.
func (a answering) RoundTrip(r *http.Request) (*http.Response, error) {
	n := len(a)
	return &http.Response{StatusCode: 200, ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{"Content-Length": {strconv.Itoa(n)}},
		Body: io.NopCloser(strings.NewReader(string(a))), ContentLength: int64(n), Request: r}, nil
}

// TestLengthsOfSpoiledAnswersAgree: the header says what the field says.
func TestLengthsOfSpoiledAnswersAgree(t *testing.T) {
	for kind, want := range map[chaos.Kind]string{chaos.Corrupt: "the text's", chaos.WrongLength: "another", chaos.EndlessBody: "unknown", chaos.Truncate: "the text's", chaos.SlowBody: "the text's"} {
		i := inject(t, rule(kind, func(w *chaos.What) {
			if kind == chaos.SlowBody || kind == chaos.EndlessBody {
				w.Delay = time.Millisecond
			}
		}))
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1/", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := httpfault.Transport(answering(text), httpfault.Config{Dependency: "membership", Injector: i}).RoundTrip(r)
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		resp.Body.Close()
		said, n := resp.Header.Get("Content-Length"), resp.ContentLength
		switch {
		case n < 0 && said != "", n >= 0 && said != strconv.FormatInt(n, 10):
			t.Errorf("%s: the header says %q, the field %d", kind, said, n)
		case want == "unknown" && n != -1, want == "another" && n == int64(len(text)), want == "the text's" && n != int64(len(text)):
			t.Errorf("%s: length %d, want %s", kind, n, want)
		}
	}
}

package rest_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/backstay-go/backstay/clients/rest"
	"github.com/backstay-go/backstay/resilience"
)

func zipped(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := io.WriteString(z, text)
	if err := errors.Join(err, z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestCompressionIsThatOfNetHTTP: what the server is asked, and what the caller gets,
// for each request and each answer.
func TestCompressionIsThatOfNetHTTP(t *testing.T) {
	long := zipped(t, strings.Repeat("text ", 50_000))
	answers := map[string]func(w http.ResponseWriter){
		"plain":     func(w http.ResponseWriter) { _, _ = io.WriteString(w, "text") },
		"zipped":    encoded("gzip", zipped(t, "text")),
		"upper":     encoded("GZIP", zipped(t, "text")),
		"long":      encoded("gzip", long),
		"two parts": encoded("gzip", append(zipped(t, "one"), zipped(t, "two")...)),
		"cut off":   encoded("gzip", long[:len(long)/2]),
		"no header": encoded("gzip", []byte("this is not gzip")),
		"no body":   encoded("gzip", nil),
		"deflate":   encoded("deflate", []byte("x")),
		"chunks": func(w http.ResponseWriter) {
			w.Header().Set("Trailer", "Sum")
			w.Header().Set("Content-Encoding", "gzip")
			for _, b := range zipped(t, "text") {
				_, _ = w.Write([]byte{b})
				_ = http.NewResponseController(w).Flush()
			}
			w.Header().Set("Sum", "42")
		},
		"304": func(w http.ResponseWriter) {
			w.Header().Set("Content-Encoding", "gzip")
			w.WriteHeader(http.StatusNotModified)
		},
	}
	requests := map[string]func(r *http.Request){
		"GET":                   func(*http.Request) {},
		"HEAD":                  func(r *http.Request) { r.Method = http.MethodHead },
		"POST":                  func(r *http.Request) { r.Method, r.Body = http.MethodPost, io.NopCloser(strings.NewReader("in")) },
		"Range":                 func(r *http.Request) { r.Header.Set("Range", "bytes=0-1") },
		"Accept-Encoding":       func(r *http.Request) { r.Header.Set("Accept-Encoding", "gzip") },
		"empty Accept-Encoding": func(r *http.Request) { r.Header.Set("Accept-Encoding", "") },
	}
	on(t, "HTTP1", func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Asked"] = r.Header["Accept-Encoding"]
		w.Header().Set("Date", "now")
		answers[r.URL.Query().Get("answer")](w)
	}, func(t *testing.T, s *service, _ *rest.Base) {
		for _, off := range []bool{false, true} {
			bare := &http.Transport{DisableCompression: off}
			base := rest.NewBase(50, func(b *http.Transport) { b.DisableCompression = off })
			g := guard(t, func(p *resilience.Policy) { p.Default.Retry = nil })
			defer bare.CloseIdleConnections()
			defer base.CloseIdleConnections()
			for asked, change := range requests {
				for answer := range answers {
					get := func(rt http.RoundTripper) string {
						r, err := http.NewRequest(http.MethodGet, s.URL+"?answer="+strings.ReplaceAll(answer, " ", "+"), nil)
						if err != nil {
							t.Fatal(err)
						}
						change(r)
						before := fmt.Sprint(r.Header)
						resp, err := rt.RoundTrip(r)
						if err != nil {
							t.Fatalf("%s, %s: %v", asked, answer, err)
						}
						defer resp.Body.Close()
						text, err := io.ReadAll(resp.Body)
						for _, kind := range []error{gzip.ErrHeader, io.ErrUnexpectedEOF} {
							if errors.Is(err, kind) {
								err = kind
							}
						}
						if after := fmt.Sprint(r.Header); after != before {
							t.Errorf("%s: the caller's header became %s", asked, after)
						}
						return fmt.Sprintf("%d %v, %d bytes, uncompressed %t, trailer %v, %v:\n%.40q of %d",
							resp.StatusCode, resp.Header, resp.ContentLength, resp.Uncompressed, resp.Trailer, err, text, len(text))
					}
					for _, quiet := range []bool{false, true} {
						if want, got := get(bare), get(&rest.Transport{Guard: g, Base: base, NoHeaders: quiet}); got != want {
							t.Errorf("%s, %s, off %t\nnet/http %s\nours     %s", asked, answer, off, want, got)
						}
					}
				}
			}
			free(t, g)
		}
	})
}

// encoded is an answer in an encoding, with its length.
func encoded(as string, body []byte) func(w http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		w.Header().Set("Content-Encoding", as)
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body)
	}
}

// TestACompressedBodyThatIsClosed: while it is read, and before.
func TestACompressedBodyThatIsClosed(t *testing.T) {
	start := zipped(t, strings.Repeat("text ", 50_000))[:20]
	on(t, "HTTP1", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(start)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}, func(t *testing.T, s *service, base *rest.Base) {
		g := guard(t)
		for range 20 {
			resp, err := (&rest.Transport{Guard: g, Base: base}).Client().Get(s.URL)
			if err != nil {
				t.Fatal(err)
			}
			read := make(chan error)
			go func() {
				_, err := io.ReadAll(resp.Body)
				read <- err
			}()
			resp.Body.Close()
			if err := <-read; err == nil {
				t.Error("a body without an end was read to its end")
			}
			if n, err := resp.Body.Read(make([]byte, 1)); n != 0 || err == nil || err == io.EOF {
				t.Errorf("after Close: %d, %v", n, err)
			}
		}
		free(t, g)
	})
}

package compattest

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/go-resty/resty/v2"
	"github.com/hashicorp/go-retryablehttp"
)

// hello answers with a greeting.
var hello = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "hello") })

// others are the ways in which other clients send a request. Each returns status and
// body as its user sees them.
func others(t *testing.T, on protocols, g *counted) map[string]func(method, url, body string, header ...string) (int, string) {
	tr := transport(t, on, g)
	return map[string]func(method, url, body string, header ...string) (int, string){
		"resty": func(method, url, body string, header ...string) (int, string) {
			t.Helper()
			r := resty.New().SetTransport(tr).R().SetContext(t.Context())
			for i := 0; i+1 < len(header); i += 2 {
				r.SetHeader(header[i], header[i+1])
			}
			if body != "" {
				r.SetBody(body)
			}
			resp, err := r.Execute(method, url)
			if err != nil {
				t.Fatal(err)
			}
			return resp.StatusCode(), string(resp.Body())
		},
		"go-retryablehttp": func(method, url, body string, header ...string) (int, string) {
			t.Helper()
			c := retryablehttp.NewClient()
			c.Logger, c.RetryMax = nil, 0 // the guard repeats
			c.ErrorHandler = retryablehttp.PassthroughErrorHandler
			c.HTTPClient = &http.Client{Transport: tr}
			var b any
			if body != "" {
				b = strings.NewReader(body)
			}
			r, err := retryablehttp.NewRequestWithContext(t.Context(), method, url, b)
			if err != nil {
				t.Fatal(err)
			}
			for i := 0; i+1 < len(header); i += 2 {
				r.Header.Set(header[i], header[i+1])
			}
			resp, err := c.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			answer, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			return resp.StatusCode, string(answer)
		},
	}
}

// TestOtherClients: what is repeated, with the body whole, and what their users get.
func TestOtherClients(t *testing.T) {
	onEach(t, func(t *testing.T, on protocols) {
		for _, c := range []struct {
			name, method, body string
			header             []string
			fails              int // with this status
			marks              []string
			status, attempts   int
			failed, overload   int
		}{
			{name: "GET", method: "GET", fails: 503, status: 200, attempts: 3, failed: 2},
			{name: "PUT", method: "PUT", body: "x", fails: 500, status: 200, attempts: 3, failed: 2},
			{name: "POST", method: "POST", body: "x", fails: 503, status: 503, attempts: 1, failed: 1},
			{name: "POST with a key", method: "POST", body: "x", header: []string{"Idempotency-Key", "k"}, fails: 503, status: 200, attempts: 3, failed: 2},
			{name: "POST, marked as not processed", method: "POST", body: "x", fails: 503, marks: []string{"Backstay-Refused", "overload"}, status: 200, attempts: 3, overload: 2},
		} {
			t.Run(c.name, func(t *testing.T) {
				near := caller(t)
				for name, send := range others(t, on, near) {
					before := near.now()
					var bodies []string
					far := service(t, 20)
					s := serve(t, on, handler(t, far, thirdTime(c.fails, hello, &bodies, c.marks...)))
					status, answer := send(c.method, s.URL, c.body, c.header...)
					if want := map[bool]string{true: "hello", false: "not yet\n"}[c.status == 200]; status != c.status || answer != want {
						t.Errorf("%s: %d %q", name, status, answer)
					}
					if c.body != "" {
						same(t, bodies, c.attempts)
					}
					near.since(t, before, 1, c.attempts, c.attempts-c.failed-c.overload, c.failed, c.overload, 0)
					far.free(t)
				}
			})
		}
	})
}

// TestAServerThatRefuses: the guarded server refuses what it can't take; other people's
// clients get it through by the guarded transport, also a POST, without a failure
// counted on either side.
func TestAServerThatRefuses(t *testing.T) {
	onEach(t, func(t *testing.T, on protocols) {
		near := caller(t)
		for name, send := range others(t, on, near) {
			before := near.now()
			far := service(t, 1)
			began, release := make(chan struct{}), make(chan struct{})
			s := serve(t, on, handler(t, far, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/block" {
					close(began)
					<-release
				}
				_, _ = io.WriteString(w, "hello")
			})))
			done := make(chan error, 1)
			go func() {
				resp, err := (&http.Client{Transport: standard(t, on)}).Post(s.URL+"/block", "text/plain", nil)
				if err == nil {
					err = resp.Body.Close()
				}
				done <- err
			}()
			<-began
			go func() {
				wait(t, "one was refused", func() bool { return far.now()[5] > 0 })
				close(release)
			}()
			status, answer := send("POST", s.URL, "x")
			if err := <-done; err != nil {
				t.Error(err)
			}
			if status != 200 || answer != "hello" {
				t.Errorf("%s: %d %q", name, status, answer)
			}
			near.free(t)
			if now := near.now(); now[3] != before[3] || now[4] == before[4] || now[2] != before[2]+1 {
				t.Errorf("%s: %v, before %v", name, now, before)
			}
			far.free(t)
			if now := far.now(); now[3] != 0 || now[2] != 2 {
				t.Errorf("%s: the server's guard: %v", name, now)
			}
		}
	})
}

package httpfault_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/httpfault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const text = "the right answer"

var right = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) })

func inject(t *testing.T, rules ...chaos.Rule) *chaos.Injector {
	t.Helper()
	i, _ := injected(t, rules...)
	return i
}

func injected(t *testing.T, rules ...chaos.Rule) (*chaos.Injector, <-chan chaos.Event) {
	t.Helper()
	reported := make(chan chaos.Event, 1000)
	i, err := chaos.New(chaos.Plan{Seed: 1, Rules: rules}, chaos.Config{Listeners: []chaos.Listener{
		chaos.ListenerFunc(func(_ context.Context, e chaos.Event) { reported <- e })}})
	if err != nil {
		t.Fatal(err)
	}
	i.Start()
	t.Cleanup(i.Stop)
	return i, reported
}

func rule(kind chaos.Kind, change ...func(*chaos.What)) chaos.Rule {
	r := chaos.Rule{Name: string(kind), Where: chaos.Where{Dependency: "membership"}, What: chaos.What{Kind: kind}}
	for _, c := range change {
		c(&r.What)
	}
	return r
}

// places are the two sides that a fault can be injected on.
var places = map[string]func(t *testing.T, i *chaos.Injector) (*http.Client, string){
	"handler": func(t *testing.T, i *chaos.Injector) (*http.Client, string) {
		s := httptest.NewServer(httpfault.Handler(right, httpfault.Config{Dependency: "membership", Injector: i}))
		c := &http.Client{Transport: &http.Transport{}}
		t.Cleanup(func() { c.CloseIdleConnections(); i.Stop(); s.Close() })
		return c, s.URL
	},
	"transport": func(t *testing.T, i *chaos.Injector) (*http.Client, string) {
		s := httptest.NewServer(right)
		c := &http.Client{Transport: httpfault.Transport(&http.Transport{}, httpfault.Config{Dependency: "membership", Injector: i})}
		t.Cleanup(func() { c.CloseIdleConnections(); s.Close() })
		return c, s.URL
	},
}

func get(t *testing.T, c *http.Client, url string) (*http.Response, string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(r)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp, string(b), err
}

func TestEachFaultOnBothSides(t *testing.T) {
	for _, c := range []struct {
		rule chaos.Rule
		want func(resp *http.Response, body string, err error) bool
	}{
		{rule(chaos.Status, func(w *chaos.What) {
			w.Status, w.Body, w.RetryAfter, w.Headers = 503, "no", 2*time.Second, map[string]string{"X-A": "b"}
		}), func(r *http.Response, body string, err error) bool {
			return err == nil && r.StatusCode == 503 && body == "no" && r.Header.Get("Retry-After") == "2" && r.Header.Get("X-A") == "b"
		}},
		{rule(chaos.Reset), func(_ *http.Response, _ string, err error) bool { return errors.Is(err, syscall.ECONNRESET) }},
		{rule(chaos.Drop), func(_ *http.Response, _ string, err error) bool { return errors.Is(err, io.EOF) }},
		{rule(chaos.Truncate, func(w *chaos.What) { w.Bytes = 5 }), func(_ *http.Response, body string, err error) bool {
			return body == text[:5] && errors.Is(err, io.ErrUnexpectedEOF)
		}},
		{rule(chaos.Corrupt, func(w *chaos.What) { w.Bytes = 1 }), func(_ *http.Response, body string, err error) bool {
			return err == nil && len(body) == len(text) && body != text
		}},
		{rule(chaos.SlowBody, func(w *chaos.What) { w.ChunkBytes, w.Delay = 4, time.Millisecond }), func(_ *http.Response, body string, err error) bool {
			return err == nil && body == text
		}},
		{rule(chaos.WrongLength), func(_ *http.Response, _ string, err error) bool { return err != nil }},
		{rule(chaos.RedirectLoop), func(_ *http.Response, _ string, err error) bool {
			return err != nil && strings.Contains(err.Error(), "stopped after 10 redirects")
		}},
		{rule(chaos.Latency, func(w *chaos.What) { w.Delay = 20 * time.Millisecond }), func(_ *http.Response, body string, err error) bool {
			return err == nil && body == text
		}},
	} {
		for place, open := range places {
			t.Run(place+"/"+c.rule.Name, func(t *testing.T) {
				i := inject(t, c.rule)
				client, url := open(t, i)
				began := time.Now()
				resp, body, err := get(t, client, url)
				if !c.want(resp, body, err) {
					t.Errorf("%v %q %v", resp, body, err)
				}
				if took := time.Since(began); took < c.rule.What.Delay {
					t.Errorf("took %s, less than %s", took, c.rule.What.Delay)
				}
				if i.Stats().Injected == 0 {
					t.Error("the fault was not reported")
				}
				if err := i.Update(chaos.Plan{}); err != nil {
					t.Fatal(err)
				}
				if _, body, err := get(t, client, url); err != nil || body != text {
					t.Errorf("after the fault: %q %v", body, err)
				}
			})
		}
	}
}

func TestAHangEndsWithItsRuleOrItsCaller(t *testing.T) {
	for place, open := range places {
		t.Run(place, func(t *testing.T) {
			i, reported := injected(t, rule(chaos.Hang))
			client, url := open(t, i)
			ctx, cancel := context.WithCancel(t.Context())
			r, err := http.NewRequestWithContext(ctx, "GET", url, nil)
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan error)
			go func() {
				resp, err := client.Do(r)
				if err == nil {
					resp.Body.Close()
				}
				done <- err
			}()
			<-reported
			cancel()
			if err := <-done; !errors.Is(err, context.Canceled) {
				t.Errorf("given up: %v", err)
			}
			go func() {
				_, body, err := get(t, client, url)
				if err == nil && body != text {
					err = errors.New("wrong: " + body)
				}
				done <- err
			}()
			<-reported
			if err := i.Update(chaos.Plan{}); err != nil {
				t.Fatal(err)
			}
			if err := <-done; err != nil {
				t.Errorf("after the rule: %v", err)
			}
		})
	}
}

func TestAQuotaRefusesWhatIsOverIt(t *testing.T) {
	for place, open := range places {
		t.Run(place, func(t *testing.T) {
			client, url := open(t, inject(t, rule(chaos.Quota, func(w *chaos.What) { w.Limit, w.Period = 2, time.Hour })))
			var got []int
			for range 4 {
				resp, _, err := get(t, client, url)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, resp.StatusCode)
			}
			if got[0] != 200 || got[1] != 200 || got[2] != 429 || got[3] != 429 {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestAnEndlessBodyEndsWithItsReader(t *testing.T) {
	for place, open := range places {
		t.Run(place, func(t *testing.T) {
			client, url := open(t, inject(t, rule(chaos.EndlessBody, func(w *chaos.What) { w.Delay = time.Millisecond })))
			resp, err := client.Get(url)
			if err != nil {
				t.Fatal(err)
			}
			if n, err := io.ReadFull(resp.Body, make([]byte, 1000)); err != nil {
				t.Errorf("%d bytes, %v", n, err)
			}
			resp.Body.Close()
		})
	}
}

func TestScopesComeFromBaggage(t *testing.T) {
	r := rule(chaos.Status, func(w *chaos.What) { w.Status = 500 })
	r.Whom.Scope = "me"
	for place, open := range places {
		t.Run(place, func(t *testing.T) {
			client, url := open(t, inject(t, r))
			for baggage, want := range map[string]int{"": 200, "backstay.chaos=me": 500, "backstay.chaos=you": 200, "%%%": 200} {
				req, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Baggage", baggage)
				resp, err := client.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				if resp.StatusCode != want {
					t.Errorf("baggage %q: %d, want %d", baggage, resp.StatusCode, want)
				}
			}
		})
	}
}

// harmed is a server and its client, of which the one that place names has the faults. ran
// has an entry for each request that was carried out.
func harmed(t *testing.T, place string, i *chaos.Injector) (c *http.Client, url string, ran chan struct{}) {
	t.Helper()
	cfg := httpfault.Config{Dependency: "membership", Injector: i}
	ran = make(chan struct{}, 10)
	h := http.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ran <- struct{}{}
		right(w, r)
	}))
	tr := http.RoundTripper(&http.Transport{})
	if place == "handler" {
		h = httpfault.Handler(h, cfg)
	} else {
		tr = httpfault.Transport(tr, cfg)
	}
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	c = &http.Client{Transport: tr}
	t.Cleanup(c.CloseIdleConnections)
	return c, s.URL, ran
}

// TestAnAnswerIsLostAfterExecution: the server carries the request out, and the client
// does not hear of it.
func TestAnAnswerIsLostAfterExecution(t *testing.T) {
	for _, kind := range []chaos.Kind{chaos.Reset, chaos.Drop, chaos.Latency} {
		for place := range places {
			t.Run(place+"/"+string(kind), func(t *testing.T) {
				i := inject(t, rule(kind, func(w *chaos.What) {
					w.At = "after"
					if kind == chaos.Latency {
						w.Delay = 30 * time.Millisecond
					}
				}))
				c, url, ran := harmed(t, place, i)
				// A POST, which nobody sends again by himself.
				resp, err := c.Post(url, "text/plain", strings.NewReader("x"))
				if err == nil {
					defer resp.Body.Close()
				}
				<-ran
				switch {
				case kind == chaos.Latency && err != nil,
					kind == chaos.Reset && !errors.Is(err, syscall.ECONNRESET),
					kind == chaos.Drop && !errors.Is(err, io.EOF):
					t.Errorf("%v", err)
				}
				if len(ran) > 0 || i.Stats().Injected != 1 {
					t.Errorf("it ran more than once, or %d faults", i.Stats().Injected)
				}
			})
		}
	}
}

// TestConnectionsFail: faults that a client sees before there is an answer.
func TestConnectionsFail(t *testing.T) {
	for kind, want := range map[chaos.Kind]func(error) bool{
		chaos.Refuse:     func(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) },
		chaos.TLSFailure: func(err error) bool { return strings.Contains(err.Error(), "tls: handshake failure") },
		chaos.Error:      func(err error) bool { return errors.Is(err, chaos.ErrInjected) },
	} {
		client, url := places["transport"](t, inject(t, rule(kind)))
		if _, _, err := get(t, client, url); err == nil || !want(err) {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

func TestTheFirstFailThenTheySucceed(t *testing.T) {
	for place, open := range places {
		t.Run(place, func(t *testing.T) {
			r := rule(chaos.Status, func(w *chaos.What) { w.Status = 503 })
			r.When.First = 2
			client, url := open(t, inject(t, r))
			for n, want := range []int{503, 503, 200, 200} {
				resp, _, err := get(t, client, url)
				if err != nil || resp.StatusCode != want {
					t.Errorf("call %d: %v, %v; want %d", n+1, resp, err, want)
				}
			}
		})
	}
}

// TestFaultsOnHTTP2: what ends a connection on HTTP/1.1 ends the stream, and the
// connection goes on.
func TestFaultsOnHTTP2(t *testing.T) {
	for _, c := range []struct {
		rule chaos.Rule
		want func(resp *http.Response, body string, err error) bool
	}{
		{rule(chaos.Status, func(w *chaos.What) { w.Status = 503 }), func(r *http.Response, _ string, err error) bool { return err == nil && r.StatusCode == 503 }},
		{rule(chaos.Reset), func(_ *http.Response, _ string, err error) bool { return err != nil }},
		{rule(chaos.Truncate, func(w *chaos.What) { w.Bytes = 5 }), func(_ *http.Response, body string, err error) bool { return body == text[:5] && err != nil }},
		{rule(chaos.SlowBody, func(w *chaos.What) { w.ChunkBytes, w.Delay = 4, time.Millisecond }), func(_ *http.Response, body string, err error) bool { return err == nil && body == text }},
	} {
		t.Run(c.rule.Name, func(t *testing.T) {
			i := inject(t, c.rule)
			s := httptest.NewUnstartedServer(httpfault.Handler(right, httpfault.Config{Dependency: "membership", Injector: i}))
			s.EnableHTTP2 = true
			s.StartTLS()
			defer s.Close()
			client := s.Client()
			if resp, body, err := get(t, client, s.URL); !c.want(resp, body, err) {
				t.Errorf("%v %q %v", resp, body, err)
			}
			if err := i.Update(chaos.Plan{}); err != nil {
				t.Fatal(err)
			}
			resp, body, err := get(t, client, s.URL)
			if err != nil || body != text || resp.ProtoMajor != 2 {
				t.Errorf("after the fault: %q %v", body, err)
			}
		})
	}
}

// TestAnEndlessBodyEndsWithItsRule: also while another rule is open.
func TestAnEndlessBodyEndsWithItsRule(t *testing.T) {
	for place, open := range places {
		t.Run(place, func(t *testing.T) {
			endless := rule(chaos.EndlessBody, func(w *chaos.What) { w.Delay = time.Millisecond })
			endless.TTL = 50 * time.Millisecond
			other := rule(chaos.Status, func(w *chaos.What) { w.Status = 500 })
			other.Where.Dependency = "somebody else"
			client, url := open(t, inject(t, endless, other))
			if _, body, err := get(t, client, url); err == nil || !strings.HasPrefix(body, text) {
				t.Errorf("%q, %v: want it to break off", body, err)
			}
		})
	}
}

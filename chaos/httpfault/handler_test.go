package httpfault_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/httpfault"
)

// TestTheHandlerFailsInsteadOfAnswering: what the transport makes an error of is bytes on
// the wire here, and the handler behind does not run.
func TestTheHandlerFailsInsteadOfAnswering(t *testing.T) {
	reset := func(_ *http.Response, err error) bool { return errors.Is(err, syscall.ECONNRESET) }
	for kind, want := range map[chaos.Kind]func(*http.Response, error) bool{
		chaos.Refuse:     reset,
		chaos.TLSFailure: reset,
		chaos.Error:      func(r *http.Response, err error) bool { return err == nil && r.StatusCode == 500 },
	} {
		t.Run(string(kind), func(t *testing.T) {
			i := inject(t, rule(kind))
			ran := make(chan struct{}, 1)
			s := httptest.NewServer(httpfault.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { ran <- struct{}{} }), httpfault.Config{Dependency: "membership", Injector: i}))
			defer s.Close()
			c := &http.Client{Transport: &http.Transport{}}
			defer c.CloseIdleConnections()
			if resp, _, err := get(t, c, s.URL); !want(resp, err) {
				t.Errorf("%v, %v", resp, err)
			}
			if len(ran) > 0 || i.Stats().Injected != 1 {
				t.Errorf("the handler ran %d times, %d faults", len(ran), i.Stats().Injected)
			}
		})
	}
}

// TestASlowBodyComesInPieces: each piece waits, by a delay or for its share of a rate.
func TestASlowBodyComesInPieces(t *testing.T) {
	const pause = 100 * time.Millisecond
	for name, change := range map[string]func(*chaos.What){
		"delay": func(w *chaos.What) { w.ChunkBytes, w.Delay = 4, pause },
		"rate":  func(w *chaos.What) { w.ChunkBytes, w.BytesPerS = 4, 40 },
		"both":  func(w *chaos.What) { w.ChunkBytes, w.BytesPerS, w.Delay = 4, 80, pause/2 },
	} {
		for place, open := range places {
			t.Run(name+"/"+place, func(t *testing.T) {
				t.Parallel() // it takes as long as its waits
				client, url := open(t, inject(t, rule(chaos.SlowBody, change)))
				began := time.Now()
				resp, err := client.Get(url)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				b := make([]byte, len(text))
				n, err := resp.Body.Read(b)
				if err != nil || n == len(text) {
					t.Errorf("the first read gave %q, %v", b[:n], err)
				}
				rest, err := io.ReadAll(resp.Body)
				if got := string(b[:n]) + string(rest); err != nil || got != text {
					t.Errorf("%q, %v", got, err)
				}
				if took, want := time.Since(began), time.Duration(len(text)/4)*pause; took < want {
					t.Errorf("took %s, less than %s", took, want)
				}
			})
		}
	}
}

// TestAHangAfterExecution: the request is carried out, and its answer comes when the rule
// ends.
func TestAHangAfterExecution(t *testing.T) {
	for place := range places {
		t.Run(place, func(t *testing.T) {
			i, reported := injected(t, rule(chaos.Hang, func(w *chaos.What) { w.At = "after" }))
			c, url, ran := harmed(t, place, i)
			answered := make(chan error, 1)
			go func() {
				_, body, err := get(t, c, url)
				if err == nil && body != text {
					err = errors.New("wrong: " + body)
				}
				answered <- err
			}()
			<-reported
			<-ran
			select {
			case err := <-answered:
				t.Fatalf("it was answered: %v", err)
			default:
			}
			if err := i.Update(chaos.Plan{}); err != nil {
				t.Fatal(err)
			}
			if err := <-answered; err != nil {
				t.Error(err)
			}
		})
	}
}

// TestAWrongLengthIsStated: the header says more than the body has.
func TestAWrongLengthIsStated(t *testing.T) {
	for name, states := range map[string]bool{"a stated length": true, "a body in one piece": false} {
		t.Run(name, func(t *testing.T) {
			i := inject(t, rule(chaos.WrongLength, func(w *chaos.What) { w.Bytes = 3 }))
			s := httptest.NewServer(httpfault.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if states {
					w.Header().Set("Content-Length", strconv.Itoa(len(text)))
				}
				right(w, r)
			}), httpfault.Config{Dependency: "membership", Injector: i}))
			defer s.Close()
			c := &http.Client{Transport: &http.Transport{}}
			defer c.CloseIdleConnections()
			resp, err := c.Get(s.URL)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if resp.ContentLength != int64(len(text)+3) || string(body) != text || !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%d bytes stated, %q came, %v", resp.ContentLength, body, err)
			}
		})
	}
}

// TestAResetInTheBodyIsReal: what comes before it arrives, then RST, with TLS too.
func TestAResetInTheBodyIsReal(t *testing.T) {
	for _, secure := range []bool{false, true} {
		t.Run(map[bool]string{false: "plain", true: "TLS"}[secure], func(t *testing.T) {
			i := inject(t, rule(chaos.Reset, func(w *chaos.What) { w.AfterBytes = 5 }))
			s := httptest.NewUnstartedServer(httpfault.Handler(right, httpfault.Config{Dependency: "membership", Injector: i}))
			if secure {
				s.StartTLS()
			} else {
				s.Start()
			}
			defer s.Close()
			resp, body, err := get(t, s.Client(), s.URL)
			if resp == nil || body != text[:5] || !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("%v %q %v", resp, body, err)
			}
		})
	}
}

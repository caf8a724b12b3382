package httpfault_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/httpfault"
)

// TestWhatHasEndedHoldsNothing: what a fault held goes on at once when its rule ends, and what
// it would have met does not happen any more.
func TestWhatHasEndedHoldsNothing(t *testing.T) {
	late := chaos.What{Kind: chaos.Latency, Delay: time.Hour}
	for name, whats := range map[string][]chaos.What{
		"latency before":       {late},
		"latency after":        {{Kind: chaos.Latency, Delay: time.Hour, At: "after"}},
		"latency in the body":  {{Kind: chaos.Latency, Delay: time.Hour, AfterBytes: 2}},
		"hang before":          {{Kind: chaos.Hang}},
		"hang after":           {{Kind: chaos.Hang, At: "after"}},
		"hang in the body":     {{Kind: chaos.Hang, AfterBytes: 2}},
		"slow body":            {{Kind: chaos.SlowBody, Delay: time.Hour, ChunkBytes: 2}},
		"slow body by rate":    {{Kind: chaos.SlowBody, BytesPerS: 1, ChunkBytes: 4000}},
		"reset with a delay":   {{Kind: chaos.Reset, Delay: time.Hour}},
		"reset in the body":    {{Kind: chaos.Reset, Delay: time.Hour, AfterBytes: 2}},
		"latency and a status": {late, {Kind: chaos.Status, Status: 503}},
		"latency and a drop":   {late, {Kind: chaos.Drop}},
		"latency and a cut":    {late, {Kind: chaos.Truncate, Bytes: 1}},
		"latency and damage":   {late, {Kind: chaos.Corrupt}},
		"latency, reset after": {late, {Kind: chaos.Reset, At: "after"}},
	} {
		for _, place := range []string{"handler", "transport"} {
			t.Run(name+"/"+place, func(t *testing.T) {
				t.Parallel()
				var plan chaos.Plan
				for i, what := range whats {
					plan.Rules = append(plan.Rules, chaos.Rule{Name: string(rune('a' + i)), What: what})
				}
				met := make(chan struct{}, 10)
				i, err := chaos.New(plan, chaos.Config{Listeners: []chaos.Listener{chaos.ListenerFunc(func(context.Context, chaos.Event) { met <- struct{}{} })}})
				if err != nil {
					t.Fatal(err)
				}
				i.Start()
				defer i.Stop()
				cfg := httpfault.Config{Dependency: "membership", Injector: i}
				var handler http.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) })
				base := &http.Transport{}
				defer base.CloseIdleConnections()
				var client http.Client
				if client.Transport = base; place == "handler" {
					handler = httpfault.Handler(handler, cfg)
				} else {
					client.Transport = httpfault.Transport(base, cfg)
				}
				s := httptest.NewServer(handler)
				defer s.Close()
				go func() {
					<-met
					if err := i.Update(chaos.Plan{}); err != nil {
						t.Error(err)
					}
				}()
				resp, err := client.Get(s.URL)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				if got, err := io.ReadAll(resp.Body); string(got) != text || err != nil {
					t.Errorf("%q, %v", got, err)
				}
			})
		}
	}
}

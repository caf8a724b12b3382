package rest_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backstay-go/backstay/clients/rest"
	"github.com/backstay-go/backstay/resilience"
)

// farm answers for many addresses, without a network.
type farm struct {
	mu     sync.Mutex
	seen   map[string]int
	order  []string
	hosts  []string
	answer func(host string) (int, error)
}

func (f *farm) RoundTrip(r *http.Request) (*http.Response, error) {
	f.mu.Lock()
	if f.seen == nil {
		f.seen = map[string]int{}
	}
	f.seen[r.URL.Host]++
	f.order = append(f.order, r.URL.Host+r.URL.Path)
	f.hosts = append(f.hosts, r.Host)
	f.mu.Unlock()
	status, err := 200, error(nil)
	if f.answer != nil {
		status, err = f.answer(r.URL.Host)
	}
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
}

func addresses(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("http://s%d", i)
	}
	return all
}

func balanced(t *testing.T, f *farm, cfg rest.BalancerConfig, change ...func(*resilience.Policy)) (*rest.Transport, func()) {
	t.Helper()
	b, err := rest.NewBalancer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	tr := &rest.Transport{Guard: guard(t, change...), Base: f, Balancer: b}
	return tr, func() {
		t.Helper()
		r, _ := http.NewRequestWithContext(t.Context(), "GET", "http://catalog/titles", nil)
		resp, err := tr.RoundTrip(r)
		if err == nil {
			resp.Body.Close()
		}
	}
}

func once(p *resilience.Policy) { p.Default.Retry = nil }

func TestBalancing(t *testing.T) {
	for _, robin := range []bool{false, true} {
		f := &farm{}
		_, get := balanced(t, f, rest.BalancerConfig{Addresses: addresses(4), RoundRobin: robin})
		for range 400 {
			get()
		}
		for _, host := range []string{"s0", "s1", "s2", "s3"} {
			if n := f.seen[host]; n < 50 || robin && n != 100 {
				t.Errorf("round robin %v: %s got %d of 400", robin, host, n)
			}
		}
		if f.hosts[0] != "catalog" {
			t.Errorf("the Host that was sent is %q", f.hosts[0])
		}
	}
}

// TestTwoChoicesAvoidTheSlow: one address answers nothing until the end; the others get
// what comes.
func TestTwoChoicesAvoidTheSlow(t *testing.T) {
	gate := make(chan struct{})
	f := &farm{}
	f.answer = func(host string) (int, error) {
		if host == "s0" {
			<-gate
		}
		return 200, nil
	}
	_, get := balanced(t, f, rest.BalancerConfig{Addresses: addresses(3)})
	var stuck, served sync.WaitGroup
	for range 30 {
		stuck.Go(get)
	}
	for range 10 {
		served.Go(func() { get() })
	}
	close(gate)
	stuck.Wait()
	served.Wait()
	if f.seen["s0"] > 25 {
		t.Errorf("the slow address got %d of 40", f.seen["s0"])
	}
}

func TestRepeatsGoElsewhere(t *testing.T) {
	f := &farm{answer: func(string) (int, error) { return 500, nil }}
	_, get := balanced(t, f, rest.BalancerConfig{Addresses: addresses(3), Outlier: rest.OutlierPolicy{Consecutive: -1}})
	for range 20 {
		f.order = nil
		if get(); len(f.order) != 3 || f.order[0] == f.order[1] || f.order[1] == f.order[2] || f.order[0] == f.order[2] {
			t.Fatalf("the attempts of one call went to %v", f.order)
		}
	}
}

func TestOutliersAreEjected(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer func(host string) (int, error)
		out    bool
	}{
		{"500", func(h string) (int, error) { return map[bool]int{true: 500, false: 200}[h == "s0"], nil }, true},
		{"connection errors", func(h string) (int, error) {
			if h == "s0" {
				return 0, errors.New("connection refused")
			}
			return 200, nil
		}, true},
		{"404 is no failure", func(h string) (int, error) { return map[bool]int{true: 404, false: 200}[h == "s0"], nil }, false},
		{"429 is no failure", func(h string) (int, error) { return map[bool]int{true: 429, false: 200}[h == "s0"], nil }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &farm{answer: c.answer}
				tr, get := balanced(t, f, rest.BalancerConfig{Addresses: addresses(4), RoundRobin: true}, once)
				for range 20 {
					get()
				}
				before := f.seen["s0"]
				for range 40 {
					get()
				}
				if got := f.seen["s0"] - before; (got == 0) != c.out {
					t.Errorf("%d more requests after %d", got, before)
				}
				if until := tr.Balancer.Backends()[0].EjectedUntil; c.out && time.Until(until) != 30*time.Second {
					t.Errorf("out for %v", time.Until(until))
				}
				if !c.out {
					return
				}
				// It comes back, and when it still fails it is out for twice as long.
				time.Sleep(30 * time.Second)
				for f.seen["s0"] < before+5 {
					get()
				}
				if left := time.Until(tr.Balancer.Backends()[0].EjectedUntil); left != 60*time.Second {
					t.Errorf("the second time out for %v", left)
				}
			})
		})
	}
}

func TestNotAllAreEjected(t *testing.T) {
	for n, want := range map[int]int{1: 0, 2: 1, 4: 1, 20: 2} {
		synctest.Test(t, func(t *testing.T) {
			f := &farm{answer: func(string) (int, error) { return 500, nil }}
			tr, get := balanced(t, f, rest.BalancerConfig{Addresses: addresses(n), RoundRobin: true}, once)
			for range 20 * n {
				get()
			}
			out := 0
			for _, b := range tr.Balancer.Backends() {
				if b.EjectedUntil.After(time.Now()) {
					out++
				}
			}
			if out != want {
				t.Errorf("%d of %d are out, want %d", out, n, want)
			}
		})
	}
}

func TestSuccessRatesAreCompared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n int
		f := &farm{answer: func(h string) (int, error) {
			if n++; h == "s0" && n%2 == 0 { // never five in a row
				return 500, nil
			}
			return 200, nil
		}}
		tr, get := balanced(t, f, rest.BalancerConfig{Addresses: addresses(7), RoundRobin: true}, once)
		for range 7 * 120 {
			get()
		}
		time.Sleep(11 * time.Second)
		get()
		for i, b := range tr.Balancer.Backends() {
			if b.EjectedUntil.After(time.Now()) != (i == 0) {
				t.Errorf("%s is out: %v", b.Address, b.EjectedUntil.After(time.Now()))
			}
		}
	})
}

func TestAddressesChange(t *testing.T) {
	f := &farm{}
	tr, get := balanced(t, f, rest.BalancerConfig{Addresses: []string{"http://s0/api/", "http://s1"}, RoundRobin: true})
	get()
	get()
	if strings.Join(f.order, " ") != "s1/titles s0/api/titles" && strings.Join(f.order, " ") != "s0/api/titles s1/titles" {
		t.Errorf("went to %v", f.order)
	}
	if err := tr.Balancer.Update([]string{"http://s2"}); err != nil {
		t.Fatal(err)
	}
	if get(); f.seen["s2"] != 1 {
		t.Errorf("%v", f.seen)
	}
	for _, bad := range [][]string{nil, {"s0:80"}, {"http://s0", "http://s0"}, {"ftp://s0"}, {"http://u:p@s0"}} {
		if err := tr.Balancer.Update(bad); err == nil {
			t.Errorf("%v was taken", bad)
		}
	}
	if get(); f.seen["s2"] != 2 {
		t.Error("a bad list changed the addresses")
	}
	if got := tr.Balancer.Backends()[0]; got.InFlight != 0 {
		t.Errorf("%d in flight", got.InFlight)
	}
	if _, err := rest.NewBalancer(rest.BalancerConfig{Outlier: rest.OutlierPolicy{MaxEjected: 101, Interval: -1}}); err == nil ||
		!strings.Contains(err.Error(), "MaxEjected is 101") || !strings.Contains(err.Error(), "Interval is -1ns") || !strings.Contains(err.Error(), "no address") {
		t.Errorf("%v", err)
	}
}

// TestTypedCallsAreBalanced: attempts of one call go to different addresses, and one
// that fails is taken out.
func TestTypedCallsAreBalanced(t *testing.T) {
	f := &farm{answer: func(host string) (int, error) {
		if host == "s0" {
			return 500, nil
		}
		return 200, nil
	}}
	b, err := rest.NewBalancer(rest.BalancerConfig{Addresses: addresses(2), RoundRobin: true, Outlier: rest.OutlierPolicy{Consecutive: 2}})
	if err != nil {
		t.Fatal(err)
	}
	c, err := rest.NewClient(rest.ClientConfig{BaseURL: "http://catalog/v1", Base: f, Balancer: b})
	if err != nil {
		t.Fatal(err)
	}
	g := guard(t)
	for range 20 {
		if _, err := rest.Get[struct{}](t.Context(), c, g, "/titles"); err != nil {
			t.Fatal(err)
		}
	}
	if f.seen["s0"] != 2 || f.seen["s1"] != 20 {
		t.Errorf("the address that fails got %d requests and the other %d, want 2 and 20", f.seen["s0"], f.seen["s1"])
	}
	if f.order[0] != "s1/v1/titles" && f.order[0] != "s0/v1/titles" || f.hosts[0] != "catalog" {
		t.Errorf("the first went to %s as %s", f.order[0], f.hosts[0])
	}
	for _, one := range b.Backends() {
		if one.InFlight != 0 {
			t.Errorf("%s has %d requests in flight", one.Address, one.InFlight)
		}
	}
}

// TestPathsBeginWithASlash: what does not could name another host. The guard never sees
// it.
func TestPathsBeginWithASlash(t *testing.T) {
	f := &farm{}
	c, err := rest.NewClient(rest.ClientConfig{BaseURL: "http://catalog", Base: f})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"@elsewhere/titles", "titles", ":81/titles", ""} {
		if _, err := rest.Get[struct{}](t.Context(), c, guard(t), path); err == nil || len(f.order) > 0 {
			t.Errorf("%q: %v, sent to %v", path, err, f.order)
		}
	}
}

// TestAStreamThatWasNotReadGoesElsewhere: the first address can't be reached. Nothing of the
// request's body was read, so another address gets it, though it can't be got again
// (gorouter#130).
func TestAStreamThatWasNotReadGoesElsewhere(t *testing.T) {
	gone := serve(t, func(http.ResponseWriter, *http.Request) {})
	gone.Close()
	onAll(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }, func(t *testing.T, s *service, base http.RoundTripper) {
		scheme, _, _ := strings.Cut(s.URL, ":")
		for range 10 {
			b, err := rest.NewBalancer(rest.BalancerConfig{Addresses: []string{s.URL, strings.Replace(gone.URL, "http", scheme, 1)}, RoundRobin: true})
			if err != nil {
				t.Fatal(err)
			}
			tr := &rest.Transport{Guard: guard(t), Base: base, Balancer: b}
			r, _ := http.NewRequestWithContext(t.Context(), "POST", "http://catalog/", io.MultiReader(strings.NewReader("hello")))
			resp, err := tr.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if string(got) != "hello" || err != nil {
				t.Errorf("%q, %v", got, err)
			}
		}
	})
}

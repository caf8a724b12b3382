package server

import (
	"context"
	"maps"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/backstay-go/backstay/internal/headers"
	"github.com/backstay-go/backstay/resilience"
)

// The headers of other systems, in canonical form.
const (
	grpcTimeout     = "Grpc-Timeout"
	grpcAttempts    = "Grpc-Previous-Rpc-Attempts"
	envoyTimeout    = "X-Envoy-Expected-Rq-Timeout-Ms"
	envoyAttempt    = "X-Envoy-Attempt-Count"
	envoyRetry      = "X-Envoy-Is-Timeout-Retry"
	finagleDeadline = "Finagle-Ctx-Com.twitter.finagle.deadline"
	finagleRetries  = "Finagle-Ctx-Com.twitter.finagle.retries"
)

// Loopback trusts requests from this machine.
func Loopback(r *http.Request) bool {
	a, ok := remote(r)
	return ok && a.IsLoopback()
}

// Networks trusts requests whose remote address is in one of the networks.
func Networks(networks ...netip.Prefix) func(*http.Request) bool {
	return func(r *http.Request) bool {
		a, ok := remote(r)
		for _, n := range networks {
			if ok && n.Contains(a) {
				return true
			}
		}
		return false
	}
}

func remote(r *http.Request) (netip.Addr, bool) {
	a, err := netip.ParseAddrPort(r.RemoteAddr)
	return a.Addr().Unmap().WithZone(""), err == nil
}

// caller is what the headers of a request say about its caller.
type caller struct {
	// left is the time until the caller's deadline, if timed is set.
	left  time.Duration
	timed bool
	// class is the request's criticality, if classed is set.
	class   resilience.Criticality
	classed bool
	// repeat: the request is itself a retry or a hedge.
	repeat bool
}

// callerOf reads the headers of a trusted peer. Of several deadlines the shortest counts.
// A header that can't be parsed is ignored.
func callerOf(h http.Header) (c caller) {
	c.atMost(first(h, headers.Timeout, headers.ParseTimeout))
	c.atMost(first(h, grpcTimeout, parseGRPC))
	c.atMost(first(h, envoyTimeout, headers.ParseTimeout))
	c.atMost(first(h, finagleDeadline, parseFinagle))
	c.class, c.classed = first(h, headers.Criticality, parseCriticality)
	if text := get(h, headers.Attempt); text != "" {
		n, hedge, ok := headers.ParseAttempt(text)
		c.repeat = ok && (n > 1 || hedge)
	}
	c.repeat = c.repeat || above(h, grpcAttempts, 0) || above(h, envoyAttempt, 1) || above(h, finagleRetries, 0) ||
		get(h, envoyRetry) == "true"
	return c
}

func (c *caller) atMost(left time.Duration, ok bool) {
	if ok && (!c.timed || left < c.left) {
		c.left, c.timed = left, true
	}
}

// get returns the first value of a header whose name is in canonical form.
func get(h http.Header, name string) string {
	if v := h[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

func first[T any](h http.Header, name string, parse func(string) (T, bool)) (v T, ok bool) {
	if text := get(h, name); text != "" {
		return parse(text)
	}
	return v, false
}

func above(h http.Header, name string, n int64) bool {
	text := get(h, name)
	if text == "" {
		return false
	}
	v, err := strconv.ParseInt(text, 10, 32)
	return err == nil && v > n
}

// parseCriticality reads a class in any case, its words joined by "_", "-" or nothing.
func parseCriticality(text string) (resilience.Criticality, bool) {
	plain := strings.NewReplacer("-", "", "_", "").Replace
	for class := resilience.Sheddable; class <= resilience.CriticalPlus; class++ {
		if strings.EqualFold(plain(strings.TrimSpace(text)), plain(class.String())) {
			return class, true
		}
	}
	return resilience.Critical, false
}

// parseGRPC reads at most eight digits and a unit: 250m is 250 ms.
func parseGRPC(text string) (time.Duration, bool) {
	if len(text) < 2 || len(text) > 9 {
		return 0, false
	}
	var unit time.Duration
	switch text[len(text)-1] {
	case 'H':
		unit = time.Hour
	case 'M':
		unit = time.Minute
	case 'S':
		unit = time.Second
	case 'm':
		unit = time.Millisecond
	case 'u':
		unit = time.Microsecond
	case 'n':
		unit = time.Nanosecond
	default:
		return 0, false
	}
	n, err := strconv.ParseUint(text[:len(text)-1], 10, 32)
	if err != nil {
		return 0, false
	}
	if n > uint64(headers.MaxTimeout/unit) {
		return headers.MaxTimeout, true
	}
	return time.Duration(n) * unit, true
}

// parseFinagle reads the time of sending and the deadline, in nanoseconds since 1970. Only
// their difference is used, because clocks may differ.
func parseFinagle(text string) (time.Duration, bool) {
	sent, deadline, _ := strings.Cut(text, " ")
	from, err := strconv.ParseInt(sent, 10, 64)
	if err != nil || from < 0 {
		return 0, false
	}
	to, err := strconv.ParseInt(deadline, 10, 64)
	if err != nil || to < 0 || to == math.MaxInt64 { // MaxInt64 means no deadline
		return 0, false
	}
	return min(max(0, time.Duration(to-from)), headers.MaxTimeout), true
}

// context adds class and attempt to the context, where guards find them. It does not add
// the deadline.
func (c caller) context(ctx context.Context) context.Context {
	if c.classed {
		ctx = resilience.WithCriticality(ctx, c.class)
	}
	if c.repeat {
		ctx = resilience.WithRetried(ctx)
	}
	return ctx
}

// hop lists the headers that belong to one hop. They are hidden from the handler, so that a
// proxy does not forward a deadline that is out of date or comes from an untrusted caller.
var hop = []string{headers.Timeout, headers.Criticality, headers.Attempt}

// withoutHop returns the headers without those in hop. The values are shared.
func withoutHop(h http.Header) http.Header {
	for i, name := range hop {
		if _, ok := h[name]; ok {
			out := maps.Clone(h)
			for _, name := range hop[i:] {
				delete(out, name)
			}
			return out
		}
	}
	return h
}

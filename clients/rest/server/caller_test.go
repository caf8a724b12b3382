package server

import (
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/backstay-go/backstay/resilience"
)

func TestCallerOf(t *testing.T) {
	ms := time.Millisecond
	for _, c := range []struct {
		name   string
		header []string
		want   caller
	}{
		{"nothing", nil, caller{}},
		{"backstay", []string{"Backstay-Timeout-Ms", "250", "Backstay-Criticality", "sheddable", "Backstay-Attempt", "1"},
			caller{left: 250 * ms, timed: true, class: resilience.Sheddable, classed: true}},
		{"second attempt", []string{"Backstay-Attempt", "2"}, caller{repeat: true}},
		{"hedge", []string{"Backstay-Attempt", "1;hedge"}, caller{repeat: true}},
		{"no time", []string{"Backstay-Timeout-Ms", "0"}, caller{timed: true}},
		{"grpc", []string{"grpc-timeout", "250m", "grpc-previous-rpc-attempts", "1"}, caller{left: 250 * ms, timed: true, repeat: true}},
		{"grpc hours", []string{"grpc-timeout", "2H"}, caller{left: 2 * time.Hour, timed: true}},
		{"grpc micros", []string{"grpc-timeout", "99999999u"}, caller{left: 99999999 * time.Microsecond, timed: true}},
		{"grpc capped", []string{"grpc-timeout", "99999999H"}, caller{left: 240 * time.Hour, timed: true}},
		{"grpc first", []string{"grpc-previous-rpc-attempts", "0"}, caller{}},
		{"envoy", []string{"x-envoy-expected-rq-timeout-ms", "300", "x-envoy-attempt-count", "2"}, caller{left: 300 * ms, timed: true, repeat: true}},
		{"envoy first", []string{"x-envoy-attempt-count", "1"}, caller{}},
		{"envoy timeout retry", []string{"x-envoy-is-timeout-retry", "true"}, caller{repeat: true}},
		{"finagle", []string{"Finagle-Ctx-com.twitter.finagle.Deadline", "1560853608671000000 1560853608921000000", "Finagle-Ctx-com.twitter.finagle.Retries", "1"},
			caller{left: 250 * ms, timed: true, repeat: true}},
		{"finagle over", []string{"Finagle-Ctx-com.twitter.finagle.Deadline", "1560853608671000000 1560853608670000000"}, caller{timed: true}},
		{"finagle none", []string{"Finagle-Ctx-com.twitter.finagle.Deadline", "1560853608671000000 9223372036854775807"}, caller{}},
		{"the shortest counts", []string{"Backstay-Timeout-Ms", "250", "x-envoy-expected-rq-timeout-ms", "100", "grpc-timeout", "1S"}, caller{left: 100 * ms, timed: true}},
		{"nonsense", []string{"Backstay-Timeout-Ms", "soon", "grpc-timeout", "m", "x-envoy-expected-rq-timeout-ms", "1.5", "Finagle-Ctx-com.twitter.finagle.Deadline", "1",
			"Backstay-Criticality", "urgent", "Backstay-Attempt", "x", "x-envoy-attempt-count", "many"}, caller{}},
		{"grpc too long", []string{"grpc-timeout", "123456789S"}, caller{}},
		{"grpc negative", []string{"grpc-timeout", "-1S"}, caller{}},
	} {
		h := http.Header{}
		for i := 0; i < len(c.header); i += 2 {
			h.Set(c.header[i], c.header[i+1])
		}
		if got := callerOf(h); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

func TestTrust(t *testing.T) {
	net := Networks(netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd00::/8"))
	for _, c := range []struct {
		remote         string
		loopback, nets bool
	}{
		{"127.0.0.1:80", true, false}, {"[::1]:80", true, false}, {"[::ffff:127.0.0.1]:80", true, false},
		{"10.1.2.3:1", false, true}, {"[::ffff:10.1.2.3]:1", false, true}, {"10.2.0.1:1", false, false},
		{"[fd00::1%eth0]:1", false, true}, {"", false, false}, {"@", false, false}, {"127.0.0.1", false, false},
	} {
		r := &http.Request{RemoteAddr: c.remote}
		if Loopback(r) != c.loopback || net(r) != c.nets {
			t.Errorf("%q: %v, %v", c.remote, Loopback(r), net(r))
		}
	}
}

func FuzzCaller(f *testing.F) {
	f.Add("250", "250m", "1 2", "2;hedge")
	f.Add("", "99999999H", "-1 -1", "0")
	f.Fuzz(func(t *testing.T, timeout, grpc, finagle, attempt string) {
		c := callerOf(http.Header{"Backstay-Timeout-Ms": {timeout}, grpcTimeout: {grpc}, finagleDeadline: {finagle}, "Backstay-Attempt": {attempt}})
		if c.left < 0 || c.left > 240*time.Hour || !c.timed && c.left != 0 {
			t.Errorf("%+v", c)
		}
	})
}

func TestParseCriticality(t *testing.T) {
	for text, want := range map[string]resilience.Criticality{
		"critical": resilience.Critical, "CRITICAL_PLUS": resilience.CriticalPlus, " sheddable-plus": resilience.SheddablePlus,
		"criticalPlus": resilience.CriticalPlus, "sheddable": resilience.Sheddable,
	} {
		if got, ok := parseCriticality(text); got != want || !ok {
			t.Errorf("%q is read as %v, %v", text, got, ok)
		}
	}
	for _, text := range []string{"", "important", "1", "unknown"} {
		if got, ok := parseCriticality(text); ok || got != resilience.Critical {
			t.Errorf("%q is read as %v, %v", text, got, ok)
		}
	}
}

package upstream_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/backstay-go/backstay/licensesvc/upstream"
	"github.com/backstay-go/backstay/licensesvc/upstream/server"
	"github.com/backstay-go/backstay/resilience"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// broken is a transport that can be made to fail or to hang.
type broken struct {
	base  http.Transport
	fail  atomic.Bool
	slow  atomic.Int32
	calls atomic.Int32
}

func (b *broken) RoundTrip(r *http.Request) (*http.Response, error) {
	b.calls.Add(1)
	if b.fail.Load() {
		return nil, errors.New("connection refused")
	}
	if b.slow.Add(-1) >= 0 {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	return b.base.RoundTrip(r)
}

func (b *broken) CloseIdleConnections() { b.base.CloseIdleConnections() }

func setup(t *testing.T) (*upstream.Clients, map[string]*broken) {
	t.Helper()
	servers, err := server.Start(t.Context(), server.Config{})
	if err != nil {
		t.Fatal(err)
	}
	wires := map[string]*broken{upstream.Membership: {}, upstream.Catalog: {}, upstream.KeyService: {}}
	c, err := upstream.New(upstream.Config{
		Membership: servers.URL("membership"), Catalog: servers.URL("catalog"), Keys: servers.URL("key-service"),
		Transport: func(name string) http.RoundTripper { return wires[name] },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(c.Close(), servers.Shutdown(context.WithoutCancel(t.Context()))); err != nil {
			t.Error(err)
		}
	})
	return c, wires
}

func TestPoliciesHold(t *testing.T) {
	for _, p := range []resilience.Policy{upstream.MembershipPolicy(), upstream.CatalogPolicy(), upstream.KeyServicePolicy()} {
		if err := p.Check(); err != nil {
			t.Errorf("%s: %v", p.Name, err)
		}
	}
}

func TestALastKnownPlanStandsIn(t *testing.T) {
	c, wires := setup(t)
	id := server.MemberID(7)
	live, err := c.MemberToIssue(t.Context(), id)
	if err != nil || live.Source != resilience.Live || !upstream.KnownPlan(live.Value.Plan) {
		t.Fatalf("%+v, %v", live, err)
	}
	wires[upstream.Membership].fail.Store(true)
	for name, ask := range map[string]func(context.Context, string) (resilience.Result[upstream.Member], error){
		"issue": c.MemberToIssue, "renew": c.MemberToRenew,
	} {
		stale, err := ask(t.Context(), id)
		if err != nil || stale.Source != resilience.Stale || stale.Value != live.Value || stale.Cause == nil {
			t.Errorf("%s: %+v, %v", name, stale, err)
		}
	}
	if res, err := c.MemberToIssue(t.Context(), server.MemberID(8)); err == nil {
		t.Errorf("a member nobody remembers: %+v", res)
	}
}

func TestNoSuchMemberIsAnAnswer(t *testing.T) {
	c, wires := setup(t)
	res, err := c.MemberToIssue(t.Context(), "nobody")
	if err != nil || res.Value.Status != upstream.StatusUnknown || res.Source != resilience.Live {
		t.Fatalf("%+v, %v", res, err)
	}
	if n := wires[upstream.Membership].calls.Load(); n != 1 {
		t.Errorf("%d calls: an answer was repeated", n)
	}
	title, err := c.Title(t.Context(), "meridian-999")
	if err != nil || !title.Value.Unknown || title.Source != resilience.Live {
		t.Errorf("%+v, %v", title, err)
	}
}

func TestTheStrictestTermsStandIn(t *testing.T) {
	c, wires := setup(t)
	id := server.TitleID("meridian", 2)
	live, err := c.Title(t.Context(), id)
	for deadline := time.Now().Add(20 * time.Second); live.Source != resilience.Live && time.Now().Before(deadline); {
		live, err = c.Title(t.Context(), id) // a busy machine may be late for the first
	}
	if err != nil {
		t.Fatal(err)
	}
	wires[upstream.Catalog].fail.Store(true)
	stale, err := c.Title(t.Context(), id)
	if err != nil || stale.Source != resilience.Stale || stale.Value != live.Value {
		t.Errorf("%+v, %v", stale, err)
	}
	static, err := c.Title(t.Context(), server.TitleID("meridian", 4))
	if err != nil || static.Source != resilience.Static || static.Value.Terms != upstream.Strictest("meridian") || static.Value.Studio != "meridian" {
		t.Errorf("%+v, %v", static, err)
	}
}

// TestStrictestIsStrictest holds that no stand-in allows what a real title forbids.
func TestStrictestIsStrictest(t *testing.T) {
	c, _ := setup(t)
	for _, studio := range server.Studios() {
		strict := upstream.Strictest(studio)
		for n := 1; n <= server.TitlesPerStudio; n++ {
			res, err := c.Title(t.Context(), server.TitleID(studio, n))
			if err != nil {
				t.Fatal(err)
			}
			real := res.Value.Terms
			if strict.StudioDownloads > real.StudioDownloads || strict.TitleDownloadsPerYear > real.TitleDownloadsPerYear ||
				strict.TitlePlaysPerYear > real.TitlePlaysPerYear || strict.LicenseHours > real.LicenseHours ||
				strict.RenewalHours > real.RenewalHours || strict.PlaybackHours > real.PlaybackHours {
				t.Errorf("%s: %+v allows more than %+v", res.Value.ID, strict, real)
			}
		}
	}
}

func TestKeysAreHedgedAndHaveNoStandIn(t *testing.T) {
	c, wires := setup(t)
	want := upstream.KeyRequest{License: "l", Title: "meridian-002", Device: "d"}
	first, err := c.Key(t.Context(), want)
	if err != nil {
		t.Fatal(err)
	}
	wires[upstream.KeyService].slow.Store(1)
	hedged, err := c.Key(t.Context(), want)
	if err != nil || hedged.Source != resilience.Hedge || hedged.Value.ID != first.Value.ID {
		t.Errorf("%+v, %v", hedged, err)
	}
	wires[upstream.KeyService].fail.Store(true)
	if res, err := c.Key(t.Context(), want); !errors.Is(err, upstream.ErrNoKey) {
		t.Errorf("%+v, %v", res, err)
	}
}

func TestConfigNamesEveryProblem(t *testing.T) {
	_, err := upstream.New(upstream.Config{Membership: "127.0.0.1:1", Catalog: "ftp://x", Policies: map[string]resilience.Policy{"mail": {}}})
	for _, want := range []string{"Membership", "Catalog", "Keys", `"mail"`, "http://"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
}

func TestWaitTellsWhenTheBreakerAdmits(t *testing.T) {
	now := time.Now()
	if d := upstream.Wait(&resilience.Refusal{Until: now.Add(3 * time.Second)}, now); d != 3*time.Second {
		t.Error(d)
	}
	if d := upstream.Wait(errors.New("x"), now); d != time.Second {
		t.Error(d)
	}
}

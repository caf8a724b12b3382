package app_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/backstay-go/backstay/licensesvc/app"
	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/licensesvc/license"
	"github.com/backstay-go/backstay/licensesvc/upstream"
	"github.com/backstay-go/backstay/licensesvc/upstream/server"
)

// capped returns an instance whose rules limit a studio.
func (h *house) capped(studio string, limit int) *app.Service {
	h.t.Helper()
	s, err := app.New(app.Config{Store: h.guarded, Upstream: h.clients, Rules: cappedRules(studio, limit)})
	if err != nil {
		h.t.Fatal(err)
	}
	return s
}

func cappedRules(studio string, limit int) license.Rules {
	rules, _ := license.Compile(license.Version{Name: "v1", Rules: []license.Rule{
		{Name: "all", Says: []license.Setting{{Field: license.Devices, Value: 2}}},
		{Name: "cap of " + studio, When: license.Selector{Studios: []string{studio}}, Says: []license.Setting{{Field: license.StudioConcurrent, Value: int64(limit)}}},
	}})
	return rules
}

// members returns members of the standard plan.
func (h *house) members(n int) (all []string) {
	h.t.Helper()
	for i := 1; len(all) < n && i < 500; i++ {
		if res, err := h.clients.MemberToIssue(h.t.Context(), server.MemberID(i)); err == nil && res.Value.Plan == upstream.PlanStandard && res.Value.Status == upstream.StatusActive {
			all = append(all, res.Value.ID)
		}
	}
	if len(all) < n {
		h.t.Fatalf("%d members of %d", len(all), n)
	}
	return all
}

// TestAStudiosLimitOverAllMembers: many members ask two instances at once, and exactly as many get a
// license as the studio allows. Another studio's licenses are not in the way.
func TestAStudiosLimitOverAllMembers(t *testing.T) {
	h := build(t)
	const limit = 3
	instances := []*app.Service{h.capped("meridian", limit), h.capped("meridian", limit)}
	members := h.members(12)
	title := server.TitleID("meridian", 2)
	// A license that an instance without the limit grants counts too.
	first := h.grant(members[0], "phone", title, "first")
	var mu sync.Mutex
	held := map[string]license.License{members[0]: first.License}
	var refused []string
	var wg sync.WaitGroup
	for i, m := range members[1:] {
		wg.Go(func() {
			a, err := instances[i%2].Request(t.Context(), request(m, "phone", title, "k"))
			_, other := instances[i%2].Request(t.Context(), request(m, "phone", server.TitleID("halyard", 1), "k2"))
			mu.Lock()
			defer mu.Unlock()
			var r *app.Refused
			switch {
			case err == nil:
				held[m] = a.License
			case errors.As(err, &r) && r.Code == license.StudioConcurrentLimit && r.Limit == limit:
				refused = append(refused, m)
			default:
				t.Errorf("%s: %v", m, err)
			}
			if other != nil && !errors.As(other, &r) {
				t.Errorf("%s, another studio: %v", m, other)
			}
		})
	}
	wg.Wait()
	if len(held) != limit || len(refused) != len(members)-limit {
		t.Fatalf("%d licenses, %d refusals, the studio allows %d", len(held), len(refused), limit)
	}
	// The same request again gets the first answer, although the limit is reached.
	for m, l := range held {
		if m == members[0] {
			continue
		}
		if a, err := instances[0].Request(t.Context(), request(m, "phone", title, "k")); err != nil || !a.Repeated || a.License.ID != l.ID {
			t.Errorf("again: %+v, %v", a, err)
		}
	}
	// A place that is given back is free for one other.
	if _, err := h.app.Release(t.Context(), app.ReportInput{Member: members[0], License: first.License.ID, Key: "back"}); err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{true, false} {
		_, err := instances[1].Request(t.Context(), request(refused[i], "phone", title, "later"))
		if (err == nil) != want {
			t.Errorf("request %d after a release: %v", i, err)
		}
	}
}

// TestALimitOverAllMembersNeedsAStoreThatCanKeepIt: the error names rule and studio.
func TestALimitOverAllMembersNeedsAStoreThatCanKeepIt(t *testing.T) {
	h := build(t)
	rules := cappedRules("meridian", 3)
	for name, store := range map[string]eventstore.LoadAppender{
		"refuses tags":  refusing{h.guarded},
		"knows no tags": struct{ eventstore.LoadAppender }{h.guarded},
	} {
		_, err := app.New(app.Config{Store: store, Upstream: h.clients, Rules: rules})
		if !errors.Is(err, eventstore.ErrUnsupported) || !strings.Contains(fmt.Sprint(err), "studio_concurrent (v1: cap of meridian)") {
			t.Errorf("%s: %v", name, err)
		}
		s, err := app.New(app.Config{Store: store, Upstream: h.clients})
		if err != nil {
			t.Fatal(err)
		}
		m := h.members(1)[0]
		if _, err := s.Request(t.Context(), request(m, "phone", server.TitleID("meridian", 2), name)); err != nil {
			t.Errorf("%s, without the rule: %v", name, err)
		}
		page, err := h.guarded.Load(t.Context(), eventstore.Query{Stream: app.Stream(m)})
		if err != nil || len(page.Events) == 0 || page.Events[len(page.Events)-1].Tags != nil {
			t.Errorf("%s: %+v, %v; want events without tags", name, page.Events, err)
		}
		if err := s.SetRules(rules); !errors.Is(err, eventstore.ErrUnsupported) { // They came after the start.
			t.Errorf("%s, rules that came later: %v", name, err)
		}
		if len(s.Rules().Spanning()) > 0 {
			t.Errorf("%s: rules that were refused are in force", name)
		}
	}
}

// refusing is a store that refuses tags, as Cassandra does.
type refusing struct{ eventstore.GuardedStore }

func (refusing) CheckTags() error { return eventstore.ErrUnsupported }

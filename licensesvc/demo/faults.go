package demo

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/scenario"
	"github.com/backstay-go/backstay/licensesvc/app"
	"github.com/backstay-go/backstay/licensesvc/dashboard"
	"github.com/backstay-go/backstay/licensesvc/upstream"
)

// pressed is the duration of a button's fault.
const pressed = 10 * time.Second

// button is a fault that a person may inject on the page.
type button struct {
	id, label string
	rule      chaos.Rule
}

// buttonsFor returns the buttons for a store. SQLite fails below its guard, Cassandra by its
// nodes.
func buttonsFor(store string) []button {
	if store == "cassandra" {
		return append(slices.Clone(buttons), button{"node-paused", "node3 paused", chaos.Rule{Where: chaos.Where{Dependency: app.EventStore, Node: "node3", Protocol: chaos.Node}, What: chaos.What{Kind: chaos.Pause}}})
	}
	return append(slices.Clone(buttons), button{"store-gone", "gone", chaos.Rule{Where: chaos.Where{Dependency: app.EventStore, Protocol: chaos.InProcess}, What: chaos.What{Kind: chaos.Error, Code: "unavailable"}}})
}

// buttons are the buttons that every store has.
var buttons = []button{
	{"catalog-slow", "slow", chaos.Rule{Where: chaos.Where{Dependency: upstream.Catalog, Protocol: chaos.TCP}, What: chaos.What{Kind: chaos.Latency, Delay: 900 * time.Millisecond}}},
	{"membership-500", "answer 500", chaos.Rule{Where: chaos.Where{Dependency: upstream.Membership, Protocol: chaos.HTTP}, What: chaos.What{Kind: chaos.Status, Status: 500}}},
	{"keys-hang", "hang", chaos.Rule{Where: chaos.Where{Dependency: upstream.KeyService, Protocol: chaos.TCP}, What: chaos.What{Kind: chaos.Hang, Direction: chaos.Both}}},
}

// faults gives the page the scenario's faults and the faults of the buttons.
type faults struct {
	injector *chaos.Injector
	buttons  []button
	mu       sync.Mutex // held during changes to the plan
}

// Timeline implements dashboard.Faults.
func (f *faults) Timeline() []dashboard.Fault {
	elapsed := f.injector.Elapsed()
	if elapsed == 0 {
		return nil
	}
	began := time.Now().Add(-elapsed)
	var all []dashboard.Fault
	for _, r := range scenario.Timeline(f.injector.Plan()) {
		all = append(all, dashboard.Fault{Target: r.Target, What: r.What, From: began.Add(r.From), To: began.Add(r.To)})
	}
	return all
}

// Buttons implements dashboard.Faults.
func (f *faults) Buttons() []dashboard.Button {
	f.mu.Lock()
	defer f.mu.Unlock()
	plan, now := f.injector.Plan(), f.injector.Elapsed()
	var all []dashboard.Button
	for _, b := range f.buttons {
		i := f.active(plan, b.id, now)
		all = append(all, dashboard.Button{ID: b.id, Target: b.rule.Where.Dependency, Label: b.label, Active: i >= 0})
	}
	return all
}

// active returns the index of a button's rule that is active now, or -1.
func (f *faults) active(p chaos.Plan, id string, now time.Duration) int {
	return slices.IndexFunc(p.Rules, func(r chaos.Rule) bool { return r.Name == "button "+id && now < r.When.To })
}

// Toggle implements dashboard.Faults.
func (f *faults) Toggle(id string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	plan, now := f.injector.Plan(), f.injector.Elapsed()
	if now == 0 {
		return fmt.Errorf("the faults have not begun: wait for the load")
	}
	if i := f.active(plan, id, now); i >= 0 {
		plan.Rules = slices.Delete(plan.Rules, i, i+1)
		return f.injector.Update(plan)
	}
	for _, b := range f.buttons {
		if b.id != id {
			continue
		}
		// Rules that are over are removed, because the plan would otherwise grow for as long as
		// the demonstration runs.
		plan.Rules = slices.DeleteFunc(plan.Rules, func(r chaos.Rule) bool { return r.Name == "button "+id })
		rule := b.rule
		rule.Name, rule.When = "button "+id, chaos.When{From: now, To: now + pressed}
		plan.Rules = append(plan.Rules, rule)
		return f.injector.Update(plan)
	}
	return dashboard.ErrUnknownFault
}

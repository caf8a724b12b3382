package scenario_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/report"
	"github.com/backstay-go/backstay/chaos/scenario"
)

// disturbed plays in virtual time, while somebody changes the plan by hand.
func disturbed(t *testing.T, by func(ctx context.Context, i *chaos.Injector)) *report.Report {
	t.Helper()
	var rep *report.Report
	dir := t.TempDir()
	s := parse(t, text)
	synctest.Test(t, func(t *testing.T) {
		var err error
		rep, err = scenario.Play(t.Context(), s, scenario.Config{Target: &simpleTarget{system: &simple{}}, Dir: dir, Command: "go test",
			Watch: func(ctx context.Context, v scenario.View) { by(ctx, v.Injector) }})
		if err != nil {
			t.Fatal(err)
		}
	})
	return rep
}

// add adds a rule that makes the store fail for two seconds.
func add(t *testing.T, i *chaos.Injector, name string) chaos.Rule {
	rule := chaos.Rule{Name: name, Where: chaos.Where{Dependency: "store", Protocol: chaos.InProcess}, What: chaos.What{Kind: chaos.Error, Code: "gone"},
		When: chaos.When{From: i.Elapsed(), To: i.Elapsed() + 2*time.Second}}
	p := i.Plan()
	p.Rules = append(p.Rules, rule)
	if err := i.Update(p); err != nil {
		t.Error(err)
	}
	return rule
}

// TestFaultsByHandLeaveTheRunUndecided: a person who presses a button spoils the checks, and the
// report says so and shows what was pressed.
func TestFaultsByHandLeaveTheRunUndecided(t *testing.T) {
	rep := disturbed(t, func(ctx context.Context, i *chaos.Injector) {
		time.Sleep(8 * time.Second)
		add(t, i, "first")
		time.Sleep(time.Second)
		p := i.Plan() // The second is ended after half a second.
		add(t, i, "second")
		time.Sleep(500 * time.Millisecond)
		if err := i.Update(p); err != nil {
			t.Error(err)
		}
		<-ctx.Done()
	})
	if rep.Verdict != report.Undecided {
		t.Errorf("verdict %s\n%s", rep.Verdict, rep.Text())
	}
	check(t, rep, "nothing else was broken", report.Undecided)
	var hand []report.Fault
	for _, f := range rep.Faults {
		if f.ByHand {
			hand = append(hand, f)
		}
	}
	at := func(f report.Fault) []time.Duration { return []time.Duration{f.From, f.To} }
	if len(hand) != 2 || !slices.Equal(at(hand[0]), []time.Duration{8 * time.Second, 10 * time.Second}) || !slices.Equal(at(hand[1]), []time.Duration{9 * time.Second, 9500 * time.Millisecond}) {
		t.Errorf("faults by hand: %+v", hand)
	}
	if e := hand[0].Effect; e.Requests < 50 || e.Served != 0 {
		t.Errorf("the effect is %+v", e)
	}
}

// TestAFaultHasItsEffect: what users saw of the scenario's fault, and when they were well again.
func TestAFaultHasItsEffect(t *testing.T) {
	rep := play(t, parse(t, text), &simple{fallback: true})
	e := rep.Faults[0].Effect
	if e == nil || e.Requests < 100 || e.Served != e.Requests || e.StoodIn["stale"] != e.Requests || e.Live != 0 || e.Back != 0 {
		t.Errorf("with stale data: %+v", e)
	}
	rep = play(t, parse(t, text), &simple{})
	if e := rep.Faults[0].Effect; e.Served != 0 || e.Outcomes["refused"] != e.Requests || len(e.StoodIn) != 0 || e.Live != e.Requests {
		t.Errorf("without: %+v", e)
	}
}

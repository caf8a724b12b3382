package chaos_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/internal/faulttest"
)

// called runs a rule in virtual time and returns all that a caller sees of a call and of
// a clock.
func called(t *testing.T, what chaos.What) (log string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		plan := one(what)
		plan.Rules[0].TTL = time.Hour
		i := injector(t, plan, chaos.Config{})
		i.Start()
		began := time.Now()
		say := func(format string, args ...any) {
			log += fmt.Sprintf("%s "+format+"\n", append([]any{time.Since(began)}, args...)...)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		unavailable := errors.New("not to be had")
		p := i.Point("store", "read", map[string]error{"unavailable": unavailable})
		say("the clock says %s", p.Clock(ctx, nil)())
		defer func() {
			if r := recover(); r != nil {
				say("panic: %v", r)
			}
		}()
		v, err := chaos.Do(ctx, p, func(context.Context) (int, error) { say("it runs"); return 7, nil })
		say("%d, %v, %v", v, err, errors.Is(err, unavailable))
	})
	return log
}

// TestNoParameterIsIgnored: whatever parameter a kind takes in a process changes what a
// caller sees.
func TestNoParameterIsIgnored(t *testing.T) {
	for _, v := range faulttest.Variants(chaos.InProcess, time.Second) {
		t.Run(v.Name(), func(t *testing.T) {
			if a := called(t, v.A); a == called(t, v.B) {
				t.Errorf("it makes no difference:\n%s", a)
			}
		})
	}
}

// TestEachParameterHasAPlace: what a kind takes has a meaning somewhere, and a rule acts
// where all that it sets has one.
func TestEachParameterHasAPlace(t *testing.T) {
	for _, k := range chaos.Kinds() {
		for _, parameter := range slices.Concat(k.Needs, k.Takes) {
			if !slices.ContainsFunc(k.Places, func(place string) bool { return slices.Contains(k.At(place), parameter) }) {
				t.Errorf("%s takes %s nowhere", k.Kind, parameter)
			}
		}
		for _, place := range []string{chaos.InProcess, chaos.HTTP, chaos.TCP, chaos.CQL, chaos.Node} {
			if at := k.At(place); len(at) > 0 && !k.Kind.AppliesTo(place) {
				t.Errorf("%s takes %v at %s, where it does not happen", k.Kind, at, place)
			}
		}
	}
	for _, place := range []string{chaos.InProcess, chaos.HTTP, chaos.TCP, chaos.CQL, chaos.Node} {
		for _, v := range faulttest.Variants(place, time.Second) {
			for _, what := range []chaos.What{v.A, v.B} {
				r := chaos.Rule{Where: chaos.Where{Protocol: place}, What: what}
				if got := r.Places(); !slices.Equal(got, []string{place}) {
					t.Errorf("%s at %s: %v", v.Name(), place, got)
				}
				if err := (chaos.Plan{Rules: []chaos.Rule{r}}).Check(); err != nil {
					t.Errorf("%s at %s: %v", v.Name(), place, err)
				}
			}
		}
	}
}

// TestARuleIsPassedOverElsewhere: where one of its parameters has no meaning it neither
// acts nor counts calls.
func TestARuleIsPassedOverElsewhere(t *testing.T) {
	plan := one(chaos.What{Kind: chaos.Reset, AfterUptime: time.Second})
	plan.Rules[0].When.Nth = 2
	i := injector(t, plan, chaos.Config{})
	i.Start()
	if got := plan.Rules[0].Places(); !slices.Equal(got, []string{chaos.TCP, chaos.CQL}) {
		t.Errorf("places %v", got)
	}
	ask := func(place string) int {
		return len(i.Decide(t.Context(), chaos.Call{Dependency: "d", Protocol: place}))
	}
	for n, c := range []struct {
		place string
		want  int
	}{{chaos.HTTP, 0}, {chaos.HTTP, 0}, {chaos.InProcess, 0}, {chaos.TCP, 0}, {chaos.HTTP, 0}, {chaos.CQL, 1}, {"", 0}} {
		if got := ask(c.place); got != c.want {
			t.Errorf("call %d, at %q: %d faults, want %d", n+1, c.place, got, c.want)
		}
	}
}

// TestTheFirstFaultWins: of several that do not wait, in a process.
func TestTheFirstFaultWins(t *testing.T) {
	plan := chaos.Plan{Rules: []chaos.Rule{
		{Name: "skewed", What: chaos.What{Kind: chaos.ClockSkew, Skew: time.Hour}},
		{Name: "wrong", What: chaos.What{Kind: chaos.WrongResult}},
		{Name: "error", What: chaos.What{Kind: chaos.Error}},
	}}
	i := injector(t, plan, chaos.Config{})
	i.Start()
	v, err := chaos.Do(t.Context(), i.Point("d", "o", nil), func(context.Context) (int, error) { return 7, nil })
	if s := i.Stats(); v != 0 || err != nil || s.Injected != 1 || s.ByRule["skewed"] != 0 {
		t.Errorf("%d, %v, %+v; want a wrong result, and no call counted for the clock", v, err, s)
	}
}

package chaos_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/backstay-go/backstay/chaos"
)

// TestASleepEndsWithItsFault: in whatever way the rule stops to hold, whoever waits by it goes
// on at once.
func TestASleepEndsWithItsFault(t *testing.T) {
	slow := chaos.Rule{Name: "slow", What: chaos.What{Kind: chaos.Latency, Delay: time.Hour}, TTL: 2 * time.Hour}
	changed := func(change func(*chaos.Rule)) []chaos.Rule {
		r := slow
		change(&r)
		return []chaos.Rule{r}
	}
	for name, c := range map[string]struct {
		then []chaos.Rule
		want time.Duration
	}{
		"removed":         {nil, time.Minute},
		"another delay":   {changed(func(r *chaos.Rule) { r.What.Delay = time.Second }), time.Minute},
		"another kind":    {changed(func(r *chaos.Rule) { r.What = chaos.What{Kind: chaos.Hang} }), time.Minute},
		"another name":    {changed(func(r *chaos.Rule) { r.Name = "other" }), time.Minute},
		"a window before": {changed(func(r *chaos.Rule) { r.When.To = 30 * time.Second }), time.Minute},
		"a shorter ttl":   {changed(func(r *chaos.Rule) { r.TTL = 2 * time.Minute }), 2 * time.Minute},
		"the same":        {[]chaos.Rule{slow}, time.Hour},
		"another as well": {[]chaos.Rule{{Name: "first", What: chaos.What{Kind: chaos.Hang}}, slow}, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				i, err := chaos.New(chaos.Plan{Rules: []chaos.Rule{slow}}, chaos.Config{})
				if err != nil {
					t.Fatal(err)
				}
				i.Start()
				faults := i.Decide(t.Context(), chaos.Call{Protocol: chaos.InProcess})
				if len(faults) != 1 {
					t.Fatalf("%d faults", len(faults))
				}
				began := time.Now()
				time.AfterFunc(time.Minute, func() {
					if err := i.Update(chaos.Plan{Rules: c.then}); err != nil {
						t.Error(err)
					}
				})
				if err := i.Sleep(t.Context(), faults[0], faults[0].Delay); err != nil {
					t.Error(err)
				}
				if took := time.Since(began); took != c.want {
					t.Errorf("it slept for %s, want %s", took, c.want)
				}
			})
		})
	}
}

// TestWhatIsFollowedIsRolledAgainForAnotherProbability: with the same number, so that a
// higher chance keeps what was hit.
func TestWhatIsFollowedIsRolledAgainForAnotherProbability(t *testing.T) {
	rules := func(p float64) chaos.Plan {
		return chaos.Plan{Seed: 1, Rules: []chaos.Rule{{Name: "r", Often: chaos.Often{Probability: &p}, What: chaos.What{Kind: chaos.Hang}}}}
	}
	i, err := chaos.New(rules(0.5), chaos.Config{})
	if err != nil {
		t.Fatal(err)
	}
	i.Start()
	defer i.Stop()
	for n := range 50 {
		followed := i.Follow(chaos.Call{Protocol: chaos.TCP, Identity: string(rune('a' + n))})
		hit := func(p float64) bool {
			if err := i.Update(rules(p)); err != nil {
				t.Fatal(err)
			}
			return len(followed.Faults(t.Context())) == 1
		}
		half := hit(0.5)
		if hit(0) || !hit(1) || hit(0.5) != half {
			t.Errorf("%d: a chance of 0 hits, of 1 does not, or of 0.5 hits now and then", n)
		}
	}
}

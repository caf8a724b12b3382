package chaos_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backstay-go/backstay/chaos"
	"pgregory.net/rapid"
)

func injector(t *testing.T, plan chaos.Plan, config chaos.Config) *chaos.Injector {
	t.Helper()
	i, err := chaos.New(plan, config)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// decisions asks about n requests of three attempts in the given order by the
// given number of goroutines.
func decisions(t testing.TB, plan chaos.Plan, n, workers int, order []int) map[string]string {
	i, err := chaos.New(plan, chaos.Config{})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	got := make(map[string]string)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for k := w; k < len(order); k += workers {
				call := chaos.Call{Dependency: "catalog", Identity: fmt.Sprint("request-", order[k]/3), Attempt: order[k]%3 + 1}
				faults := i.DecideAt(context.Background(), call, time.Second)
				mu.Lock()
				got[fmt.Sprint(call.Identity, "/", call.Attempt)] = fmt.Sprint(faults)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(got) != n*3 {
		t.Fatalf("%d decisions, want %d", len(got), n*3)
	}
	return got
}

// TestDecisionsDependOnNothingButSeedRuleAndRequest: ten runs, at GOMAXPROCS 1
// and 2, in other orders and by other numbers of goroutines.
func TestDecisionsDependOnNothingButSeedRuleAndRequest(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	rapid.Check(t, func(rt *rapid.T) {
		plan := chaos.Plan{Seed: rapid.Uint64().Draw(rt, "seed"), Rules: []chaos.Rule{
			{Name: "slow", Often: chaos.Often{Probability: new(rapid.Float64Range(0, 1).Draw(rt, "p"))}, What: chaos.What{Kind: chaos.Latency, Delay: time.Second, Jitter: time.Second}},
			{Name: "fail twice", When: chaos.When{First: 2, Per: chaos.PerRequest}, Often: chaos.Often{Probability: new(0.5)}, What: chaos.What{Kind: chaos.Error}},
			{Name: "ramp", When: chaos.When{Ramp: 3 * time.Second}, What: chaos.What{Kind: chaos.Hang}},
		}}
		const n = 20
		order := make([]int, n*3)
		for i := range order {
			order[i] = i
		}
		want := decisions(t, plan, n, 1, order)
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "order"), 0))
		for run := range 10 {
			runtime.GOMAXPROCS(1 + run%2)
			random.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
			if got := decisions(t, plan, n, 1+run%5, order); !reflect.DeepEqual(got, want) {
				rt.Fatalf("run %d: %v, want %v", run, got, want)
			}
		}
	})
}

// TestARuleMoreDoesNotChangeTheOthers: draws hang on a rule's name, not its place.
func TestARuleMoreDoesNotChangeTheOthers(t *testing.T) {
	half := chaos.Rule{Name: "half", Often: chaos.Often{Probability: new(0.5)}, What: chaos.What{Kind: chaos.Error}}
	other := chaos.Rule{Name: "other", Often: chaos.Often{Probability: new(0.5)}, What: chaos.What{Kind: chaos.Hang}}
	one := injector(t, chaos.Plan{Seed: 9, Rules: []chaos.Rule{half}}, chaos.Config{})
	two := injector(t, chaos.Plan{Seed: 9, Rules: []chaos.Rule{other, half}}, chaos.Config{})
	differ := 0
	for n := range 200 {
		call := chaos.Call{Identity: fmt.Sprint(n)}
		has := func(i *chaos.Injector, name string) bool {
			return slices.ContainsFunc(i.DecideAt(t.Context(), call, 0), func(f chaos.Fault) bool { return f.Rule == name })
		}
		if has(one, "half") != has(two, "half") {
			t.Fatalf("request %d is decided otherwise", n)
		}
		if has(two, "half") != has(two, "other") {
			differ++
		}
	}
	if differ < 50 {
		t.Errorf("the two rules differ for %d of 200 requests only", differ)
	}
}

func chosen(faults []chaos.Fault) int { return len(faults) }

func TestWhen(t *testing.T) {
	for name, c := range map[string]struct {
		when chaos.When
		want []int // calls, from 1, that are hit; one call per second from second 0
	}{
		"always":   {chaos.When{}, []int{1, 2, 3, 4, 5, 6, 7, 8}},
		"window":   {chaos.When{From: 2 * time.Second, To: 4 * time.Second}, []int{3, 4}},
		"nth":      {chaos.When{Nth: 3}, []int{3}},
		"after":    {chaos.When{After: 6}, []int{7, 8}},
		"first":    {chaos.When{First: 2}, []int{1, 2}},
		"middle":   {chaos.When{After: 2, First: 4}, []int{3, 4}},
		"every":    {chaos.When{Every: 3}, []int{3, 6}},
		"flapping": {chaos.When{RepeatEvery: 4 * time.Second, RepeatFor: 2 * time.Second}, []int{1, 2, 5, 6}},
		"late nth": {chaos.When{From: 2 * time.Second, Nth: 2}, []int{4}},
	} {
		i := injector(t, chaos.Plan{Rules: []chaos.Rule{{When: c.when, What: chaos.What{Kind: chaos.Error}}}}, chaos.Config{})
		var got []int
		for n := range 8 {
			if chosen(i.DecideAt(t.Context(), chaos.Call{}, time.Duration(n)*time.Second)) > 0 {
				got = append(got, n+1)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: calls %v are hit, want %v", name, got, c.want)
		}
	}
}

func TestOften(t *testing.T) {
	count := func(o chaos.Often, w chaos.When, at time.Duration) int {
		i := injector(t, chaos.Plan{Seed: 1, Rules: []chaos.Rule{{When: w, Often: o, What: chaos.What{Kind: chaos.Error}}}}, chaos.Config{})
		n := 0
		for k := range 10_000 {
			n += chosen(i.DecideAt(t.Context(), chaos.Call{Identity: fmt.Sprint(k)}, at))
		}
		return n
	}
	if n := count(chaos.Often{Probability: new(0.0)}, chaos.When{}, 0); n != 0 {
		t.Errorf("probability 0 hit %d calls", n)
	}
	if n := count(chaos.Often{Probability: new(0.3)}, chaos.When{}, 0); n < 2850 || n > 3150 {
		t.Errorf("probability 0.3 hit %d of 10000 calls", n)
	}
	if n := count(chaos.Often{Count: 7}, chaos.When{}, 0); n != 7 {
		t.Errorf("count 7 hit %d calls", n)
	}
	if n := count(chaos.Often{}, chaos.When{Ramp: 10 * time.Second}, 5*time.Second); n < 4800 || n > 5200 {
		t.Errorf("half of the ramp hit %d of 10000 calls", n)
	}
}

func TestWhom(t *testing.T) {
	i := injector(t, chaos.Plan{Rules: []chaos.Rule{{Whom: chaos.Whom{Scope: "canary"}, What: chaos.What{Kind: chaos.Error}}}}, chaos.Config{})
	i.Start()
	if n := chosen(i.Decide(t.Context(), chaos.Call{})); n != 0 {
		t.Error("a request without scope is harmed")
	}
	ctx, err := chaos.WithScope(t.Context(), "other")
	if err != nil {
		t.Fatal(err)
	}
	if n := chosen(i.Decide(ctx, chaos.Call{})); n != 0 {
		t.Error("a request of another scope is harmed")
	}
	if ctx, err = chaos.WithScope(ctx, "canary"); err != nil {
		t.Fatal(err)
	}
	if n := chosen(i.Decide(ctx, chaos.Call{})); n != 1 {
		t.Error("a request of the scope is not harmed")
	}
	if ctx := chaos.FromBaggage(t.Context(), "x=y,backstay.chaos=a%20canary,backstay.request=r1"); chosen(i.Decide(ctx, chaos.Call{})) != 1 || chaos.RequestOf(ctx) != "r1" {
		t.Error("the baggage header is not understood")
	}
	if _, err := chaos.WithScope(t.Context(), "two words"); err == nil {
		t.Error("a scope of two words is taken")
	}
}

func TestNothingBeforeStartAndAfterStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := injector(t, chaos.Plan{TTL: time.Minute, Rules: []chaos.Rule{{What: chaos.What{Kind: chaos.Error}}}}, chaos.Config{})
		hit := func() bool { return chosen(i.Decide(t.Context(), chaos.Call{})) > 0 }
		if hit() || i.Running() {
			t.Error("a fault before Start")
		}
		i.Start()
		if !hit() || !i.Running() {
			t.Error("no fault after Start")
		}
		time.Sleep(59 * time.Second)
		if !hit() {
			t.Error("no fault within the TTL")
		}
		time.Sleep(time.Second)
		if hit() || i.Running() {
			t.Error("a fault after the TTL")
		}
		i.Stop()
		i.Start()
		if !hit() {
			t.Error("no fault after another Start")
		}
		i.Stop()
		if hit() {
			t.Error("a fault after Stop")
		}
		var none *chaos.Injector
		none.Stop()
		none.KeepAlive()
		if none.Running() || none.Decide(t.Context(), chaos.Call{}) != nil {
			t.Error("a nil injector injects")
		}
	})
}

func TestDeadMan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := injector(t, chaos.Plan{Rules: []chaos.Rule{{What: chaos.What{Kind: chaos.Hang}}}}, chaos.Config{DeadMan: time.Second})
		i.Start()
		for range 5 {
			time.Sleep(900 * time.Millisecond)
			i.KeepAlive()
		}
		if !i.Running() {
			t.Error("the faults ended though somebody is alive")
		}
		begin := time.Now()
		_, err := chaos.Do(t.Context(), i.Point("d", "o", nil), func(context.Context) (int, error) { return 1, nil })
		if err != nil || time.Since(begin) != time.Second {
			t.Errorf("the hang ended after %v with %v, want with the dead man's second", time.Since(begin), err)
		}
		i.KeepAlive()
		if i.Running() {
			t.Error("a dead man came back")
		}
	})
}

func TestOffIsRefused(t *testing.T) {
	for _, word := range []string{"off", "OFF", "0", "false"} {
		t.Setenv(chaos.OffVariable, word)
		if _, err := chaos.New(chaos.Plan{}, chaos.Config{}); !errors.Is(err, chaos.ErrOff) {
			t.Errorf("%s: error is %v", word, err)
		}
	}
	t.Setenv(chaos.OffVariable, "on")
	if _, err := chaos.New(chaos.Plan{}, chaos.Config{}); err != nil {
		t.Error(err)
	}
}

func TestUpdateKeepsTimeAndCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		plan := chaos.Plan{Rules: []chaos.Rule{{Name: "three", Often: chaos.Often{Count: 3}, What: chaos.What{Kind: chaos.Error}}}}
		i := injector(t, plan, chaos.Config{})
		i.Start()
		for range 2 {
			i.Decide(t.Context(), chaos.Call{})
		}
		time.Sleep(time.Minute)
		_, changed := i.Next()
		plan.Rules[0].What.Message = "new"
		if err := i.Update(plan); err != nil {
			t.Fatal(err)
		}
		select {
		case <-changed:
		default:
			t.Error("nobody heard of the change")
		}
		if i.Elapsed() != time.Minute {
			t.Errorf("elapsed is %v", i.Elapsed())
		}
		n := 0
		for range 5 {
			n += chosen(i.Decide(t.Context(), chaos.Call{}))
		}
		if n != 1 {
			t.Errorf("%d more faults, want 1 of 3", n)
		}
		plan.Rules[0].What.Kind = "nonsense"
		if err := i.Update(plan); !errors.Is(err, chaos.ErrPlan) || i.Plan().Rules[0].What.Kind != chaos.Error {
			t.Errorf("a bad plan: %v, and the plan is %v", err, i.Plan())
		}
	})
}

func TestFollowRollsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := injector(t, chaos.Plan{Seed: 3, Rules: []chaos.Rule{{When: chaos.When{From: time.Second, To: time.Minute}, Often: chaos.Often{Probability: new(0.5), Count: 10}, What: chaos.What{Kind: chaos.Latency, Delay: time.Second}}}}, chaos.Config{})
		i.Start()
		var all []*chaos.Followed
		for n := range 100 {
			all = append(all, i.Follow(chaos.Call{Identity: fmt.Sprint(n)}))
		}
		hit := func() (n int) {
			for _, f := range all {
				n += len(f.Faults(t.Context()))
			}
			return n
		}
		if n := hit(); n != 0 {
			t.Errorf("%d before the window", n)
		}
		if next, _ := i.Next(); next != time.Second {
			t.Errorf("next change in %v", next)
		}
		time.Sleep(time.Second)
		if n := hit(); n != 10 {
			t.Errorf("%d in the window, want the count, 10", n)
		}
		if n := hit(); n != 10 {
			t.Errorf("%d when asked again", n)
		}
		time.Sleep(time.Minute)
		if n := hit(); n != 0 {
			t.Errorf("%d after the window", n)
		}
	})
}

func TestAlsoIsAFurtherConditionThatDoesNotCount(t *testing.T) {
	i, err := chaos.New(chaos.Plan{Rules: []chaos.Rule{
		{Name: "no", What: chaos.What{Kind: chaos.HeartbeatLoss}},
		{Name: "second", When: chaos.When{Nth: 2}, What: chaos.What{Kind: chaos.DropReply}},
	}}, chaos.Config{})
	if err != nil {
		t.Fatal(err)
	}
	i.Start()
	defer i.Stop()
	only := func(name string) chaos.Call {
		return chaos.Call{Protocol: chaos.CQL, Also: func(r *chaos.Rule) bool { return r.Name == name }}
	}
	for n, want := range []int{0, 0, 1} {
		name := "second"
		if n == 1 {
			name = "neither" // no rule fits: the call is not one that "second" counts
		}
		if got := i.Decide(t.Context(), only(name)); len(got) != want {
			t.Errorf("call %d: %d faults, want %d", n+1, len(got), want)
		}
	}
}

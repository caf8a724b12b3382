package scenario_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/load"
	"github.com/backstay-go/backstay/chaos/report"
	"github.com/backstay-go/backstay/chaos/scenario"
)

// errDown is what the shop's warehouse fails with; scenarios call it "down".
var errDown = errors.New("the warehouse is down")

// shopTarget starts shops.
type shopTarget struct{}

// Check has nothing to refuse: the shop has no settings, and chaos.Known names what faults
// can be about.
func (shopTarget) Check(s scenario.Scenario) error {
	return s.CheckFaults(func(p chaos.Plan) error { return p.CheckNames(chaos.Known{Dependencies: []string{"warehouse"}}) })
}

// Start starts a shop with the faults before its one dependency.
func (shopTarget) Start(_ context.Context, setup scenario.Setup) (scenario.System, error) {
	return &memoryShop{warehouse: setup.Injector.Point("warehouse", "stock", map[string]error{"down": errDown})}, nil
}

// memoryShop is the system under test. It asks the warehouse, and remembers what it said.
type memoryShop struct{ warehouse *chaos.Point }

// Labels are the words of its answers.
func (*memoryShop) Labels() scenario.Labels {
	return scenario.Labels{About: "A shop that asks a warehouse.", Kinds: []string{"stock"}, Outcomes: scenario.Meanings()}
}

// Send makes a request and says what the answer is worth.
func (s *memoryShop) Send(ctx context.Context, n int) load.Sample {
	sample := load.Sample{ID: fmt.Sprint(n), Kind: "stock", Outcome: "right", Means: load.Right}
	ctx, err := chaos.WithRequest(ctx, sample.ID)
	if err == nil {
		_, err = chaos.Do(ctx, s.warehouse, func(context.Context) (int, error) { return 7, nil })
	}
	if err != nil { // What is remembered stands in.
		sample.Outcome, sample.Means = "stale", load.Stale
	}
	return sample
}

// Judge has nothing to add to what the answers say.
func (*memoryShop) Judge(context.Context, []load.Sample) ([]report.Check, error) { return nil, nil }

// Close ends the shop.
func (*memoryShop) Close(context.Context) error { return nil }

const shopScenario = `
name: warehouse-down
load: [{for: 12s, per_second: 20}]
faults:
  - name: warehouse down
    where: {dependency: warehouse, protocol: process}
    when: {from: 3s, to: 6s}
    what: {kind: error, code: down}
checks:
  - {name: remembered stock stands in, measure: stale, at_least: 0.9}
`

// A Target in Go starts the system with the injector before each dependency, makes its
// requests, and says what each answer is worth.
func ExampleTarget() {
	s, err := scenario.Parse("warehouse-down.yaml", []byte(shopScenario))
	if err != nil {
		fmt.Println(err)
		return
	}
	rep, err := scenario.Play(context.Background(), s, scenario.Config{Target: shopTarget{}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(rep.Text())
}

// TestTheExamplePasses plays it in virtual time.
func TestTheExamplePasses(t *testing.T) {
	s := parse(t, shopScenario)
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		rep, err := scenario.Play(t.Context(), s, scenario.Config{Target: shopTarget{}, Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if rep.Verdict != report.Passed || rep.Metrics["time_to_recover_s"] > time.Second.Seconds() {
			t.Errorf("%s\n%s", rep.Verdict, rep.Text())
		}
	})
}

// A scenario in a file is a test of its own. Run fails the test if a promise is broken.
func ExampleRun() {
	test := func(t *testing.T) {
		s, err := scenario.Load("testdata/warehouse-down.yaml")
		if err != nil {
			t.Fatal(err)
		}
		scenario.Run(t, shopTarget{}, s)
	}
	_ = test // it is a test
}

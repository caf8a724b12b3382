package chaos_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"reflect"
	"time"

	"github.com/backstay-go/backstay/chaos"
)

const taxPlan = `
name: the tax service stumbles
seed: 7
rules:
  - name: fail two, then succeed
    where: {dependency: tax, operation: rate}
    when: {first: 2}
    what: {kind: error, code: unavailable}
  - name: one tester is refused
    where: {dependency: tax}
    what: {kind: error, message: no}
    whom: {scope: tester-7}
    ttl: 1h
`

func Example() {
	plan, err := chaos.Parse("tax.yaml", []byte(taxPlan))
	if err != nil {
		log.Fatal(err)
	}
	injector, err := chaos.New(plan, chaos.Config{})
	if err != nil {
		log.Fatal(err)
	}
	unavailable := errors.New("unavailable")
	tax := injector.Point("tax", "rate", map[string]error{"unavailable": unavailable})
	injector.Start()
	defer injector.Stop()

	rate := func(ctx context.Context) (int, error) {
		return chaos.Do(ctx, tax, func(context.Context) (int, error) { return 19, nil })
	}
	ctx := context.Background()
	for range 3 {
		percent, err := rate(ctx)
		fmt.Println(percent, err, errors.Is(err, unavailable))
	}

	tester, err := chaos.WithScope(ctx, "tester-7")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(rate(tester))
	// Output:
	// 0 tax rate: unavailable (injected by chaos rule "fail two, then succeed") true
	// 0 tax rate: unavailable (injected by chaos rule "fail two, then succeed") true
	// 19 <nil> false
	// 0 tax rate: no (injected by chaos rule "one tester is refused")
}

// The same plan in a file and in Go.
func ExamplePlan() {
	const file = `
name: the way to the catalog
seed: 7
ttl: 30m
rules:
  - name: slow reads
    where: {dependency: catalog, protocol: http, method: GET, path: "/titles/*"}
    when: {from: 10s, to: 40s, ramp: 5s}
    often: {probability: 0.4}
    what: {kind: latency, delay: 200ms, jitter: 50ms, distribution: normal, max: 1s}
  - name: first attempts fail
    where: {dependency: catalog}
    when: {first: 1, per: request}
    what: {kind: status, status: 503, headers: {X-Reason: drill}, retry_after: 2s}
  - name: recorded delays of one tester
    where: {dependency: store, keyspace: licenses, conditional: true}
    often: {count: 20}
    what: {kind: latency, at: after, histogram: [{up_to: 5ms, count: 90}, {up_to: 80ms, count: 10}]}
    whom: {scope: tester-7}
    ttl: 1h
`
	plan := chaos.Plan{
		Name: "the way to the catalog", Seed: 7, TTL: 30 * time.Minute,
		Rules: []chaos.Rule{{
			Name:  "slow reads",
			Where: chaos.Where{Dependency: "catalog", Protocol: chaos.HTTP, Method: "GET", Path: "/titles/*"},
			When:  chaos.When{From: 10 * time.Second, To: 40 * time.Second, Ramp: 5 * time.Second},
			Often: chaos.Often{Probability: new(0.4)},
			What:  chaos.What{Kind: chaos.Latency, Delay: 200 * time.Millisecond, Jitter: 50 * time.Millisecond, Distribution: chaos.Normal, Max: time.Second},
		}, {
			Name:  "first attempts fail",
			Where: chaos.Where{Dependency: "catalog"},
			When:  chaos.When{First: 1, Per: chaos.PerRequest},
			What:  chaos.What{Kind: chaos.Status, Status: 503, Headers: map[string]string{"X-Reason": "drill"}, RetryAfter: 2 * time.Second},
		}, {
			Name:  "recorded delays of one tester",
			Where: chaos.Where{Dependency: "store", Keyspace: "licenses", Conditional: new(true)},
			Often: chaos.Often{Count: 20},
			What: chaos.What{Kind: chaos.Latency, At: "after",
				Histogram: []chaos.Bucket{{UpTo: 5 * time.Millisecond, Count: 90}, {UpTo: 80 * time.Millisecond, Count: 10}}},
			Whom: chaos.Whom{Scope: "tester-7"},
			TTL:  time.Hour,
		}},
	}
	parsed, err := chaos.Parse("catalog.yaml", []byte(file))
	fmt.Println(err, reflect.DeepEqual(plan, parsed))

	// Mistakes are reported with the names of their rules.
	plan.Rules[1].What.Delay = time.Second
	plan.Rules[2].Where.Protocol = chaos.TCP
	fmt.Println(plan.Check())
	// Output:
	// <nil> true
	// plan: rules[1].what.delay: "first attempts fail": status takes no delay; it takes status, headers, body, retry_after
	// plan: rules[2].what: "recorded delays of one tester": this latency can happen nowhere; not at tcp: at has no meaning there
}

func ExampleLoad() {
	file, err := os.CreateTemp("", "plan*.yaml")
	if err != nil {
		log.Fatal(err)
	}
	defer os.Remove(file.Name())
	_, _ = file.WriteString(taxPlan)
	_ = file.Close()
	plan, err := chaos.Load(file.Name())
	fmt.Println(plan.Name, len(plan.Rules), err)
	// Output: the tax service stumbles 2 <nil>
}

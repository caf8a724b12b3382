package chaos_test

import (
	"context"
	"errors"
	"fmt"
	"log"

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

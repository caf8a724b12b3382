// Package resilience keeps a service standing when a dependency fails.
//
// A [Guard] stands before one dependency and owns what all calls to it share:
// bulkhead, circuit breaker, rate limit and retry budget. An [Operation] is one
// kind of call on that dependency: its timeouts, idempotence, retries, hedge,
// stale data and criticality. [Do] runs a call:
//
//	guard, err := resilience.New(policy)
//	readPlan := guard.Operation("plan")
//	res, err := resilience.Do(ctx, readPlan, func(ctx context.Context) (Plan, error) {
//		return client.Plan(ctx, member)
//	}, lastPlans.For(member))
//
// The result says where its value came from and how old it is, so that a caller
// that must not decide on stale data can see it.
//
// # Order
//
// The order of the policies is fixed, because callers that could choose it could get it
// wrong:
//
//	fallback( total timeout( coalesce( retry|hedge( bulkhead( breaker( attempt timeout( call )))))))
//
// The breaker is checked before a call queues for a permit, so that no call waits only
// to be refused. A refusal by one policy is not an observation for another.
//
// # Policies
//
// A policy is off if its pointer is nil. docs/reference/policies.md has all defaults.
//
//	what                      where                          its refusal or error
//	total timeout             OperationPolicy.Timeout        context.DeadlineExceeded
//	attempt timeout           OperationPolicy.AttemptTimeout context.DeadlineExceeded
//	bulkhead, queue, classes  Policy.Bulkhead                ErrFull
//	adaptive limit            BulkheadPolicy.Adaptive        ErrFull
//	circuit breaker           Policy.Breaker                 ErrOpen, with Refusal.Until
//	rate limit                Policy.RateLimit               ErrRateLimited
//	throttle                  Policy.Throttle                ErrThrottled
//	retry                     OperationPolicy.Retry          CallError, with every attempt's error
//	budget                    Policy.Budget                  CallError.Gave
//	hedge                     OperationPolicy.Hedge          as the last attempt's
//	stale data, LastGood      OperationPolicy.Stale          none: Result.Source is Stale or Cache
//	fallback                  Fallback, FallbackValue        none: Result.Source is Static
//	coalesce                  Coalesce                       as the shared call's
//
// Every refusal also matches ErrRefused. A call that was refused before its first
// attempt returns the *Refusal itself; after one, a *CallError that holds both, and
// Result.Attempts is not zero.
//
// # What this package may import
//
// The standard library, github.com/sony/gobreaker/v2, github.com/cenkalti/backoff/v4,
// golang.org/x/time, its own internal/clock, internal/lru and internal/plural; a test in
// the module's root holds the whole list. Policies from YAML live in policyfile, spans
// and metrics in telemetry, aids for users' tests in resiliencetest.
//
// # What it promises
//
// There is no global state. A guard owns every goroutine that it starts, and ends it in
// Close. The package itself never panics: a nil guard, a nil call, a closed guard and a
// bad policy are errors. A panic in the call reaches the caller on its own goroutine,
// after permits, probes and budgets were given back.
package resilience

package upstream

import (
	"time"

	"github.com/backstay-go/backstay/resilience"
)

// The names of the dependencies, in errors, spans, metrics and answers.
const (
	Membership = "membership"
	Catalog    = "catalog"
	KeyService = "key-service"
)

// The names of the operations.
const (
	opIssue = "plan-to-issue"
	opRenew = "plan-to-renew"
	opTitle = "title"
	opKey   = "key"
)

// How old a remembered answer may be when its dependency fails.
const (
	// StalePlanToIssue is short: a member who left should not get new licenses for long.
	StalePlanToIssue = 15 * time.Minute
	// StalePlanToRenew is long: a member in the middle of a film should not lose it
	// because one of our services is down.
	StalePlanToRenew = 30 * 24 * time.Hour
	// StaleTerms bounds how long a studio's change can go unseen.
	StaleTerms = 24 * time.Hour
)

// MembershipPolicy returns the policy of the membership service. Its two operations send the
// same request. They differ in how old a remembered plan may be.
func MembershipPolicy() resilience.Policy {
	plan := func(stale time.Duration) resilience.OperationPolicy {
		return resilience.OperationPolicy{
			Timeout:        500 * time.Millisecond,
			AttemptTimeout: 200 * time.Millisecond,
			Idempotent:     true,
			Retry:          &resilience.RetryPolicy{MaxAttempts: 2, BaseDelay: 20 * time.Millisecond, MaxDelay: 100 * time.Millisecond},
			Stale:          &resilience.StalePolicy{MaxAge: stale},
		}
	}
	return resilience.Policy{
		Name:     Membership,
		Bulkhead: resilience.BulkheadPolicy{Limit: 64, Queue: 64, MaxWait: 100 * time.Millisecond},
		Breaker:  breaker(150 * time.Millisecond),
		Default:  plan(StalePlanToIssue),
		Operations: map[string]resilience.OperationPolicy{
			opIssue: plan(StalePlanToIssue),
			opRenew: plan(StalePlanToRenew),
		},
	}
}

// CatalogPolicy returns the policy of the catalog.
func CatalogPolicy() resilience.Policy {
	title := resilience.OperationPolicy{
		Timeout:        500 * time.Millisecond,
		AttemptTimeout: 200 * time.Millisecond,
		Idempotent:     true,
		Retry:          &resilience.RetryPolicy{MaxAttempts: 2, BaseDelay: 20 * time.Millisecond, MaxDelay: 100 * time.Millisecond},
		Stale:          &resilience.StalePolicy{MaxAge: StaleTerms},
	}
	return resilience.Policy{
		Name:       Catalog,
		Bulkhead:   resilience.BulkheadPolicy{Limit: 64, Queue: 64, MaxWait: 100 * time.Millisecond},
		Breaker:    breaker(150 * time.Millisecond),
		Default:    title,
		Operations: map[string]resilience.OperationPolicy{opTitle: title},
	}
}

// KeyServicePolicy returns the policy of the key service. The same request gets the same
// answer, so a slow call can be hedged. There is no fallback.
func KeyServicePolicy() resilience.Policy {
	key := resilience.OperationPolicy{
		Timeout:        600 * time.Millisecond,
		AttemptTimeout: 300 * time.Millisecond,
		Idempotent:     true,
		Criticality:    resilience.CriticalPlus,
		Hedge:          &resilience.HedgePolicy{Delay: 60 * time.Millisecond},
	}
	return resilience.Policy{
		Name:       KeyService,
		Bulkhead:   resilience.BulkheadPolicy{Limit: 64, Queue: 64, MaxWait: 100 * time.Millisecond},
		Breaker:    breaker(250 * time.Millisecond),
		Default:    key,
		Operations: map[string]resilience.OperationPolicy{opKey: key},
	}
}

func breaker(slow time.Duration) *resilience.BreakerPolicy {
	return &resilience.BreakerPolicy{
		Window:       5 * time.Second,
		MinimumCalls: 20,
		FailureRate:  0.5,
		SlowCall:     slow,
		SlowRate:     0.8,
		OpenFor:      time.Second,
		MaxOpenFor:   8 * time.Second,
		Probes:       5,
	}
}

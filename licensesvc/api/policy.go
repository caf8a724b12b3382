package api

import (
	"time"

	"github.com/backstay-go/backstay/resilience"
)

// Name is the guard's name, in errors, spans and metrics.
const Name = "api"

// The names of the operations other than the default one.
const (
	opRenew = "renew"
	opList  = "list"
)

// guardRoutes maps requests to operations.
var guardRoutes = map[string]string{
	"POST " + licensePath + "/renewals":   opRenew,
	"GET " + licensePath + "/explanation": opList,
	"GET /v1/members/{member}/licenses":   opList,
}

// Policy returns the policy of the service itself. Requests may take as long as the deadline,
// including the time that they wait. Under overload, lists and stories are refused first, and
// renewals last: a member in the middle of a film should not lose it.
func Policy(deadline time.Duration) resilience.Policy {
	of := func(c resilience.Criticality) resilience.OperationPolicy {
		return resilience.OperationPolicy{Timeout: deadline, Criticality: c}
	}
	return resilience.Policy{
		Name:     Name,
		Bulkhead: resilience.BulkheadPolicy{Limit: 512, Queue: 512},
		Default:  of(resilience.Critical),
		Operations: map[string]resilience.OperationPolicy{
			opRenew: of(resilience.CriticalPlus),
			opList:  of(resilience.SheddablePlus),
		},
	}
}

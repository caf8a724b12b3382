package api

import (
	"time"

	"github.com/backstay-go/backstay/resilience"
)

// Name is the guard's name, in errors, spans and metrics.
const Name = "api"

// The names of the operations other than the default one.
const (
	opRenew = "renew" // and releases, plays, downloads and tokens
	opList  = "list"
)

// guardRoutes maps requests to operations.
var guardRoutes = map[string]string{
	"POST " + licensePath + "/renewals":   opRenew,
	"POST " + licensePath + "/plays":      opRenew,
	"POST " + licensePath + "/release":    opRenew,
	"POST " + licensePath + "/downloads":  opRenew,
	"POST /v1/members/{member}/tokens":    opRenew,
	"GET " + licensePath + "/explanation": opList,
	"GET /v1/members/{member}/licenses":   opList,
	"GET /v1/members/{member}/devices":    opList,
	"GET /v1/licenses/expiring":           opList,
	"GET /v1/studios/{studio}/use":        opList,
	"GET /v1/promises":                    opList,
	"GET /v1/readmodels":                  opList,
	"GET " + historyPath:                  opList,
	"GET " + historyPath + "/changes":     opList,
}

// Policy returns the policy of the service itself. Requests may take as long as the deadline,
// including the time that they wait. Under overload, lists and stories are refused first, and
// renewals, releases and plays last: a member in the middle of a film should not lose it.
//
// The limit keeps an objective of 100 ms. It has a floor, because a dependency that is slow
// makes requests slow too, and fewer of them would not make it faster. It has a ceiling below
// what the guards of the store and the dependencies admit: what they refuse costs more than
// what is refused here. One member holds at most a quarter of the permits.
func Policy(deadline time.Duration) resilience.Policy {
	of := func(c resilience.Criticality) resilience.OperationPolicy {
		return resilience.OperationPolicy{Timeout: deadline, Criticality: c}
	}
	return resilience.Policy{
		Name: Name,
		Bulkhead: resilience.BulkheadPolicy{Limit: 64, Queue: 128, LIFO: true, MaxShare: 0.25,
			Adaptive: &resilience.AdaptivePolicy{Objective: 100 * time.Millisecond, Min: 48, Max: 96}},
		Default: of(resilience.Critical),
		Operations: map[string]resilience.OperationPolicy{
			opRenew: of(resilience.CriticalPlus),
			opList:  of(resilience.SheddablePlus),
		},
	}
}

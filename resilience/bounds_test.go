package resilience_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/backstay-go/backstay/resilience"
)

func TestWorstCase(t *testing.T) {
	p := resilience.Policy{
		Name:      "dep",
		Bulkhead:  resilience.BulkheadPolicy{Limit: 20, Queue: 5, MaxWait: 100 * time.Millisecond},
		RateLimit: &resilience.RateLimitPolicy{PerSecond: 110},
		Default:   resilience.OperationPolicy{Timeout: time.Second},
		Operations: map[string]resilience.OperationPolicy{
			"read": {Timeout: 2 * time.Second, Idempotent: true, Retry: &resilience.RetryPolicy{MaxAttempts: 4}, Hedge: &resilience.HedgePolicy{Delay: time.Millisecond}},
		},
		Expect: &resilience.Expectation{PerSecond: 100, RetryingLayers: 1},
	}
	want := resilience.WorstCase{
		Running: 20, Waiting: 5, Pausing: 10 + 40, Goroutines: 20 + 5 + 50 + 20, Ratio: 0.2, Burst: 10, PerSecond: 110,
		Operations: []resilience.OperationWorst{
			{Name: "default", Wait: time.Second, Overrun: true, Queued: 100 * time.Millisecond, Attempts: 1, Layered: 1},
			{Name: "read", Wait: 2 * time.Second, Queued: 100 * time.Millisecond, Attempts: 5, Layered: 25},
		},
	}
	if got := p.Worst(); !reflect.DeepEqual(got, want) {
		t.Errorf("have %+v\nwant %+v", got, want)
	}
	if n := p.Worst().Attempts(1000); n != 1210 {
		t.Errorf("1000 calls make at most %d attempts; want 1210", n)
	}
	quiet := policy().Worst()
	if quiet.Ratio != 0 || quiet.Burst != 0 || quiet.Pausing != 0 || quiet.Goroutines != 10 || quiet.PerSecond != 0 {
		t.Errorf("%+v", quiet)
	}
}

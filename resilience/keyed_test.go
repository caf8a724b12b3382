package resilience_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/backstay-go/backstay/resilience"
)

func ExampleKeyed() {
	shards, err := resilience.NewKeyed(resilience.Policy{
		Name: "store", Bulkhead: resilience.BulkheadPolicy{Limit: 8},
		Breaker: &resilience.BreakerPolicy{ConsecutiveFailures: 3},
		Default: resilience.OperationPolicy{Timeout: time.Second},
	}, 100)
	if err != nil {
		panic(err)
	}
	defer shards.Close()
	shard, err := shards.Guard("shard-7")
	fmt.Println(shard.Snapshot().Breaker, err)
	// Output: closed <nil>
}

// TestKeyedGuardsAreApartAndBounded: one key's failures are its own, guards in use or open
// stay, and the one that was idle for the longest time makes room.
func TestKeyedGuardsAreApartAndBounded(t *testing.T) {
	p := policy()
	p.Breaker = &resilience.BreakerPolicy{ConsecutiveFailures: 1, OpenFor: time.Hour}
	k, err := resilience.NewKeyed(p, 3)
	if err != nil {
		t.Fatal(err)
	}
	get := func(key string) *resilience.Guard {
		t.Helper()
		g, err := k.Guard(key)
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	open, idle := get("open"), get("idle")
	_, _ = resilience.Do(t.Context(), open, fail)
	busy, err := resilience.Acquire(t.Context(), get("busy"))
	if err != nil {
		t.Fatal(err)
	}
	if get("idle") != idle || idle.Snapshot().Breaker != resilience.BreakerClosed {
		t.Error("the keys are not apart")
	}
	if get("new"); get("open") != open {
		t.Error("an open guard had to make room")
	}
	if get("idle") == idle {
		t.Error("the idle one did not make room")
	}
	if _, err := resilience.Do(t.Context(), get("idle"), fail); err == nil {
		t.Error("no error")
	}
	if _, err := k.Guard("one too many"); !errors.Is(err, resilience.ErrFull) {
		t.Errorf("all are in use or open: %v", err)
	}
	p.Bulkhead.Limit = 77
	if err := k.Update(p); err != nil || open.Snapshot().Limit != 77 || open.Snapshot().Breaker != resilience.BreakerOpen {
		t.Errorf("%v, %+v", err, open.Snapshot())
	}
	busy.Done(nil)
	if g := get("later"); g.Snapshot().Limit != 77 {
		t.Errorf("%+v", g.Snapshot())
	}
	n := 0
	k.Each(func(string, *resilience.Guard) { n++ })
	if n != 3 {
		t.Errorf("%d guards", n)
	}
	if err := errors.Join(k.Close(), k.Close()); err != nil {
		t.Error(err)
	}
	if _, err := resilience.Do(t.Context(), open, answer); !errors.Is(err, resilience.ErrClosed) {
		t.Error(err)
	}
	if _, err := k.Guard("idle"); !errors.Is(err, resilience.ErrClosed) {
		t.Error(err)
	}
	var none *resilience.Keyed
	if _, err := none.Guard("x"); !errors.Is(err, resilience.ErrPolicy) {
		t.Error(err)
	}
	if _, err := resilience.NewKeyed(p, 0); !errors.Is(err, resilience.ErrPolicy) {
		t.Error(err)
	}
}

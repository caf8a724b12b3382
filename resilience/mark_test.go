package resilience_test

import (
	"context"
	"testing"

	"github.com/backstay-go/backstay/resilience"
)

// classSeen is the class that a call of an operation has under a context.
func classSeen(ctx context.Context, t *testing.T, on resilience.Caller) resilience.Criticality {
	t.Helper()
	res, err := resilience.Do(ctx, on, func(ctx context.Context) (resilience.Criticality, error) {
		info, _ := resilience.AttemptFrom(ctx)
		return info.Criticality, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return res.Value
}

// TestTheLowerClassCounts: a request's class lowers an operation's and never raises it.
func TestTheLowerClassCounts(t *testing.T) {
	classes := []resilience.Criticality{resilience.Sheddable, resilience.SheddablePlus, resilience.Critical, resilience.CriticalPlus}
	for _, own := range classes {
		p := policy()
		p.Default.Criticality = own
		g := mustNew(t, p)
		if got := classSeen(t.Context(), t, g); got != own {
			t.Errorf("%v, and nothing is said: %v", own, got)
		}
		for _, said := range classes {
			if got := classSeen(resilience.WithCriticality(t.Context(), said), t, g); got != min(own, said) {
				t.Errorf("%v under %v: %v", own, said, got)
			}
		}
		for said, near := range map[resilience.Criticality]resilience.Criticality{-100: resilience.Sheddable, 100: resilience.CriticalPlus} {
			if got := classSeen(resilience.WithCriticality(t.Context(), said), t, g); got != min(own, near) {
				t.Errorf("%v under %d: %v", own, said, got)
			}
		}
	}
}

// TestAClassTravelsDown: what a call asks of another dependency is no more important than
// itself, whatever else is said of it on the way.
func TestAClassTravelsDown(t *testing.T) {
	p := policy()
	p.Default.Criticality = resilience.Sheddable
	outer, inner := mustNew(t, p), mustNew(t, policy())
	res, err := resilience.Do(t.Context(), outer, func(ctx context.Context) (resilience.Criticality, error) {
		return classSeen(resilience.WithRetried(ctx), t, inner), nil
	})
	if err != nil || res.Value != resilience.Sheddable {
		t.Errorf("%v, %v; want sheddable", res.Value, err)
	}
}

// TestMarksDoNotReplaceEachOther: each way to mark a context keeps what the others said.
func TestMarksDoNotReplaceEachOther(t *testing.T) {
	g := mustNew(t, policy())
	ctx := resilience.WithoutHedge(resilience.WithRetried(resilience.WithCriticality(t.Context(), resilience.SheddablePlus)))
	if _, err := resilience.Do(ctx, g, func(ctx context.Context) (int, error) {
		if info, ok := resilience.AttemptFrom(ctx); !ok || info.Criticality != resilience.SheddablePlus || !info.Retried {
			t.Errorf("%+v, %v", info, ok)
		}
		return 0, nil
	}); err != nil {
		t.Fatal(err)
	}
	if _, ok := resilience.AttemptFrom(ctx); ok {
		t.Error("an attempt outside a call")
	}
}

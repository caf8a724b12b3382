package resilience_test

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backstay-go/backstay/resilience"
	"pgregory.net/rapid"
)

// extreme draws any value for each field of a policy: zero, negative, around the edges of
// 32 and 64 bits, no number. Some fields are left as they are, so that many policies are
// accepted.
func extreme(t *rapid.T, v reflect.Value, path string) {
	switch {
	case v.Kind() == reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		extreme(t, v.Elem(), path)
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() {
				extreme(t, v.Field(i), path+"."+f.Name)
			}
		}
	case rapid.IntRange(0, 29).Draw(t, path+" stays") > 0:
	case v.CanInt():
		n := rapid.OneOf(rapid.SampledFrom([]int64{0, -1, 1, 2, math.MaxInt32, math.MaxInt32 + 1, math.MaxUint32 + 1, math.MaxInt64, math.MinInt64, 1 << 30, 1<<30 + 1, 1 << 20, int64(10 * 365 * 24 * time.Hour)}), rapid.Int64()).Draw(t, path)
		if !v.OverflowInt(n) {
			v.SetInt(n)
		}
	case v.CanFloat():
		v.SetFloat(rapid.OneOf(rapid.SampledFrom([]float64{0, -1, 1, 1e-300, 1e300, math.MaxFloat64, math.Inf(1), math.Inf(-1), math.NaN(), math.SmallestNonzeroFloat64}), rapid.Float64()).Draw(t, path))
	}
}

// TestExtremePoliciesAreRefusedOrWork: whatever is in the fields, New refuses the policy, or
// the guard runs calls, updates and shadows, and nothing in what it states about itself is
// negative, infinite or not to be written as JSON.
func TestExtremePoliciesAreRefusedOrWork(t *testing.T) {
	accepted := 0
	rapid.Check(t, func(rt *rapid.T) {
		p := everything()
		p.Operations = nil
		p.RateLimit.MaxWait, p.Expect = time.Second, &resilience.Expectation{PerSecond: 10, Latency: time.Millisecond, RetryingLayers: 1}
		p.Default.AttemptTimeout = 100 * time.Millisecond
		p.Bulkhead.Adaptive = &resilience.AdaptivePolicy{Objective: time.Second}
		extreme(rt, reflect.ValueOf(&p).Elem(), "policy")
		p.Name = "dep"
		if len(p.Check()) > 0 && p.Check()[0].Field == "" {
			rt.Fatal("a finding without a field")
		}
		synctest.Test(t, func(t *testing.T) {
			g, err := resilience.New(p)
			if errors.Is(err, resilience.ErrPolicy) {
				return
			} else if err != nil {
				t.Error(err)
				return
			}
			defer g.Close()
			accepted++
			if _, err := g.Shadow(p); err != nil {
				t.Error(err)
			}
			for i := range 30 {
				_, _ = resilience.Do(t.Context(), g, func(ctx context.Context) (int, error) {
					time.Sleep(time.Duration(i%3) * time.Millisecond)
					if i%2 == 0 {
						return 0, errDown
					}
					return 0, nil
				})
				if i == 15 {
					time.Sleep(400 * 24 * time.Hour)
					if err := g.Update(p); err != nil {
						t.Error(err)
					}
				}
			}
			time.Sleep(time.Hour)
			synctest.Wait()
			wantIdle(t, g)
			for name, v := range map[string]any{"the snapshot": g.Snapshot(), "the worst case": p.Worst()} {
				if _, err := json.Marshal(v); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				wantSane(t, name, reflect.ValueOf(v))
			}
			if n := p.Worst().Attempts(math.MaxInt); n < 0 {
				t.Errorf("%d attempts", n)
			}
		})
		if t.Failed() {
			rt.FailNow()
		}
	})
	if accepted == 0 {
		t.Error("no policy was accepted")
	}
}

// wantSane looks for numbers that are negative or infinite.
func wantSane(t *testing.T, path string, v reflect.Value) {
	t.Helper()
	switch {
	case v.Type() == reflect.TypeFor[time.Time]():
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			wantSane(t, path+"."+v.Type().Field(i).Name, v.Field(i))
		}
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			wantSane(t, path, v.Index(i))
		}
	case v.CanInt() && v.Int() < 0, v.CanFloat() && !(v.Float() >= 0 && v.Float() <= math.MaxFloat64):
		t.Errorf("%s is %v", path, v)
	}
}

package load

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// Stage is an interval of time with a constant mean rate.
type Stage struct {
	// For is how long the stage lasts. Required, above zero.
	For time.Duration `json:"for"`
	// PerSecond is the mean rate of requests, above zero. Required.
	PerSecond float64 `json:"per_second"`
}

// maxRequests limits a schedule, because it is kept in memory.
const maxRequests = 10_000_000

// Schedule returns when each request is meant to start, counted from the start of the run. The
// times follow a Poisson process, as the requests of independent users do. The same stages and
// seed always give the same times.
func Schedule(stages []Stage, seed uint64) ([]time.Duration, error) {
	var errs []error
	if len(stages) == 0 {
		errs = append(errs, errors.New("load: no stages: give at least one"))
	}
	expected := 0.0
	for i, s := range stages {
		if s.For <= 0 {
			errs = append(errs, fmt.Errorf("load: stages[%d].for is %s: give a duration above zero", i, s.For))
		}
		if !(s.PerSecond > 0) {
			errs = append(errs, fmt.Errorf("load: stages[%d].per_second is %g: give a rate above zero", i, s.PerSecond))
		}
		expected += s.PerSecond * s.For.Seconds()
	}
	if expected > maxRequests {
		errs = append(errs, fmt.Errorf("load: the stages make some %.0f requests, more than %d: lower the rates or the durations", expected, maxRequests))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	chance := rand.New(rand.NewPCG(seed, 0x6c6f6164))
	times := make([]time.Duration, 0, int(expected*1.1)+16)
	var begin time.Duration
	for _, s := range stages {
		at := begin
		for {
			at += time.Duration(chance.ExpFloat64() / s.PerSecond * float64(time.Second))
			if at >= begin+s.For {
				break
			}
			times = append(times, at)
		}
		begin += s.For
	}
	return times, nil
}

// Length returns the sum of the stages' lengths.
func Length(stages []Stage) time.Duration {
	var sum time.Duration
	for _, s := range stages {
		sum += s.For
	}
	return sum
}

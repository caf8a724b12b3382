// Package resiliencetest is for tests of code that runs under a guard: a scripted
// [Dependency] that answers, fails, hangs and panics in a given order, a [Log] of
// what a guard emitted, and assertions on both.
//
//	synctest.Test(t, func(t *testing.T) {
//		log := new(resiliencetest.Log)
//		guard, err := resilience.New(policy, resilience.WithListener(log))
//		...
//		dep := resiliencetest.NewDependency(
//			resiliencetest.Fail[Plan](errDown).Times(2),
//			resiliencetest.Answer(Plan{Name: "basic"}).After(20*time.Millisecond),
//		)
//		res, err := resilience.Do(t.Context(), guard, dep.Call)
//		...
//		dep.WantCalls(t, 3)
//		resiliencetest.WantIdle(t, guard)
//	})
//
// Time is that of package time, so that in a bubble of testing/synctest minutes
// cost nothing; it works outside of one too.
//
// Make a guard in the bubble in which it is used. A guard from outside works there too,
// but one bubble's guard must not be used in another, because timers belong to theirs.
//
// It imports the standard library and package resilience, and is imported by tests
// only. It promises that a dependency starts no goroutine.
package resiliencetest

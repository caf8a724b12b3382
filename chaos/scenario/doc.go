// Package scenario runs an experiment on a system and ends in a verdict.
//
// A [Scenario] is data: a steady state that must hold before anything is harmed, an
// open-loop load, faults and actions on a timeline, conditions that stop it early,
// what recovery means, and checks. It is written in YAML (which is read as strictly as a
// plan of faults) or Go, and prints as text that parses to the same scenario. A [Target]
// starts the system under test with the faults in front of its dependencies, sends its
// requests, says what each answer means, and adds checks for its domain. [Play] plays a
// scenario and returns a report; [Run] does so in one line of a test:
//
//	scenario.Run(t, target, s)
//
// [Enumerate] tries every fault at every call that a request makes. Scenarios to copy
// and adapt are in licensesvc/chaostest/scenarios.
//
// It may import the standard library, chaos and the packages below chaos.
//
// It promises: a verdict is passed only if the steady state held, the load was sent, each
// fault harmed something and every check held; a check that can't be decided is undecided;
// the faults end with the run; a report contains the seed and the scenario, so that the run
// can be repeated.
package scenario

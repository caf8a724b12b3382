// Package scenario runs an experiment on a system and ends in a verdict.
//
// A [Scenario] is data: a steady state that must hold before anything is harmed, an
// open-loop load, faults and actions on a timeline, conditions that stop it early,
// what recovery means, and checks. It comes from YAML (as strict as a plan of faults)
// or Go, and prints as text that parses to it. A [Target] starts the system under test
// with the faults before its dependencies, sends its requests, says what each answer is
// worth, and adds checks for its domain. [Play] plays a scenario and returns a
// report; [Run] does so in one line of a test:
//
//	scenario.Run(t, target, s)
//
// [Enumerate] tries every fault at every call that a request makes. Scenarios to copy
// and adapt stand in licensesvc/chaostest/scenarios.
//
// It may import the standard library, chaos and what lies below it.
//
// It promises: a verdict is passed only if the steady state held, the load came, each
// fault harmed something and every check held; what can't be decided is undecided; the
// faults end with the run; a report names the seed and holds the scenario, so that it
// can be run again.
package scenario

// Package demo runs the demonstration: a scenario of chaos/scenario with the license
// service as its target, shown on the terminal and on a live page whose buttons inject
// faults.
//
// It may import everything of licensesvc, resilience and chaos.
//
// It promises: a verdict is passed only if every check held and the faults did
// happen; a run leaves nothing behind but its report, and, when a check failed, its
// data.
package demo

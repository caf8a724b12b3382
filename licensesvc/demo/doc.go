// Package demo runs the demonstration: a scenario of chaos/scenario with the license service as
// its target. It is shown on the terminal and on a live page whose buttons inject faults.
//
// It may import everything of licensesvc, resilience and chaos.
//
// It promises: the verdict is "passed" only if every check held and the faults really happened. A
// run leaves behind only its report and, if a check failed, its data.
package demo

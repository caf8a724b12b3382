// Package demo runs the demonstration: a whole license service, the servers that it
// depends on, a chaos proxy before each, an open-loop load of many members, and a
// plan of faults. It watches, and judges from outside: by what clients were
// answered, by what went over the wire, and by what is in the store afterwards.
//
// It may import everything of licensesvc, resilience and chaos.
//
// It promises: a verdict is passed only if every check held and the faults did
// happen; a run leaves nothing behind but its report, and, when a check failed, its
// data.
package demo

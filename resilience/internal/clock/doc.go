// Package clock is where package resilience gets its time, timers, goroutines and
// chance from. A nil [Clock] is the real ones, and what guards use. Package
// simulate gives a guard a virtual one: time then passes only while every goroutine
// of the simulation waits, one goroutine runs at a time, in an order that the seed
// decides, and minutes cost nothing.
//
// It imports the standard library only. It is internal, because a guard in virtual
// time is of use to who drives that time alone.
package clock

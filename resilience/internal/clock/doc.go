// Package clock provides time, timers, goroutines and random numbers to package
// resilience. A nil [Clock] is real time, which guards use. Package simulate gives a
// guard a virtual clock. Then time passes only while every goroutine of the simulation
// waits, one goroutine runs at a time in an order that the seed decides, and simulated
// minutes take no real time.
//
// It imports the standard library only. It is internal, because a guard in virtual time
// is useful only to the code that drives that time.
package clock

// Package resilience measures the toolkit against its peers: the cost of a call in
// each way out (cost_test.go), and goodput under overload and while a dependency
// is slow, in virtual time (goodput_test.go). The README next to it has the
// results, the commands that make them, and the versions. It is a module apart, so
// that peers are no dependency of the toolkit.
package resilience

// Package status shows what guards do to the people who run a service: as JSON over HTTP,
// with a switch for breakers, and as lines of a log.
//
//	s, err := status.New(status.Config{Token: token})
//	guard, err := resilience.New(policy, resilience.WithListener(s), resilience.WithListener(status.NewLogger(logger)))
//	err = s.Add(guard)
//	mux.Handle("/debug/guards", s)
//
// # What this package may import
//
// The standard library and package resilience.
//
// # What it promises
//
//   - Reading costs a snapshot of each guard. Memory is bounded: recent events are a ring,
//     and equal ones that follow each other are one with a count.
//   - Nothing is changed without the token. Without a configured one, nothing can be changed.
//   - The JSON has no keys, values or addresses of calls; it has names of dependencies and
//     operations, and the texts of errors that moved a breaker or made a fallback stand in.
package status

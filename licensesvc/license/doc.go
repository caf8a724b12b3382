// Package license is the domain of offline viewing: what a member may take along,
// how long, and what was decided about it.
//
// [Decide] turns a state, a command and the rules into events or a refusal, and
// [Evolve] turns a state and an event into the next state. Both are pure: no I/O,
// no clock, no randomness. A [State] is a value; nothing that Decide or Evolve
// does changes one that somebody else holds. [Audit] recounts a history by brute
// force and names each rule that it broke, which is how tests and the
// demonstration judge Decide.
//
// One stream holds one member's events, because the rules span a member's licenses.
//
// It imports the standard library only.
package license

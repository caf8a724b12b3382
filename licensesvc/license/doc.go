// Package license is the domain of offline viewing: what a member may download, for how long, and
// what was decided about it.
//
// [Decide] turns a state, a command and the rules into events or a refusal. [Evolve] turns a
// state and an event into the next state. Both are pure: no I/O, no clock, no randomness. A
// [State] is an immutable value; Decide and Evolve never change a state that another caller
// holds. [Audit] recounts a history by brute force and names each rule that was broken. Tests and
// the demonstration use it to judge Decide.
//
// rules.go has the rules, facts.go what a decision knows about the world, command.go what may be
// asked, decide.go the events that follow from it.
//
// One stream holds the events of one member, because the rules span all licenses of a member.
//
// It imports the standard library only.
package license

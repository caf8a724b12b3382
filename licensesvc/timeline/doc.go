// Package timeline answers questions about a member's past from the events of the member's stream:
// what the state was at a version or at a time, how two states differ, and what was decided at each
// step, in words.
//
// Two times can be asked for, and they are different questions. By recorded time: what did the
// service know then? By occurred time: what had happened then, with all that is known today? A
// device that was offline reports late, so a play can have happened long before it was known.
//
// The functions are pure: they get events and return values. A Builder needs memory for the state,
// not for the events, so a stream of any length can be read page by page. The package imports the
// domain, the stored form of events, and the event store's types; it does no I/O.
package timeline

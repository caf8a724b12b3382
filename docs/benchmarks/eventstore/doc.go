// Package eventstore measures the event store on SQLite against a group commit written by hand
// for the same tables, turn by turn in one run.
package eventstore

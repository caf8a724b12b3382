// Package outbox measures what a long outbox costs the requests of an outage, and how fast it
// is drained into the event store on SQLite.
package outbox

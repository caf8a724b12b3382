// Package cassandra is the event store on several nodes.
//
// It imports eventstore and clients/cassandra.
//
// # Streams
//
// A stream lies in buckets, a partition each: static head, base (the head of the
// bucket before), sealed and size; a row an event; a row a commit. An append is one
// conditional batch on one partition: the head is the expected one, the bucket is not
// sealed, there is no row of the commit yet. The commit's row says where the commit
// landed, or that it was fenced: then no attempt of it, however late, can land.
//
// An append without an answer is proposed again, identically, while there is time,
// and is unknown then. Absence in a read never proves that an attempt will not land;
// Resolve fences, and only an acknowledged fence counts.
//
// # Feed
//
// Before an append its intent is written and acknowledged. Whoever reads a slice's
// feed first sequences it: it looks up what became of the open intents, and writes
// the versions that are new into the slice's log by a conditional batch, then drops
// the intents. Positions in the log are the cursor. No clock, no timer and no absence
// decides that something is over: an intent goes when its commit is in the log, when
// its attempt can't land any more, or when it was fenced.
//
// Intents lie in feed buckets, which a register closes after a number of intents, and
// which are dropped whole once settled; an intent that is still open moves on to the
// bucket that is open then. docs/decisions/0002 has why.
//
// # Promises
//
// Everything of eventstore.Store, on any number of instances at once, while a
// minority of each partition's replicas is gone.
package cassandra

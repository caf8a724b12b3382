// Package cassandra is an event store on a Cassandra cluster.
//
// It imports eventstore, eventstore/schema, clients/cassandra and resilience.
//
// # Streams
//
// A stream is kept in buckets; each bucket is one partition. Its static columns are head,
// base (the head of the bucket before it), sealed, size, epoch, and before (a filter of the
// commit ids in the bucket before it). It has one row per event and one row per commit. An
// append is one conditional batch on one partition. Its conditions are that the head is the
// expected one, that the bucket is not sealed, that the epoch is the one that was read, and
// that there is no row of the commit yet. The commit's row says where the commit was stored,
// or that it was fenced; after a fence no attempt of the commit can be stored, however late it
// arrives. A sealed bucket never changes again: it takes neither events nor fences. Writers
// therefore look for a commit's id in older buckets by their filters.
//
// An append that gets no answer is proposed again, identically, while there is time; after
// that its outcome is unknown. That a read does not show a commit never proves that an
// attempt will not be stored later. Resolve therefore writes a fence, and only a fence that
// was acknowledged counts.
//
// # Guard
//
// Requests run under the guard of the session. One call of the store makes several requests
// and has a deadline (Config.Deadline). Each attempt of a request must have less time than
// that: otherwise the caller's deadline would always come first, and the circuit breaker
// would never see that the cluster does not answer. Open and Update refuse such a policy.
//
// # Feed
//
// Before an append, its intent is written and acknowledged. A reader of a slice's feed first
// sequences the slice: it looks up what became of the open intents, writes the versions that
// are new into the slice's log by a conditional batch, and then deletes the intents. A
// cursor is a position in the log. Neither a clock, nor a timer, nor the absence of a row
// decides that an intent is over. An intent is deleted when its commit is in the log, when
// its attempt can't be stored any more, or when it was fenced.
//
// Intents are kept in feed buckets. A register closes a bucket after a number of intents,
// and the bucket is deleted whole once it is settled; an intent that is still open moves to
// the bucket that is open then. The reasons are in docs/decisions/0002.
//
// # Schema
//
// Open takes the schema steps that the keyspace lacks, one instance at a time: the lock is a
// lease with a fence, in the partition of the record of steps. See package schema.
//
// # Promises
//
// All promises of eventstore.Store hold on any number of instances at once, while a minority
// of each partition's replicas is gone.
package cassandra

// Package export copies the events of a store to files for analysis, as JSON Lines or as Parquet.
// It is the only package that imports parquet-go.
//
// An export is incremental: it goes on where the last one ended. The file manifest.json lists the
// files that count, with their rows and checksums, and for each slice of the feed the cursor up to
// which it was read. It is replaced in one step after each file is complete and durable, so an
// export can be killed, or can run out of disk, between any two writes: the next one removes what
// the manifest does not list, and goes on from its cursors. No row is lost and none is there twice.
//
// Rows come in the order of the feed: in order within a member, in no order across members. A store
// that delivers an event again (Cassandra may, after a crash) is allowed to; see Row.
//
// The package may import the event store's types, the stored form of events, and the domain.
package export

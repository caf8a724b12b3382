// Package wire is the stored form of the license events: their names, schema versions and
// upcasters. Everything that reads events uses it, so that all readers agree.
//
// It may import licensesvc/license, licensesvc/eventstore and licensesvc/codec.
//
// It promises: an event of any version that was ever written is read; an event that a newer
// program wrote becomes a [license.Unknown] and is neither lost nor changed; only an event that
// is damaged is an error.
package wire

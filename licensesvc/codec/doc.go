// Package codec turns values into stored records and back, whatever schema version a record was
// written in. Events, journal entries, tokens and decision records use it, because all of them
// outlive the program that wrote them.
//
// A record has a type, a schema version and JSON. A [Codec] knows the current version of every
// type, and a chain of named upcasters from every older version. [New] checks that the chains
// have no gaps and no cycles.
//
// An upcaster sees one record, and returns none ([Drop]), one ([Change], [Rename]) or several
// ([Split]). There is none that merges records. Records that belong together may be read on
// different pages, or by a reader that stops between them and resumes later, so a merge would
// need a state that every reader keeps and stores with its cursor. To merge records, change the
// first into the new type with what it knows, and each of the others into a small record that
// completes it, and let the fold over them do the rest. The fold has a state already.
//
// It imports the standard library only.
package codec

// Package app runs the license service's commands: it loads a member's stream,
// decides, and appends what was decided; and it knows what to do when one of the
// dependencies that this needs fails.
//
// It may import licensesvc/license, eventstore, upstream, resilience and what lies below
// app. It knows nothing of HTTP. The store that it is given brings its own guard.
//
// It promises:
//
//   - it calls nothing that is not guarded, and puts no shorter deadline before a guard;
//   - every answer, also a refusal, says what data it was decided on, from where
//     and how old;
//   - a refusal was decided on a fresh read;
//   - an append whose outcome is unknown is resolved by its commit id, never
//     reported as done or failed; what stays unknown is promised provisionally, or
//     answered with "try again with the same key";
//   - what was answered is in the store, or in the journal until the store has it;
//   - the same key gives the same answer, also after a crash.
package app

// Package app runs the license service's commands: it loads a member's stream,
// decides, and appends what was decided; and it knows what to do when one of the
// dependencies that this needs fails.
//
// It may import licensesvc/license, eventstore, upstream, capacity, resilience and
// what lies below app. It knows nothing of HTTP, and its stores are given to it.
//
// It promises:
//
//   - no call to a dependency without a guard;
//   - every answer, also a refusal, says what data it was decided on, from where
//     and how old;
//   - a refusal was decided on a fresh read;
//   - an append whose outcome is unknown is resolved by its commit id, never
//     reported as done or failed; what stays unknown is promised provisionally or
//     told as "try again with the same key";
//   - what was answered is in the store, or in the journal until the store has it;
//   - the same key gives the same answer, also after a crash.
package app

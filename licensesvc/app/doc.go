// Package app runs the commands of the license service. It loads a member's stream, decides,
// and appends the resulting events. It also handles the failure of each dependency that this
// needs.
//
// It may import licensesvc/license, repository, eventstore, upstream, resilience and the packages below
// app. It knows nothing about HTTP. The store that it gets has its own guard.
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
//   - the same key gives the same answer, also after a crash; a refusal only as long as
//     the process remembers it;
//   - commands of one member wait for each other, and none of them is refused because
//     another one came first.
package app

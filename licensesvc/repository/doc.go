// Package repository loads and changes states that are folded from streams of events. It is
// generic over the state and the events, and is the only place that knows how a stream is
// loaded, remembered, snapshotted, and appended to.
//
// It may import licensesvc/eventstore and internal/lru.
//
// It promises:
//
//   - a state that it returns is a prefix of its stream, folded in order; a state for a decision
//     that appends nothing was read from the store during the call;
//   - commands of one stream wait for each other in one process, in the order in which they came,
//     and the next one is decided on the state that the one before has produced, without a read;
//   - a command that lost against another process is decided again; an append whose outcome is
//     unknown is resolved by its commit, never repeated under another id;
//   - a stream that is not remembered costs two reads, however long it is, once it has a
//     snapshot. A snapshot that is missing, damaged, of another fold, of another stream or ahead
//     of its stream costs a longer load, and never a wrong state;
//   - its memory is bounded by bytes.
package repository

// Package readmodel keeps views of the events that queries can read: a member's licenses and
// devices, licenses that expire soon, the use of a studio's titles, and what became of promises.
//
// It may import licensesvc/eventstore, licensesvc/license and licensesvc/wire, and the SQLite
// driver.
//
// It promises:
//
//   - a view and the place in the feed up to which it was made change in one transaction, so that
//     a crash neither loses an event nor counts one twice;
//   - an event that can't be applied stops its own stream only. The later events of that stream
//     wait for it, everything else goes on, and an operator sees the reason, and retries or skips;
//   - a second process that works on the same files takes over, and what the first one still writes
//     is refused;
//   - a rebuild happens in a separate file while the old view serves, and is switched in by one
//     transaction, and back. It can be stopped at any time and goes on where it was;
//   - an answer says how old it may be. A view that is damaged, of another version, or of a store
//     that was restored is rebuilt, and never served as if it were right.
package readmodel

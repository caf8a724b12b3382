// Package simulate replays a recorded incident under another policy, in virtual
// time, and compares what happened with what would have happened.
//
// The guard is a real one of package resilience. Only its clock, its jitter and the dependency
// behind it are simulated. Minutes of the incident take milliseconds, and the same record,
// policies and seed always give the same report.
//
// # What is recorded, what is assumed
//
//   - Calls come when they came; [Options.Load] adds others between them, or leaves some
//     out. Nobody comes again because of a refusal. Callers go away at the deadline that
//     they brought, if the record tells it, and not before.
//   - The nth attempt of a call does what the nth attempt of that call did, if the
//     record has it. All others (retries and hedges that were not made, calls that
//     were refused) do what one of the 20 attempts did that are nearest in time on
//     the same operation.
//   - An attempt that was cut off in the record says only how long it took at least.
//     It goes on as a nearby attempt did that took longer; if there is none, the
//     dependency never answers it.
//   - The dependency is as fast as it was, whatever the load, unless
//     [Options.Workers] makes it a queue: then what is recorded is first freed from
//     the waiting that those workers explain, and the new load waits again. Work that
//     was begun is done, also for callers that have gone.
//   - A call honours its context. A failure may be repeated, as those of idempotent
//     calls may, and not before the time that the dependency asked for (Retry-After).
//   - A record has no keys. A value served when the call fails is the operation's
//     last good one, and [Options.Unknown] says for how many calls there is none.
//     Answers from a cache stay answers from a cache if the new policy has fresh_for,
//     and become calls if not; calls that shared another's stay as they were.
//
// A report counts how many attempts rest on which of these.
//
// It imports the standard library, resilience, its internal clock, and record.
package simulate

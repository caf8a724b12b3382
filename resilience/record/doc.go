// Package record keeps what happened to a guard's calls, in one compact line per call, so that
// an incident can be replayed later under another policy.
//
// A [Writer] is a resilience.Listener that writes records; a [Reader] reads them. The package
// imports the standard library and package resilience. A Writer never stops a call and never
// makes one wait: when it can't write, it drops calls and counts them.
//
// # Format
//
// A record is text in UTF-8. The first line names the format and the time from which all other
// times are counted:
//
//	backstay-record 1 2026-11-23T20:00:00.123456Z
//
// Each further line is one call, in the order in which the calls ended. Fields are separated
// by one space:
//
//		start dependency operation criticality source cause took attempts
//		1204381 catalog plan critical live - 20512 s14+20480
//		1204400 catalog plan critical stale timeout 400031 f9+199871c,f260110+139900c
//		1204977 catalog plan sheddable none full 2 -
//
//	  - start and took are whole microseconds: from the record's time to the call's
//	    start, and from there to its end.
//	  - A dependency or operation that is empty or has spaces, quotes or control
//	    characters is quoted as in Go.
//	  - criticality and source are the words of package resilience; source is none if
//	    the call ended with an error.
//	  - cause is why the value is not live, or the error's kind: open, full,
//	    rate_limited, throttled, closed (refusals), timeout, canceled, failed; - for none.
//	  - attempts are separated by commas: a letter for the outcome (s success, f failure,
//	    o overload, i ignored), the microseconds from the call's start to the
//	    attempt's, +, the attempt's duration; behind it h for a hedge, and c if it was
//	    cut off (out of its time, cancelled, or still running when the call ended), so
//	    that how long it would have taken is not known. - for none.
//
// The line "dropped 12" says that 12 calls are missing at that place because there was no room
// for them. A last line without a line feed was cut off by a crash. Each piece that was
// written begins with the header, so that a file can be continued after a restart, shared by
// several processes, or emptied by a log rotation. Empty lines and lines that begin with # are
// ignored.
package record

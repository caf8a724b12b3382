// Command licensesvc serves licenses for offline viewing, and shows how the service
// stands when what it depends on does not.
//
//	licensesvc serve    serve on a data folder
//	licensesvc demo     the demonstration: load, faults, verdict, report
//	licensesvc backup   copy the events, also while the service runs
//	licensesvc restore  put a backup into an empty data folder
//	licensesvc verify   read all events and say what is damaged
//
// The exit statuses are those of internal/cli. This package parses flags and files only; what
// the commands do is in licensesvc/service and licensesvc/demo. It may import everything of the
// module.
package main

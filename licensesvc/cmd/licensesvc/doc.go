// Command licensesvc serves licenses for offline viewing, and shows how the service
// stands when what it depends on does not.
//
//	licensesvc serve    serve on a data folder
//	licensesvc demo     the demonstration: load, faults, verdict, report
//
// The exit statuses are those of internal/cli. This package parses flags and files only; what
// the commands do is in licensesvc/service and licensesvc/demo. It may import everything of the
// module.
package main

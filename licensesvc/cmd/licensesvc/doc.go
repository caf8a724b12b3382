// Command licensesvc serves licenses for offline viewing, and shows how the service keeps working
// when its dependencies fail.
//
//	licensesvc serve    serve on a data folder
//	licensesvc demo     the demonstration: load, faults, verdict, report
//	licensesvc backup   copy the events, also while the service runs
//	licensesvc restore  put a backup into an empty data folder
//	licensesvc verify   read all events and say what is damaged
//	licensesvc history  show the past of a member, and how two states differ
//	licensesvc replay   print every decision about a member in words
//	licensesvc export   copy the events to files for analysis
//	licensesvc schema   show what the store's tables lack, and bring them up to date
//
// The exit statuses are those of internal/cli. This package only parses flags and files; the
// commands are implemented in licensesvc/service and licensesvc/demo. It may import everything of
// the module.
package main

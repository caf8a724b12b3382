// Command licensesvc serves licenses for offline viewing, and shows how the service
// stands when what it depends on does not.
//
//	licensesvc serve    serve on a data folder
//	licensesvc demo     the demonstration: load, faults, verdict, report
//
// Exit status: 0 when all went well, 1 on failure, 2 on wrong usage. It may import
// everything of the module.
package main

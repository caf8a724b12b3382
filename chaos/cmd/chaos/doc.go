// Command chaos reads plans, and stands before a server with one.
//
//	chaos check FILE...                                    print what is wrong with plans and scenarios
//	chaos explain FILE                                     the timeline, in words and drawn
//	chaos proxy --upstream ADDR --dependency NAME PLAN     a TCP proxy that follows the plan
//	chaos proxy --api ADDR                                 Toxiproxy's HTTP interface
//	chaos cql --listen ADDR --upstream ADDR --plan FILE    a proxy inside Cassandra's protocol
//	chaos run FILE|NAME                                    play a scenario: verdict and report
//	chaos replay REPORT.json                               the same again, with its seed
//	chaos scenarios [NAME]                                 the library of scenarios
//	chaos compare A.json B.json                            what got better, what worse
//	chaos enumerate REQUEST [FILE]                         every fault at every call of a request
//	chaos schema plan|scenario                             the JSON Schema of a kind of file
//
// FILE may be - for standard input. The exit statuses are those of internal/cli; check ends with
// 1 when a file has problems, the others with 2. It may import chaos and what lies below it,
// cobra, internal/cli, and licensesvc/chaostest for the license service as a target.
package main

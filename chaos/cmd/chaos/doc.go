// Command chaos checks and explains plans of faults, runs proxies that apply them, and plays
// scenarios.
//
//	chaos check FILE...                                    print what is wrong with plans and scenarios
//	chaos explain FILE                                     the timeline, in words and drawn
//	chaos proxy --upstream ADDR --dependency NAME PLAN     a TCP proxy that follows the plan
//	chaos proxy --api ADDR                                 Toxiproxy's HTTP interface
//	chaos cql --listen ADDR --upstream ADDR --plan FILE    a proxy inside Cassandra's protocol
//	chaos run FILE|NAME                                    play a scenario: verdict and report
//	chaos replay REPORT.json                               play the scenario of a report again
//	chaos scenarios [NAME]                                 the library of scenarios
//	chaos compare A.json B.json                            what got better, and what got worse
//	chaos enumerate REQUEST [FILE]                         every fault at every call of a request
//	chaos schema plan|scenario                             the JSON Schema of a kind of file
//
// FILE may be - for standard input. The exit statuses are those of internal/cli; check ends with
// 1 when a file has problems, the others with 2. It may import chaos and the packages below
// chaos, cobra, internal/cli, and licensesvc/chaostest for the license service as a target.
package main

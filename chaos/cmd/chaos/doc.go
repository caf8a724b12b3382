// Command chaos reads plans, and stands before a server with one.
//
//	chaos check PLAN...                                    print what is wrong
//	chaos explain PLAN                                     the timeline, in words and drawn
//	chaos proxy --upstream ADDR --dependency NAME PLAN     a TCP proxy that follows the plan
//	chaos proxy --api ADDR                                 Toxiproxy's HTTP interface
//
// Exit status: 0 when all is well, 1 on failure, 2 on wrong usage or a bad plan. It may
// import chaos and what lies below it, and cobra.
package main

// Command rest measures clients/rest against the bare transport that it is around, and
// against net/http's default where that is the rival. It writes README.md next to it.
//
// It may import clients/rest and resilience.
package main

// Command draining counts the requests that fail while servers end under load, for the
// ways in which net/http can end one and for clients/rest/server. It writes README.md
// next to it.
//
//	cd docs/benchmarks && go run ./draining
//
// It may import clients/rest/server.
package main

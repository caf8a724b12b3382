// Command tcpproxy holds chaos/tcpproxy without open faults against a plain io.Copy relay
// and against Toxiproxy, in turn in one run. It writes README.md next to it.
//
//	cd docs/benchmarks && go run ./tcpproxy
//
// It may import chaos/tcpproxy and Toxiproxy's server.
package main

// Licensesvc measures the peak of the license service on SQLite: clients that ask as fast as they
// are answered, over HTTP, from the same machine. The service runs in a process of its own, so that
// its memory and its profile are its own; the clients, and the services that it asks, run in this
// one.
//
// The mix of requests is that of licensesvc/chaostest, and each member has requested one license
// before anything is counted.
//
// Then it offers 1.8 and 3 times that peak in an open loop: Poisson arrivals, whether earlier
// requests are answered or not; and a calm period after each.
//
//	go run ./licensesvc -length 60s            # in docs/benchmarks; -write writes README.md
//	go run ./licensesvc -profile cpu.pprof     # where the service spends its time
package main

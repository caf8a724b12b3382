// Package cassandratest gives tests real Cassandra nodes: three of them, started once
// a test run and shared by all packages of it.
//
// A separate process keeps the nodes (folder keeper); it ends them when the test
// run is over and nobody uses them, however the tests ended. Tests that harm nodes
// start a separate cluster.
//
// It may import the standard library, chaos/cluster, clients/cassandra and
// internal/testenv. Only tests import it.
package cassandratest

// Package cassandratest gives tests three real Cassandra nodes, which are started once per
// test run and shared by all its packages.
//
// A separate process (package keeper) owns the nodes. It ends them when the test run is over
// and nobody uses them, however the tests ended. Tests that apply faults to nodes start a
// separate cluster.
//
// It may import the standard library, chaos/cluster, clients/cassandra and
// internal/testenv. Only tests import it.
package cassandratest

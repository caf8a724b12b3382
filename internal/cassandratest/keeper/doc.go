// Command keeper starts three Cassandra nodes for a test run and ends them when the
// run is over. Package cassandratest builds and starts it.
//
// It may import the standard library and chaos/cluster.
package main

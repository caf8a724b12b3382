// Package cassandra measures clients/cassandra against bare gocql: the same
// statements on the same nodes, in one run, turn by turn.
package cassandra

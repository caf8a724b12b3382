// Package driverv2test shows that the driver seam holds: it puts the Apache successor
// of the driver, github.com/apache/cassandra-gocql-driver/v2, behind it, as far as one
// small suite needs, and runs that suite over both drivers on real nodes. It is a
// separate module, so that the second driver is no dependency of the client.
//
// It may import that driver, package driver, and gocqldriver in its tests.
//
// It promises nothing: what is missing (TLS, authentication, choice of nodes, values by
// name, warnings) would be taken over from gocqldriver.
package driverv2test

// Package driverv2test shows that the driver seam works for a second driver. It
// implements the seam with github.com/apache/cassandra-gocql-driver/v2, Apache's
// successor of the driver, as far as one small suite needs, and runs that suite over
// both drivers on real nodes. It is a separate module, so that the client does not
// depend on the second driver.
//
// It may import that driver, package driver, and gocqldriver in its tests.
//
// It promises nothing. What is missing (TLS, authentication, choice of nodes, values by
// name, warnings) could be taken over from gocqldriver.
package driverv2test

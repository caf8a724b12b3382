// Package gocqlv2test runs Apache's gocql driver v2, which speaks version 5 of the
// protocol, through chaos/cqlproxy. It is a module of its own, so that the driver is no
// dependency of ours.
package gocqlv2test

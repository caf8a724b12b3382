// Package gocqlv2test runs Apache's gocql driver v2, which speaks version 5 of the
// protocol, through chaos/cqlproxy. It is a separate module, so that Backstay does not
// depend on the driver.
package gocqlv2test

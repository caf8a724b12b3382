// Package gocqldriver is the driver seam on github.com/gocql/gocql v1.7.
//
// It may import that driver, and package driver.
//
// It promises that the driver does nothing by itself: no retries, no speculative
// execution, no convictions, no fetching of pages ahead; and that no panic of the
// driver crosses the seam.
package gocqldriver

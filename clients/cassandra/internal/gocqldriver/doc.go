// Package gocqldriver implements the driver seam with github.com/gocql/gocql v1.7.
//
// It may import that driver, and package driver.
//
// The driver does nothing by its own decision: it makes no retries, no speculative
// executions and no convictions, and does not fetch pages ahead. No panic of the driver
// crosses the seam.
package gocqldriver

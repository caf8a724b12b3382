// Package driver is the seam between the client and the driver below it: what a
// driver must do, in words of no driver. gocqldriver implements it on
// github.com/gocql/gocql.
//
// It may import only the standard library.
//
// It promises that whatever a driver returns as an error is a *Failure, and that
// nothing of a driver's own types crosses the seam.
package driver

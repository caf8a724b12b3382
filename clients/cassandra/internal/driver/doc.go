// Package driver is the seam between the client and the driver below it: it states what
// a driver must do, independently of any particular driver. gocqldriver implements it
// with github.com/gocql/gocql.
//
// It may import only the standard library.
//
// Every error that a driver returns is a *Failure, and no type of a particular driver
// crosses the seam.
package driver

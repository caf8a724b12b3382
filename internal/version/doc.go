// Package version says which build of Backstay is running. Commands print it, and reports and
// records contain it, so that a figure can be traced back to the code that produced it.
//
// It imports the standard library only.
package version

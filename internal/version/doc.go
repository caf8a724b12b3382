// Package version says which build of Backstay is running. Commands print it, and reports and
// records carry it, so that a figure can be traced to the code that made it.
//
// It imports the standard library only.
package version

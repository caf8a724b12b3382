// Package goldentest compares what a test made with a file in the repository. The environment
// variable UPDATE_GOLDEN=1 writes the file instead.
//
// It may import the standard library. Only tests import it.
package goldentest

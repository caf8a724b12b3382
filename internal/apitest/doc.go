// Package apitest compares the exported declarations of packages with golden files. A change to
// such a file is a change for everybody whose code uses the package.
//
// It may import the standard library and internal/goldentest. Only tests import it.
package apitest

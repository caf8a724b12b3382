// Package apitest holds what packages export in golden files: a change to such a file is a
// change for everybody who writes against the package.
//
// It may import the standard library and internal/goldentest. Only tests import it.
package apitest

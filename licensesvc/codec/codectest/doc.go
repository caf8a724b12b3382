// Package codectest checks that no stored form changes unnoticed. Only tests import it.
//
// A folder holds a sample of every version of every type (name@version.json), the values that it
// is read as (name@version.want.json), and the fields of every current type
// (name@version.shape.txt). Samples are kept for ever.
//
// It imports the standard library, licensesvc/codec and internal/goldentest.
package codectest

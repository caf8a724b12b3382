// Package headers has the headers that programs with Backstay send to each other: their names,
// how they are written and how they are read. clients/rest sends them, clients/rest/server reads
// them, and chaos/httpfault looks at the attempt.
//
// To add a header, give it a name and a format here, write it in clients/rest/headers.go, and
// read it in clients/rest/server/caller.go.
//
// It may import the standard library.
//
// It promises: a Parse function reads what its Format function writes. It accepts any text: if
// it does not understand the text, it says so and does not guess.
package headers

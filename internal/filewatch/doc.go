// Package filewatch notices when the content of a file changes, for files that a running program
// takes again: policies and rules.
//
// # What it promises
//
//   - It watches the folder, so that a file replaced by renaming and the symbolic links of
//     Kubernetes are seen at once, and looks at the file itself every 5 s, which sees the rest.
//   - A burst of changes is one: the file is read when it has been left alone for 100 ms, or after
//     2 s. A file that is empty, or whose last line has no end, is taken for half written and left
//     alone for 2 s.
//   - It starts one goroutine per read, which ends when the file system answers, and no others.
//
// # What it may import
//
// The standard library, fsnotify, and internal/strictyaml.
package filewatch

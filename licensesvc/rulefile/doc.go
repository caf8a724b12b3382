// Package rulefile reads the rules of the license service from a file, and watches the file.
//
// A file has versions; each has rules. A rule says limits and terms, and for whom they hold: plans,
// studios, titles, countries, kinds of device, and a time. Of the rules that match, the most
// specific one that says something about a field answers for it:
//
//  1. a rule that names titles is more specific than any that does not,
//  2. then one that names studios,
//  3. then one that names countries,
//  4. then one that names device kinds,
//  5. then one that names plans.
//
// Each step outweighs all steps after it together. Two rules that name the same kinds of things, and
// both hold for the same subject at the same time, must not say the same field: that is a problem of
// the file, because nothing would decide between them.
//
// # What it promises
//
//   - A file with a problem is refused as a whole, with every problem at its line and column.
//   - A file that changes while it is watched is taken when it is good. A bad one changes nothing.
//   - New versions are appended; the old ones stay, so that it can be said by which rules an old
//     event was decided.
//
// Files and rules are values that do not change. Watch runs on the goroutine of its caller.
//
// # What it may import
//
// The standard library, license, and internal/filewatch, strictyaml and plural.
package rulefile

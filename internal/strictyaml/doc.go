// Package strictyaml reads every file that users write: policy files, plans, scenarios, lists of
// tokens. It reads YAML, of which JSON is a part, into Go structs by their yaml tags, and accepts
// only what it understands entirely, so that no mistake is silent and the same mistake gets the
// same answer in every file.
//
//	doc := strictyaml.Format{Noun: "plan", Kind: ErrPlan}.Parse("plan.yaml", text)
//	doc.Decode(&plan)
//	doc.Check(problemsOf(plan)...)
//	err := doc.Err()
//
// # What it promises
//
//   - Unknown fields, wrong types, durations without a unit, missing values and names that are
//     there twice are problems. All of them are reported at once, each with file, line, column,
//     an excerpt, and a suggestion. Names are snake_case; max_attempts is suggested for
//     maxAttempts.
//   - Anchors, aliases and merges (<<) work in every file. An alias means the nearest anchor of
//     that name before it.
//   - A text is UTF-8; a byte order mark and a %YAML directive are accepted.
//   - Time and memory are linear in the length of the text, which is bounded, whatever it holds.
//   - A written zero is what the field's zero tag says, if it has one: in Go, a zero there is a field
//     that was left out.
//   - No text makes it panic.
//   - A problem that only follows from another one is not reported: a misspelt field is not
//     missing too.
//
// A Document is used by one goroutine. Problems and errors are values.
//
// # What it may import
//
// The standard library, go.yaml.in/yaml/v4 and internal/suggest.
package strictyaml

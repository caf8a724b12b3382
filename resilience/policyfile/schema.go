package policyfile

import (
	_ "embed"
	"slices"
)

//go:embed policy.schema.json
var schema []byte

// Schema returns the JSON Schema (draft 2020-12) of policy files, for editors. It knows
// names, types and ranges; what takes several fields to judge, Parse judges.
func Schema() []byte { return slices.Clone(schema) }

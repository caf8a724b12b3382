package policyfile

import (
	_ "embed"
	"slices"
)

//go:embed policy.schema.json
var schema []byte

// Schema returns the JSON Schema (draft 2020-12) of policy files with sessions in them,
// for editors: that of the guards, and x-cassandra.
func Schema() []byte { return slices.Clone(schema) }

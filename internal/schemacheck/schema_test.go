package schemacheck_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

// TestSchemasJudgeFilesAsTheProgramsDo holds the JSON Schemas against files that the
// programs' own tests read: good ones must fit, and those must not whose fault is one of
// names, types or ranges.
func TestSchemasJudgeFilesAsTheProgramsDo(t *testing.T) {
	for _, c := range []struct {
		schema    string
		good, bad []string
	}{
		{"docs/reference/plan.schema.json",
			[]string{"chaos/testdata/good/*", "licensesvc/cmd/licensesvc/testdata/*plan*.yaml"},
			[]string{"chaos/testdata/bad/words.yaml", "chaos/testdata/bad/types.yaml", "chaos/testdata/bad/kinds.yaml"}},
		{"docs/reference/scenario.schema.json", []string{"licensesvc/chaostest/scenarios/*.yaml", "licensesvc/demo/*.yaml"}, []string{"chaos/testdata/good/upstreams.yaml"}},
	} {
		t.Run(filepath.Base(c.schema), func(t *testing.T) {
			schema, err := jsonschema.NewCompiler().Compile(filepath.Join(root, c.schema))
			if err != nil {
				t.Fatal(err)
			}
			judge := func(patterns []string, fits bool) (n int) {
				for _, pattern := range patterns {
					files, err := filepath.Glob(filepath.Join(root, pattern))
					if err != nil {
						t.Fatal(err)
					}
					for _, file := range files {
						n++
						err := schema.Validate(read(t, file))
						switch {
						case fits && err != nil:
							t.Errorf("%s: %v", file, err)
						case !fits && err == nil:
							t.Errorf("%s fits", file)
						}
					}
				}
				return n
			}
			if judge(c.good, true) == 0 || judge(c.bad, false) == 0 {
				t.Error("there are no files to judge by")
			}
		})
	}
}

func read(t *testing.T, file string) any {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := yaml.Unmarshal(text, &v); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	if v == nil {
		v = map[string]any{} // an empty file is a plan without faults
	}
	return v
}

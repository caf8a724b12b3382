package schemacheck_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

const policyfile = root + "/resilience/policyfile/"

// policySchema is the schema of policy files as an editor's validator reads it.
func policySchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	schema, err := jsonschema.NewCompiler().Compile(root + "/clients/cassandra/policyfile/policy.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// document reads YAML into what the validator takes.
func document(text []byte) (any, error) {
	var doc any
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, err
	}
	return plain(doc), nil
}

func plain(v any) any {
	switch v := v.(type) {
	case map[any]any: // a key that is no text, such as 1
		m := map[string]any{}
		for k, e := range v {
			m[fmt.Sprint(k)] = plain(e)
		}
		return m
	case map[string]any:
		for k, e := range v {
			v[k] = plain(e)
		}
	case []any:
		for i, e := range v {
			v[i] = plain(e)
		}
	}
	return v
}

func TestThePolicySchemaAcceptsGoodFiles(t *testing.T) {
	schema := policySchema(t)
	good := map[string][]byte{}
	for _, pattern := range []string{
		root + "/resilience/cmd/backstay/testdata/[^bcs]*.yaml", // not bad.yaml, syntax.yaml; those of sessions below
		root + "/docs/how-to/replay-an-incident/[^cs]*.yaml",    // not slips.yaml; cassandra.yaml below
	} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v, %v", pattern, files, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			good[file] = text
		}
	}
	page, err := os.ReadFile(root + "/docs/reference/policy-file.md")
	if err != nil {
		t.Fatal(err)
	}
	for i, part := range strings.Split(string(page), "```yaml\n")[1:] {
		text, _, _ := strings.Cut(part, "```\n")
		good[fmt.Sprint("policy-file.md, file ", i+1)] = []byte(text)
	}
	for name, text := range good {
		doc, err := document(text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := schema.Validate(doc); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// leftToParse are the bad files that a schema lets through: what is wrong with them
// takes several fields, the whole text, or the environment to see.
var leftToParse = map[string]bool{
	"another name": true, "two documents": true,
	"a variable that names nothing": true, "a variable that does not fit": true,
	"a variable that makes a contradiction": true, "a variable that fits two": true,
}

// TestThePolicySchemaRefusesBadFiles: those that Parse refuses, by testdata/bad.txt.
func TestThePolicySchemaRefusesBadFiles(t *testing.T) {
	schema := policySchema(t)
	text, err := os.ReadFile(policyfile + "testdata/bad.txt")
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	for _, c := range strings.Split(string(text), "=== ")[1:] {
		name, rest, _ := strings.Cut(c, "\n")
		file, _, _ := strings.Cut(rest, "--- \n")
		var body bytes.Buffer
		for line := range strings.Lines(file) {
			if !strings.HasPrefix(line, "$ ") {
				body.WriteString(line)
			}
		}
		doc, err := document(body.Bytes())
		if err != nil {
			continue // no YAML: an editor says so itself
		}
		if err := schema.Validate(doc); (err == nil) != leftToParse[name] {
			t.Errorf("%s: refused: %v; want the contrary", name, err)
		} else if err != nil {
			refused++
		}
	}
	if refused < 8 {
		t.Errorf("only %d files were refused", refused)
	}
}

// TestTheSchemaOfSessionsTellsGoodFilesFromBad: by the files that Parse was tried with.
func TestTheSchemaOfSessionsTellsGoodFilesFromBad(t *testing.T) {
	schema := policySchema(t)
	for file, good := range map[string]bool{
		root + "/resilience/cmd/backstay/testdata/every.yaml":          true,
		root + "/resilience/cmd/backstay/testdata/cassandra.yaml":      true,
		root + "/resilience/cmd/backstay/testdata/cassandra-flow.yaml": true,
		root + "/docs/how-to/replay-an-incident/cassandra.yaml":        false, // with slips
	} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := document(text)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if err := schema.Validate(doc); (err == nil) != good {
			t.Errorf("%s: refused: %v; want the contrary", file, err)
		}
	}
}

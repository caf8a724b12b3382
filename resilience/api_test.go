package resilience_test

import (
	"bytes"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestExportedAPI holds what users can write against. A change to the file is a
// change for them: UPDATE_GOLDEN=1 go test ./resilience.
func TestExportedAPI(t *testing.T) {
	const path = "testdata/api.txt"
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var declared []string
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.FileExports(f)
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				d.Body = nil
			case *ast.GenDecl:
				if d.Tok == token.IMPORT || len(d.Specs) == 0 {
					continue
				}
			}
			var text bytes.Buffer
			if err := format.Node(&text, fset, d); err != nil {
				t.Fatal(err)
			}
			// Where comments stood there are empty lines.
			lines := slices.DeleteFunc(strings.Split(text.String(), "\n"), func(line string) bool { return line == "" })
			declared = append(declared, strings.Join(lines, "\n"))
		}
	}
	slices.Sort(declared)
	got := strings.Join(declared, "\n\n") + "\n"
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v: make it with UPDATE_GOLDEN=1 go test ./resilience", err)
	}
	if got != string(want) {
		t.Errorf("the exported API has changed; if it is meant: UPDATE_GOLDEN=1 go test ./resilience\n%s", got)
	}
}

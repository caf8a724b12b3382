package apitest

import (
	"bytes"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/backstay-go/backstay/internal/goldentest"
)

// golden is the file in which a package lists its exported declarations.
const golden = "testdata/api.txt"

// Holds fails the test if the exported declarations of the folders differ from testdata/api.txt.
// With UPDATE_GOLDEN=1 it writes the file instead.
func Holds(t *testing.T, folders ...string) {
	t.Helper()
	var all strings.Builder
	for _, folder := range folders {
		all.WriteString("# " + folder + "\n\n" + strings.Join(exported(t, folder), "\n\n") + "\n\n")
	}
	got := strings.TrimRight(all.String(), "\n") + "\n"
	goldentest.Equal(t, golden, got)
}

// exported returns the exported declarations of a package, without comments and function bodies.
func exported(t *testing.T, folder string) (declared []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
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
				if d.Recv != nil && !isExported(d.Recv.List[0].Type) {
					continue
				}
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
			// Comments leave empty lines behind, which are removed here.
			lines := slices.DeleteFunc(strings.Split(text.String(), "\n"), func(line string) bool { return line == "" })
			declared = append(declared, strings.Join(lines, "\n"))
		}
	}
	slices.Sort(declared)
	return declared
}

// isExported reports whether a method's receiver has an exported type.
func isExported(receiver ast.Expr) bool {
	exported := false
	ast.Inspect(receiver, func(n ast.Node) bool {
		name, ok := n.(*ast.Ident)
		exported = exported || ok && name.IsExported() && len(name.Name) > 1 // T is a type parameter
		return true
	})
	return exported
}

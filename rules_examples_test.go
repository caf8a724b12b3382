package backstay_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// entryPoint matches the names of functions that a program calls first.
var entryPoint = regexp.MustCompile(`^(Do|Run|Replay|(New|Open|Start|Connect|Parse|Load)([A-Z].*)?)$`)

// noEntry names functions that programs hardly ever call themselves.
var noEntry = map[string]string{
	"chaos.NewPlanError":    "for those who add checks of plans",
	"chaos.ParseCQLReasons": "for those who place faults in a protocol",
}

// withoutOutput names packages whose Examples are compiled only, because they need
// Cassandra nodes or a test.
var withoutOutput = []string{"clients/cassandra", "chaos/cluster", "chaos/cqlproxy", "chaos/scenario"}

// TestEveryEntryPointHasAnExample: each package that users import has an Example that runs,
// and each of its entry points is called in one.
func TestEveryEntryPointHasAnExample(t *testing.T) {
	for _, p := range list(t, "./resilience/...", "./clients/...", "./chaos/...") {
		path := strings.TrimPrefix(p.ImportPath, module+"/")
		if p.Name == "main" || strings.Contains(path+"/", "/internal/") {
			continue
		}
		shown, runs := examples(t, p.Dir)
		if !runs && !slices.Contains(withoutOutput, path) {
			t.Errorf("%s has no Example with an output", path)
		}
		for _, name := range entryPoints(t, p) {
			if !shown[name] && noEntry[path+"."+name] == "" {
				t.Errorf("%s: no Example calls %s", path, name)
			}
		}
	}
}

// entryPoints are the names of a package's functions that a program calls first.
func entryPoints(t *testing.T, p pkg) (names []string) {
	t.Helper()
	for _, file := range p.GoFiles {
		for _, d := range parsed(t, filepath.Join(p.Dir, file)).Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && entryPoint.MatchString(f.Name.Name) {
				names = append(names, f.Name.Name)
			}
		}
	}
	return names
}

// examples are the names that a folder's files with Examples use, and whether one of them runs.
func examples(t *testing.T, dir string) (uses map[string]bool, runs bool) {
	t.Helper()
	uses = map[string]bool{}
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		f := parsed(t, file)
		for _, d := range f.Decls {
			example, ok := d.(*ast.FuncDecl)
			if !ok || !strings.HasPrefix(example.Name.Name, "Example") {
				continue
			}
			// What an Example calls may stand in a function below it.
			ast.Inspect(f, func(n ast.Node) bool {
				if s, ok := n.(*ast.SelectorExpr); ok {
					uses[s.Sel.Name] = true
				}
				return true
			})
			for _, c := range f.Comments {
				runs = runs || example.Body.Pos() < c.Pos() && c.End() < example.Body.End() && strings.Contains(c.Text(), "Output:")
			}
		}
	}
	return uses, runs
}

func parsed(t *testing.T, file string) *ast.File {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

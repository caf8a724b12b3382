package backstay_test

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/backstay-go/backstay/internal/goldentest"
)

const module = "github.com/backstay-go/backstay"

// pkg is what `go list` says of one package.
type pkg struct {
	ImportPath   string
	Dir          string
	Name         string
	GoFiles      []string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

func list(t *testing.T, args ...string) []pkg {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Dir,Name,GoFiles,Imports,TestImports,XTestImports"}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	var pkgs []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("decode go list: %v", err)
		}
		pkgs = append(pkgs, p)
	}
	if len(pkgs) == 0 {
		t.Fatal("go list found no package")
	}
	return pkgs
}

func within(path, tree string) bool { return path == tree || strings.HasPrefix(path, tree+"/") }

// arrows are the imports that the design forbids. Paths are relative to the
// module; a rule binds everything at or below from.
var arrows = []struct {
	from   string
	not    []string
	except []string
	why    string
}{
	{from: "resilience", not: []string{"clients", "chaos", "licensesvc"}, except: []string{"resilience/cmd"}, why: "the toolkit knows nothing of its users"},
	{from: "clients", not: []string{"chaos", "licensesvc"}, why: "clients need the toolkit only"},
	{from: "chaos", not: []string{"licensesvc", "resilience", "clients"}, except: []string{"chaos/cmd"}, why: "chaos stands alone"},
	{from: "licensesvc", not: []string{"chaos"}, except: []string{"licensesvc/cmd", "licensesvc/demo", "licensesvc/chaostest"}, why: "only tests, demonstrations and commands inject faults"},
	{from: "licensesvc/license", not: []string{"resilience", "clients", "chaos", "licensesvc/app", "licensesvc/eventstore", "licensesvc/upstream", "licensesvc/api", "internal"}, why: "the domain is pure"},
	{from: "licensesvc/eventstore", not: []string{"licensesvc/license", "licensesvc/app", "licensesvc/api", "licensesvc/upstream"}, why: "a store knows events, not licenses"},
}

// onlyIn names packages of others that a single place of ours may import.
var onlyIn = map[string][]string{
	"github.com/gocql/gocql":           {"clients/cassandra"},
	"modernc.org/sqlite":               {"licensesvc/eventstore/sqlite", "licensesvc/readmodel"},
	"github.com/parquet-go/parquet-go": {"licensesvc/export"},
	"github.com/sony/gobreaker":        {"resilience"},
	"github.com/cenkalti/backoff":      {"resilience"},
}

// TestRulesNamePackages finds a rule that is about nothing: a misspelt name forbids nothing.
func TestRulesNamePackages(t *testing.T) {
	var named []string
	for _, rule := range arrows {
		named = append(append(append(named, rule.from), rule.not...), rule.except...)
	}
	for _, places := range onlyIn {
		named = append(named, places...)
	}
	for _, name := range named {
		if _, err := os.Stat(name); err != nil {
			t.Errorf("a rule names %s: %v", name, err)
		}
	}
}

func TestImportsGoOneWay(t *testing.T) {
	for _, p := range list(t, "./...") {
		rel := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		for _, rule := range arrows {
			if !within(rel, rule.from) || slices.ContainsFunc(rule.except, func(e string) bool { return within(rel, e) }) {
				continue
			}
			for _, imp := range p.Imports {
				for _, not := range rule.not {
					if within(imp, module+"/"+not) {
						t.Errorf("%s imports %s: %s", rel, strings.TrimPrefix(imp, module+"/"), rule.why)
					}
				}
			}
		}
		for theirs, ours := range onlyIn {
			if slices.ContainsFunc(ours, func(o string) bool { return within(rel, o) }) {
				continue
			}
			for _, imp := range p.Imports {
				if within(imp, theirs) || strings.HasPrefix(imp, theirs+"/") {
					t.Errorf("%s imports %s: only %s may", rel, imp, strings.Join(ours, ", "))
				}
			}
		}
	}
}

// TestTestHelpersStayInTests keeps packages that exist for tests out of programs.
func TestTestHelpersStayInTests(t *testing.T) {
	for _, p := range list(t, "./...") {
		helper := strings.HasSuffix(p.Name, "test") || p.Name == "testenv"
		for _, imp := range p.Imports {
			switch {
			case helper:
			case imp == "testing", imp == module+"/internal/testenv", imp == "pgregory.net/rapid", imp == "go.uber.org/goleak":
				t.Errorf("%s imports %s outside its tests", p.ImportPath, imp)
			}
		}
	}
}

func TestEachPackageHasADoc(t *testing.T) {
	for _, p := range list(t, "./...") {
		if len(p.GoFiles) == 0 {
			continue
		}
		var documented []string
		for _, name := range p.GoFiles {
			f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.ParseComments|parser.PackageClauseOnly)
			if err != nil {
				t.Fatal(err)
			}
			if f.Doc != nil {
				documented = append(documented, name)
			}
		}
		if !slices.Equal(documented, []string{"doc.go"}) {
			t.Errorf("%s: the package comment belongs in doc.go, and there only; found in %q", p.ImportPath, documented)
		}
	}
}

// sleepers are the test files that run real processes and may wait for them.
var sleepers = []string{}

// backgrounds are the files outside commands and tests where a context begins, and
// why it can't be made from a caller's.
var backgrounds = map[string]string{
	"resilience/gate.go": "a guard belongs to no call: its context is the root of what it does by itself, and Close ends it",
}

// goFiles calls visit with every Go file of the main module, by slash path.
func goFiles(t *testing.T, visit func(path string, f *ast.File, fset *token.FileSet)) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); path != "." && (strings.HasPrefix(name, ".") || name == "testdata" || name == "out") {
				return filepath.SkipDir
			}
			if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil && path != "." {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		visit(filepath.ToSlash(path), f, fset)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func imports(f *ast.File, path string) bool {
	return slices.ContainsFunc(f.Imports, func(i *ast.ImportSpec) bool { return i.Path.Value == `"`+path+`"` })
}

// calls calls visit for each call of pkg.name in the file.
func calls(f *ast.File, pkg string, names []string, visit func(pos token.Pos, name string)) {
	ast.Inspect(f, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		sel, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := sel.X.(*ast.Ident); ok && (pkg == "" || x.Name == pkg) && slices.Contains(names, sel.Sel.Name) {
			visit(call.Pos(), sel.Sel.Name)
		}
		return true
	})
}

func TestTestsDoNotSleep(t *testing.T) {
	goFiles(t, func(path string, f *ast.File, fset *token.FileSet) {
		if !strings.HasSuffix(path, "_test.go") || imports(f, "testing/synctest") || slices.Contains(sleepers, path) {
			return
		}
		calls(f, "time", []string{"Sleep"}, func(pos token.Pos, _ string) {
			t.Errorf("%s: a test waits for a condition, or in a synctest bubble; it does not sleep", fset.Position(pos))
		})
	})
}

func TestTestsSkipByTestenvOnly(t *testing.T) {
	goFiles(t, func(path string, f *ast.File, fset *token.FileSet) {
		if strings.HasPrefix(path, "internal/testenv/") {
			return
		}
		calls(f, "", []string{"Skip", "Skipf", "SkipNow"}, func(pos token.Pos, name string) {
			t.Errorf("%s: %s: use testenv.Missing, which fails with CI=true", fset.Position(pos), name)
		})
	})
}

func TestContextsBeginAtTheEdge(t *testing.T) {
	goFiles(t, func(path string, f *ast.File, fset *token.FileSet) {
		if strings.HasSuffix(path, "_test.go") || strings.Contains(path, "/cmd/") || backgrounds[path] != "" ||
			strings.HasPrefix(path, "internal/") || strings.Contains(path, "test/") {
			return
		}
		calls(f, "context", []string{"Background", "TODO"}, func(pos token.Pos, name string) {
			t.Errorf("%s: context.%s in library code: take the caller's context, or context.WithoutCancel of it", fset.Position(pos), name)
		})
	})
}

// TestResilienceStaysLight holds everything that a service team gets by importing
// the toolkit. Change the golden file on purpose: UPDATE_GOLDEN=1 go test .
func TestResilienceStaysLight(t *testing.T) {
	for _, name := range []string{"resilience", "clients/rest", "clients/rest/server", "clients/cassandra"} {
		if _, err := os.Stat(filepath.Join(name, "doc.go")); err != nil {
			continue
		}
		var deps []string
		for _, p := range list(t, "-deps", "./"+name) {
			if first, _, _ := strings.Cut(p.ImportPath, "/"); strings.Contains(first, ".") {
				deps = append(deps, p.ImportPath)
			}
		}
		slices.Sort(deps)
		goldentest.Equal(t, filepath.Join("testdata", "deps", strings.ReplaceAll(name, "/", "_")+".txt"), strings.Join(deps, "\n")+"\n")
	}
}

func TestModuleHasNoReplace(t *testing.T) {
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(string(mod), "\n") {
		if strings.HasPrefix(strings.TrimSpace(line), "replace") {
			t.Errorf("go.mod:%d: a replace directive does not reach modules that import this one", i+1)
		}
	}
}

package backstay_test

import (
	"go/ast"
	"go/printer"
	"go/token"
	"path"
	"strings"
	"testing"
)

// maxLines is how long a function may be, from its first line to its last.
const maxLines = 60

// longFunctions are allowed to be longer, each with its reason.
var longFunctions = map[string]string{}

// inits are the files that may have an init function, each with its reason.
var inits = map[string]string{}

// maxFileLines is how long a file may be: more than that is two things.
const maxFileLines = 400

// TestFilesAreShort holds the length of files that are no tests.
func TestFilesAreShort(t *testing.T) {
	goFiles(t, func(file string, f *ast.File, fset *token.FileSet) {
		if lines := fset.File(f.Pos()).LineCount(); ownCode(file, f) && lines > maxFileLines {
			t.Errorf("%s has %d lines, and may have %d: split it by its types", file, lines, maxFileLines)
		}
	})
}

// ownCode says whether a file is written by hand for a program, and no test.
func ownCode(file string, f *ast.File) bool {
	return !strings.HasSuffix(file, "_test.go") && !ast.IsGenerated(f)
}

// TestFunctionsAreShort holds the length of functions. Their cognitive complexity is held by
// make lint.
func TestFunctionsAreShort(t *testing.T) {
	seen := map[string]bool{}
	goFiles(t, func(file string, f *ast.File, fset *token.FileSet) {
		if !ownCode(file, f) {
			return
		}
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Body == nil {
				continue
			}
			name := path.Dir(file) + "." + fn.Name.Name
			lines := fset.Position(fn.End()).Line - fset.Position(fn.Pos()).Line + 1
			if lines <= maxLines {
				continue
			}
			seen[name] = true
			if longFunctions[name] == "" {
				t.Errorf("%s: %s has %d lines; name its steps, so that none has more than %d", fset.Position(fn.Pos()), fn.Name.Name, lines, maxLines)
			}
		}
	})
	for name := range longFunctions {
		if !seen[name] {
			t.Errorf("the exception for %s is not needed", name)
		}
	}
}

func TestNoInitFunctions(t *testing.T) {
	goFiles(t, func(file string, f *ast.File, fset *token.FileSet) {
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" && inits[file] == "" {
				t.Errorf("%s: init runs unasked, before anybody can configure it: make the value where it is used", fset.Position(fn.Pos()))
			}
		}
	})
}

// TestHeadsHaveNoHiddenEffects finds statements in the head of an if or switch whose result the
// condition does not use: a change of state hides where one reads a test. Write it in a line of
// its own.
func TestHeadsHaveNoHiddenEffects(t *testing.T) {
	goFiles(t, func(file string, f *ast.File, fset *token.FileSet) {
		if !ownCode(file, f) {
			return
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if init, conditions := head(n); init != nil && !usedIn(init, conditions, fset) {
				t.Errorf("%s: the condition does not use %q: write it on a separate line", fset.Position(init.Pos()), printed(init, fset))
			}
			return true
		})
	})
}

// head returns the statement in the head of an if or switch, and what is decided on.
func head(n ast.Node) (ast.Stmt, []ast.Node) {
	switch s := n.(type) {
	case *ast.IfStmt:
		return s.Init, []ast.Node{s.Cond}
	case *ast.SwitchStmt:
		if s.Tag != nil {
			return s.Init, []ast.Node{s.Tag}
		}
		var conditions []ast.Node
		for _, c := range s.Body.List {
			for _, e := range c.(*ast.CaseClause).List {
				conditions = append(conditions, e)
			}
		}
		return s.Init, conditions
	case *ast.TypeSwitchStmt:
		return s.Init, []ast.Node{s.Assign}
	}
	return nil, nil
}

// usedIn says whether a condition uses what the statement sets.
func usedIn(init ast.Stmt, conditions []ast.Node, fset *token.FileSet) bool {
	var sets []ast.Expr
	switch s := init.(type) {
	case *ast.AssignStmt:
		sets = s.Lhs
	case *ast.IncDecStmt:
		sets = []ast.Expr{s.X}
	}
	used := false
	for _, set := range sets {
		want := printed(set, fset)
		for _, c := range conditions {
			ast.Inspect(c, func(n ast.Node) bool {
				if e, ok := n.(ast.Expr); ok && printed(e, fset) == want {
					used = true
				}
				return !used
			})
		}
	}
	return used
}

func printed(n ast.Node, fset *token.FileSet) string {
	var b strings.Builder
	if err := printer.Fprint(&b, fset, n); err != nil {
		return err.Error()
	}
	return b.String()
}

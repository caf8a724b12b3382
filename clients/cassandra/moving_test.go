package cassandra_test

import (
	"context"
	"errors"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/gocql/gocql"

	"github.com/backstay-go/backstay/clients/cassandra"
	"github.com/backstay-go/backstay/internal/cqltest"
)

// side is what the names of one column of the table stand for.
type side struct {
	pkg   string
	names map[string]bool // of the package
	types map[string]reflect.Type
}

// TestMovingFromGocql holds that each name in the guide's table exists: in gocql in
// the first column, here in the second.
func TestMovingFromGocql(t *testing.T) {
	text, err := os.ReadFile("../../docs/how-to/move-from-gocql.md")
	if err != nil {
		t.Fatal(err)
	}
	theirs := side{"gocql", exported(t, "github.com/gocql/gocql"), map[string]reflect.Type{
		"cluster": reflect.TypeFor[*gocql.ClusterConfig](), "session": reflect.TypeFor[*gocql.Session](), "q": reflect.TypeFor[*gocql.Query](),
		"iter": reflect.TypeFor[*gocql.Iter](), "batch": reflect.TypeFor[*gocql.Batch](),
	}}
	ours := side{"cassandra", exported(t, "github.com/backstay-go/backstay/clients/cassandra"), map[string]reflect.Type{
		"config": reflect.TypeFor[*cassandra.Config](), "profile": reflect.TypeFor[*cassandra.Profile](), "session": reflect.TypeFor[*cassandra.Session](),
		"q": reflect.TypeFor[*cassandra.Query](), "iter": reflect.TypeFor[*cassandra.Iter](), "batch": reflect.TypeFor[*cassandra.Batch](),
		"info": reflect.TypeFor[*cassandra.Info](), "result": reflect.TypeFor[*cassandra.CASResult](),
	}}
	types := exported(t, "github.com/backstay-go/backstay/clients/cassandra/cqltype")
	code := regexp.MustCompile("`([a-z]+)\\.([A-Za-z]+)")
	rows := 0
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "| CQL ") {
			break // another table
		}
		cells := strings.Split(line, "|")
		if len(cells) < 4 || strings.HasPrefix(cells[1], "-") || strings.Contains(cells[1], " gocql ") {
			continue
		}
		rows++
		found := 0
		for i, s := range map[int]side{1: theirs, 2: ours} {
			for _, m := range code.FindAllStringSubmatch(cells[i], -1) {
				found++
				if !s.has(m[1], m[2]) && !(i == 2 && m[1] == "cqltype" && types[m[2]]) {
					t.Errorf("%s.%s does not exist in %s", m[1], m[2], s.pkg)
				}
			}
		}
		for _, m := range code.FindAllStringSubmatch(cells[3], -1) {
			if m[1] != "tls" && m[1] != "errors" && !ours.has(m[1], m[2]) {
				t.Errorf("%s.%s does not exist here", m[1], m[2])
			}
		}
		if found < 2 {
			t.Errorf("a row names less than two things: %s", line)
		}
	}
	if rows < 25 {
		t.Errorf("only %d rows were found", rows)
	}
}

func (s side) has(of, name string) bool {
	if of == s.pkg {
		return s.names[name]
	}
	t := s.types[of]
	if t == nil {
		return false
	}
	if _, ok := t.MethodByName(name); ok {
		return true
	}
	_, ok := t.Elem().FieldByName(name)
	return ok
}

// exported are a package's exported names.
func exported(t *testing.T, path string) map[string]bool {
	t.Helper()
	p, err := build.Import(path, ".", build.FindOnly)
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(p.Dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil {
					names[d.Name.Name] = true
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					switch spec := spec.(type) {
					case *ast.TypeSpec:
						names[spec.Name.Name] = true
					case *ast.ValueSpec:
						for _, n := range spec.Names {
							names[n.Name] = true
						}
					}
				}
			}
		}
	}
	return names
}

// TestAMovedCallSite is code as gocql's users have it, with the constructor and the
// profile's name changed.
func TestAMovedCallSite(t *testing.T) {
	cluster, session := scripted(t, cqltest.Config{})
	cluster.On(selectPlan, plans)
	cluster.On(insertV, cqltest.Statement{Answer: (*cqltest.Request).Void})
	ctx := context.WithoutCancel(t.Context())

	if err := session.Query(insertV, "a", "b").Profile("write").WithContext(ctx).WithTimestamp(1).Exec(); err != nil {
		t.Error(err)
	}
	var id, note string
	var screens int
	if err := session.Query(selectPlan, "a").WithContext(ctx).Consistency(cassandra.One).Scan(&id, &screens, &note); err != nil || id != "a" {
		t.Error(id, err)
	}
	row := map[string]any{}
	if err := session.Query(selectPlan).Bind("a").MapScan(row); err != nil || row["screens"] != 1 {
		t.Error(row, err)
	}
	iter := session.Query(selectPlan, "a").PageSize(2).Iter()
	rows := 0
	for iter.Scan(&id, &screens, &note) {
		rows++
	}
	if err := iter.Close(); err != nil || rows != 3 {
		t.Error(rows, err)
	}
	first := session.Query(selectPlan, "a").PageState(nil).Iter()
	if n, state := first.NumRows(), first.PageState(); n != 2 || string(state) != "more" || len(first.Columns()) != 3 {
		t.Error(n, state)
	}
	rest := session.Query(selectPlan, "a").PageState(first.PageState()).Iter()
	if n := rest.NumRows(); n != 1 || len(rest.PageState()) != 0 {
		t.Error(n)
	}
	batch := session.NewBatch(cassandra.LoggedBatch).WithContext(ctx).Profile("write")
	batch.Query(insertV, "a", "b")
	batch.Query(insertV, "c", "d")
	if err := batch.Exec(); err != nil || batch.Size() != 2 {
		t.Error(err)
	}
	cluster.On(selectPlan, cqltest.Statement{Columns: plans.Columns, Answer: func(r *cqltest.Request) { r.Rows() }})
	if err := session.Query(selectPlan, "nobody").Scan(&id, &screens, &note); !errors.Is(err, cassandra.ErrNotFound) {
		t.Error(err)
	}
}

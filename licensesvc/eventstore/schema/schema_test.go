package schema_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/backstay-go/backstay/licensesvc/eventstore/schema"
)

// memory is a store's schema in memory. Statements are "make TABLE", "add TABLE COLUMN" and "drop
// TABLE COLUMN". An add of a column that is there fails, as it does on real stores.
type memory struct {
	tables   map[string]map[string]string
	progress map[int]schema.Progress
	fence    int
	// left is the number of calls before the process dies; after says that the fatal call takes
	// effect. Below zero: it does not die.
	left  int
	after bool
	ran   []string
}

var errKilled = errors.New("killed")

func newMemory() *memory {
	return &memory{tables: map[string]map[string]string{}, progress: map[int]schema.Progress{}, left: -1}
}

// call does something, unless the process is dead.
func (m *memory) call(do func() error) error {
	switch {
	case m.left == 0 && m.after:
		m.after = false
		return errors.Join(do(), errKilled)
	case m.left == 0:
		return errKilled
	case m.left > 0:
		m.left--
	}
	return do()
}

func (m *memory) Progress(context.Context) (all []schema.Progress, err error) {
	return all, m.call(func() error {
		for _, n := range slices.Sorted(maps.Keys(m.progress)) {
			all = append(all, m.progress[n])
		}
		return nil
	})
}

func (m *memory) Columns(context.Context) (map[string]map[string]string, error) {
	return m.tables, m.call(func() error { return nil })
}

func (m *memory) Lock(context.Context) (schema.Lock, error) {
	m.fence++
	return &memoryLock{m, m.fence}, m.call(func() error { return nil })
}

type memoryLock struct {
	*memory
	fence int
}

func (l *memoryLock) Run(_ context.Context, statement string) error {
	return l.call(func() error {
		if l.fence != l.memory.fence {
			return schema.ErrLockLost
		}
		l.ran = append(l.ran, statement)
		words := strings.Fields(statement)
		switch table := l.tables[words[1]]; words[0] {
		case "make":
			if table == nil {
				l.tables[words[1]] = map[string]string{"id": "text"}
			}
		case "add":
			if table[words[2]] != "" {
				return fmt.Errorf("column %s exists", words[2])
			}
			table[words[2]] = "text"
		case "drop":
			delete(table, words[2])
		}
		return nil
	})
}

func (l *memoryLock) Record(_ context.Context, p schema.Progress) error {
	return l.call(func() error {
		if l.fence != l.memory.fence {
			return schema.ErrLockLost
		}
		l.progress[p.Number] = p
		return nil
	})
}

func (l *memoryLock) Release(context.Context) error { return nil }

func add(table, column string) schema.Statement {
	return schema.Statement{Text: "add " + table + " " + column, Table: table, Column: column}
}

func three() schema.Schema {
	return schema.Schema{
		Steps: []schema.Step{
			{Name: "tables", Statements: []schema.Statement{{Text: "make a"}, {Text: "make b"}}},
			{Name: "columns", Statements: []schema.Statement{add("a", "x"), add("b", "y"), add("a", "z")}},
			{Name: "index", Statements: []schema.Statement{{Text: "make c"}}},
		},
		Tables: map[string]map[string]string{"a": {"id": "text", "x": "text", "z": "text"}, "b": {"id": "text", "y": "text"}, "c": {"id": "text"}},
	}
}

// TestApplyGoesOnAfterACrashAnywhere kills Apply before and after each call that it makes.
func TestApplyGoesOnAfterACrashAnywhere(t *testing.T) {
	whole := newMemory()
	if _, err := three().Apply(t.Context(), whole); err != nil {
		t.Fatal(err)
	}
	crashes := 0
	for calls := 0; ; calls++ {
		for _, after := range []bool{false, true} {
			m := newMemory()
			m.left, m.after = calls, after
			_, err := three().Apply(t.Context(), m)
			if err == nil {
				if crashes < 20 {
					t.Errorf("only %d places to crash", crashes)
				}
				return
			}
			crashes++
			if !errors.Is(err, errKilled) {
				t.Fatalf("call %d: %v", calls, err)
			}
			m.left = -1
			st, err := three().Apply(t.Context(), m)
			if err != nil || !st.OK() || st.Version != 3 || fmt.Sprint(m.tables) != fmt.Sprint(whole.tables) || fmt.Sprint(m.progress) != fmt.Sprint(whole.progress) {
				t.Fatalf("killed at call %d (after it: %v): %+v, %v\n%v\n%v", calls, after, st, err, m.tables, m.progress)
			}
			if n := len(m.ran); n > len(whole.ran)+1 {
				t.Errorf("killed at call %d: %d statements ran, want at most one twice: %q", calls, n, m.ran)
			}
		}
	}
}

// TestWhatRemovesDataIsNamed: no step is taken, not even one before it, unless the caller names
// the step that removes data.
func TestWhatRemovesDataIsNamed(t *testing.T) {
	s := three()
	s.Steps[2] = schema.Step{Name: "no z", Loses: "column z of a", Breaks: true, Statements: []schema.Statement{{Text: "DROP a z"}}}
	delete(s.Tables, "c")
	delete(s.Tables["a"], "z")
	for _, lose := range [][]string{nil, {"another"}} {
		m := newMemory()
		if _, err := s.Apply(t.Context(), m, lose...); !errors.Is(err, schema.ErrUnfit) || len(m.ran) > 0 {
			t.Errorf("lose %q: %v, ran %q", lose, err, m.ran)
		}
		if err := s.Ensure(t.Context(), m, false); !errors.Is(err, schema.ErrUnfit) || len(m.ran) > 0 {
			t.Errorf("at the start: %v, ran %q", err, m.ran)
		}
	}
	if st, err := s.Apply(t.Context(), newMemory(), "no z"); err != nil || st.Version != 3 {
		t.Errorf("%+v, %v", st, err)
	}
}

func TestAStepSaysWhatItRemoves(t *testing.T) {
	for text, ok := range map[string]bool{
		"CREATE TABLE IF NOT EXISTS a (type text, dropped text)": true,
		"ALTER TABLE a ADD type text":                            true,
		"alter table a add drop text":                            true,
		"CREATE INDEX i ON a (b)":                                true,
		"DROP TABLE a":                                           false,
		" drop index i":                                          false,
		"ALTER TABLE a DROP b":                                   false,
		"ALTER TABLE a ALTER b TYPE int":                         false,
		"ALTER TABLE a RENAME b TO c":                            false,
		"ALTER TABLE a WITH default_time_to_live = 60":           false,
		"TRUNCATE a":                                             false,
		"DELETE FROM a":                                          false,
		"UPDATE a SET b = 1":                                     false,
	} {
		s := schema.Schema{Steps: []schema.Step{{Name: "s", Statements: []schema.Statement{{Text: text}}}}}
		if err := s.Check(); (err == nil) != ok {
			t.Errorf("%s: %v", text, err)
		}
		s.Steps[0].Loses = "something"
		if err := s.Check(); err != nil {
			t.Errorf("%s, with Loses: %v", text, err)
		}
	}
	for _, bad := range [][]schema.Step{{{}}, {{Name: "a"}}, {{Name: "a", Statements: []schema.Statement{{}}}, {Name: "a", Statements: []schema.Statement{{}}}}} {
		if (schema.Schema{Steps: bad}).Check() == nil {
			t.Errorf("%+v: no error", bad)
		}
	}
}

// TestTwoProcessesApply: the one whose lock was taken over records nothing.
func TestTwoProcessesApply(t *testing.T) {
	m := newMemory()
	lock, err := m.Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := three().Apply(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if err := lock.Record(t.Context(), schema.Progress{Number: 1}); !errors.Is(err, schema.ErrLockLost) {
		t.Errorf("%v", err)
	}
	if st, err := three().Status(t.Context(), m); err != nil || !st.OK() {
		t.Errorf("%+v, %v", st, err)
	}
}

// TestStatusSaysWhatToDo for each way in which a store does not fit.
func TestStatusSaysWhatToDo(t *testing.T) {
	for name, c := range map[string]struct {
		change func(m *memory)
		says   string
	}{
		"fits":          {func(*memory) {}, "schema 3 fits"},
		"one pending":   {func(m *memory) { delete(m.progress, 3) }, "lacks: index; run licensesvc schema apply"},
		"one begun":     {func(m *memory) { m.progress[3] = schema.Progress{Number: 3, Name: "index"} }, "lacks: index"},
		"newer":         {func(m *memory) { m.progress[4] = schema.Progress{Number: 4, Name: "n", Complete: true} }, "schema 4 fits"},
		"newer, breaks": {func(m *memory) { m.progress[4] = schema.Progress{Number: 4, Name: "n", Breaks: true} }, "run a newer program"},
		"another name":  {func(m *memory) { m.progress[2] = schema.Progress{Number: 2, Name: "n", Complete: true} }, "another program's store"},
		"a hole":        {func(m *memory) { delete(m.progress, 2) }, "restore a backup"},
		"no table":      {func(m *memory) { delete(m.tables, "c") }, "table c is missing"},
		"no column":     {func(m *memory) { delete(m.tables["a"], "x") }, "table a has no column x (text)"},
		"another type":  {func(m *memory) { m.tables["a"]["x"] = "int" }, "has type int, not text"},
		"more columns":  {func(m *memory) { m.tables["a"]["more"] = "int" }, "schema 3 fits"},
	} {
		m := newMemory()
		if _, err := three().Apply(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		c.change(m)
		st, err := three().Status(t.Context(), m)
		if err != nil || !strings.Contains(st.String(), c.says) || st.OK() != strings.Contains(c.says, "fits") {
			t.Errorf("%s: %s, %v; want %q", name, st, err, c.says)
		}
		if err := three().Ensure(t.Context(), m, true); (err == nil) != st.OK() {
			t.Errorf("%s: with keep: %v", name, err)
		}
	}
}

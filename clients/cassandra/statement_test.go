package cassandra

import (
	"strings"
	"testing"

	"github.com/backstay-go/backstay/clients/cassandra/internal/driver"
)

func TestWhatAStatementsTextTells(t *testing.T) {
	for _, c := range []struct {
		cql                              string
		write, conditional, unrepeatable bool
		markers, operands                int
	}{
		{cql: "SELECT a FROM t WHERE id = ? AND at < now()", markers: 1},
		{cql: "/* IF */ select 'IF ?' from t -- ?"},
		{cql: "INSERT INTO t (id, a) VALUES (?, ?)", write: true, markers: 2},
		{cql: "INSERT INTO t (id, a) VALUES (?, 'now() IF ?')", write: true, markers: 1},
		{cql: "INSERT INTO t (id) VALUES (?) IF NOT EXISTS", write: true, conditional: true, unrepeatable: true, markers: 1},
		{cql: "UPDATE t SET a = ? WHERE id = ? if a = ?", write: true, conditional: true, unrepeatable: true, markers: 3},
		{cql: "CREATE TABLE IF NOT EXISTS t (id int PRIMARY KEY)", write: true},
		{cql: "INSERT INTO t (id) VALUES (uuid())", write: true, unrepeatable: true},
		{cql: "UPDATE t SET n = n + 1 WHERE id = ?", write: true, unrepeatable: true, markers: 1},
		{cql: "UPDATE t SET n = n - -1 WHERE id = ?", write: true, unrepeatable: true, markers: 1},
		{cql: `UPDATE t SET n = "n" + 1 WHERE id = ?`, write: true, unrepeatable: true, markers: 1},
		{cql: "UPDATE t SET n += 1 WHERE id = ?", write: true, unrepeatable: true, markers: 1},
		{cql: "UPDATE t SET n = n + (int)? WHERE id = ?", write: true, unrepeatable: true, markers: 2},
		{cql: "UPDATE t SET l = l + ['x'] WHERE id = ?", write: true, unrepeatable: true, markers: 1},
		{cql: "UPDATE t SET l = ['x'] + l WHERE id = ?", write: true, unrepeatable: true, markers: 1},
		{cql: "UPDATE t SET l = l - ['x'], a = ? WHERE id = ?", write: true, markers: 2},
		{cql: "UPDATE t SET l[0] = 'x' WHERE id = ?", write: true, unrepeatable: true, markers: 1},
		{cql: "UPDATE t SET m['x'] = 'y' WHERE id = ?", write: true, markers: 1},
		{cql: "UPDATE t SET m[?] = ? WHERE id = ?", write: true, markers: 3, operands: 1},
		{cql: "DELETE l[0] FROM t WHERE id = ?", write: true, unrepeatable: true, markers: 1},
		{cql: "DELETE a, l[?] FROM t WHERE id = ?", write: true, markers: 2, operands: 1},
		{cql: "UPDATE t SET s = s + {'x', 'y'} WHERE id = ?", write: true, markers: 1},
		{cql: "UPDATE t SET v = :v, u = u + :u WHERE id = :id", write: true, operands: 1},
		{cql: "UPDATE t SET n = n + ? WHERE id = ?", write: true, markers: 2, operands: 1},
		{cql: "UPDATE t SET l = ? + l, l += ? WHERE id = ?", write: true, markers: 3, operands: 2},
		{cql: "UPDATE t SET total = n + 1 WHERE id = ?", write: true, markers: 1},
		{cql: "BEGIN BATCH UPDATE t SET a = ? WHERE id = ?; UPDATE t SET l = l + [1] WHERE id = ? APPLY BATCH", write: true, unrepeatable: true, markers: 3},
		{cql: "BEGIN COUNTER BATCH UPDATE t SET n = n + :v WHERE id = 1 APPLY BATCH", write: true, unrepeatable: true, operands: 1},
		{cql: "BEGIN UNLOGGED BATCH INSERT INTO t (id) VALUES (?) DELETE l[1] FROM t WHERE id = 2 APPLY BATCH", write: true, unrepeatable: true, markers: 1},
	} {
		st := parse(c.cql)
		if st.write != c.write || st.conditional != c.conditional || (st.unrepeatable != "") != c.unrepeatable ||
			!st.named && st.markers != c.markers || len(st.operands) != c.operands {
			t.Errorf("%s: %+v", c.cql, st)
		}
	}
}

// TestTheTypeDecidesWhatMayBeRepeated: what is added to a column, in each form that CQL
// has, against each type of column.
func TestTheTypeDecidesWhatMayBeRepeated(t *testing.T) {
	for form, sign := range map[string]string{
		"UPDATE t SET c = c + ? WHERE id = 1": "+", "UPDATE t SET c += ? WHERE id = 1": "+", "UPDATE t SET c = ? + c WHERE id = 1": "+",
		"UPDATE t SET c = c - ? WHERE id = 1": "-", "UPDATE t SET c -= ? WHERE id = 1": "-", `UPDATE t SET "c"=c+? WHERE id = 1`: "+",
		"UPDATE t SET C = c + ? WHERE id = 1": "+", "UPDATE t SET c = c + :c WHERE id = 1": "+",
		"BEGIN BATCH UPDATE t SET c = c + ? WHERE id = 1 APPLY BATCH": "+",
	} {
		for kind, harmful := range map[string]string{"counter": "+-", "list<text>": "+", "set<text>": "", "map<text, int>": "", "int": "+-"} {
			st := parse(form)
			why := st.harm([]driver.Column{{Name: "c", Type: kind}})
			if (why != "") != strings.Contains(harmful, sign) || st.unrepeatable != "" {
				t.Errorf("%s of a %s: %q, %q", form, kind, why, st.unrepeatable)
			}
		}
	}
	for name, harmful := range map[string]bool{"idx(c)": true, "key(c)": false} {
		for _, form := range []string{"UPDATE t SET c[?] = 1 WHERE id = 1", "DELETE c[?] FROM t WHERE id = 1"} {
			if why := parse(form).harm([]driver.Column{{Name: name, Type: "int"}}); (why != "") != harmful {
				t.Errorf("%s by %s: %q", form, name, why)
			}
		}
	}
	if why := parse("UPDATE t SET c = c + ? WHERE id = 1").harm(nil); why == "" {
		t.Error("a value that the preparation did not tell of passes")
	}
}

// TestCommentsBeforeTheFirstWord: taggers of queries put them there, and the driver then
// took the statement for one without values.
func TestCommentsBeforeTheFirstWord(t *testing.T) {
	for cql, want := range map[string]string{
		"/* trace */ SELECT a FROM t WHERE id = ?":          "SELECT a FROM t WHERE id = ? /* trace */",
		"-- by anna\n// and bob\n /*x*/\nSELECT a FROM t; ": "SELECT a FROM t /*x*/",
		"SELECT a FROM t /* x */":                           "SELECT a FROM t /* x */",
		"/* never ends":                                     "",
	} {
		if got := parse(cql).text; got != want {
			t.Errorf("%q is sent as %q", cql, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("UPDATE t SET n = n + ? WHERE id = ? IF a = 'x'")
	f.Add("BEGIN BATCH DELETE l[?] FROM t WHERE id = $$x$$; UPDATE t SET m[:k] = :v, l -= [1] APPLY BATCH")
	f.Fuzz(func(t *testing.T, cql string) {
		st := parse(cql)
		if st.markers < 0 || len(st.shown) > shownBytes+3 {
			t.Errorf("%q: %+v", cql, st)
		}
		st.harm(make([]driver.Column, st.markers))
		for _, o := range st.operands {
			if o.place < 0 {
				t.Errorf("%q: %+v", cql, o)
			}
		}
	})
}

package cassandra

import "testing"

func TestWhatAStatementsTextTells(t *testing.T) {
	for _, c := range []struct {
		cql                                    string
		write, conditional, unrepeatable, adds bool
		markers                                int
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
		{cql: "UPDATE t SET n += 1 WHERE id = ?", write: true, unrepeatable: true, markers: 1},
		{cql: "UPDATE t SET l = l + ['x'] WHERE id = ?", write: true, unrepeatable: true, markers: 1},
		{cql: "UPDATE t SET s = s + {'x'} WHERE id = ?", write: true, markers: 1},
		{cql: "UPDATE t SET n = n + ? WHERE id = ?", write: true, adds: true, markers: 2},
	} {
		st := parse(c.cql)
		args := make([]any, c.markers)
		for i := range args {
			args[i] = 1
		}
		if st.write != c.write || st.conditional != c.conditional || (st.unrepeatable != "") != c.unrepeatable || st.counts(args) != c.adds || st.markers != c.markers {
			t.Errorf("%s: %+v", c.cql, st)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("UPDATE t SET n = n + ? WHERE id = ? IF a = 'x'")
	f.Fuzz(func(t *testing.T, cql string) {
		st := parse(cql)
		if st.markers < 0 || len(st.shown) > shownBytes+3 {
			t.Errorf("%q: %+v", cql, st)
		}
		st.counts(make([]any, st.markers))
	})
}

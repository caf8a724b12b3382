package cassandra

import "testing"

func TestWhatIsTracedHasNoValues(t *testing.T) {
	for _, c := range []struct{ cql, operation, table, traced string }{
		{"SELECT a, b FROM licenses.streams WHERE id = ? AND v > 17", "SELECT", "licenses.streams", "SELECT a, b FROM licenses.streams WHERE id = ? AND v > ?"},
		{"insert into streams (id, data) values ('it''s secret', 0xCAFE) using ttl 60", "INSERT", "streams", "insert into streams (id, data) values (?, ?) using ttl ?"},
		{"UPDATE s SET n = n + 1, at = 1.5e-3, ok = TRUE WHERE id = a50e8400-e29b-41d4-a716-446655440000 -- for Anna\n", "UPDATE", "s", "UPDATE s SET n = n + ?, at = ?, ok = ? WHERE id = ?"},
		{"DELETE FROM \"Odd\".t2 WHERE id = $$a ' b$$ /* 1234 */", "DELETE", `"Odd".t2`, `DELETE FROM "Odd".t2 WHERE id = ?`},
		{"TRUNCATE TABLE t", "TRUNCATE", "t", "TRUNCATE TABLE t"},
		{"CREATE TABLE t (a int PRIMARY KEY)", "CREATE", "", "CREATE TABLE t (a int PRIMARY KEY)"},
		{"SELECT", "SELECT", "", "SELECT"},
		{"SELECT * FROM", "SELECT", "", "SELECT * FROM"},
	} {
		if s := parse(c.cql); s.operation != c.operation || s.table != c.table || s.traced != c.traced {
			t.Errorf("%s:\n got %q %q %q\nwant %q %q %q", c.cql, s.operation, s.table, s.traced, c.operation, c.table, c.traced)
		}
	}
}

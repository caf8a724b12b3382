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
		{"SELECT p1 FROM t WHERE d = P1Y2M3D AND e = PT5H", "SELECT", "t", "SELECT p1 FROM t WHERE d = ? AND e = ?"},
		{"SELECT a FROM t WHERE s = 'never ends", "SELECT", "t", "SELECT a FROM t WHERE s = ?"},
		{"BEGIN BATCH INSERT INTO t (a) VALUES (1); DELETE FROM t WHERE a = 2 APPLY BATCH", "BATCH", "t", "BEGIN BATCH INSERT INTO t (a) VALUES (?); DELETE FROM t WHERE a = ? APPLY BATCH"},
		{"BEGIN BATCH INSERT INTO t (a) VALUES (1); DELETE FROM u WHERE a = 2 APPLY BATCH", "BATCH", "", "BEGIN BATCH INSERT INTO t (a) VALUES (?); DELETE FROM u WHERE a = ? APPLY BATCH"},
		{"SELECT", "SELECT", "", "SELECT"},
		{"SELECT * FROM", "SELECT", "", "SELECT * FROM"},
	} {
		if s := parse(c.cql); s.operation != c.operation || s.table != c.table || s.traced != c.traced {
			t.Errorf("%s:\n got %q %q %q\nwant %q %q %q", c.cql, s.operation, s.table, s.traced, c.operation, c.table, c.traced)
		}
	}
}

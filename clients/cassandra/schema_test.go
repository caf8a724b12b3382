package cassandra_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/backstay-go/backstay/clients/cassandra"
)

// TestASchemaThatChangesUnderAStatement: statements that were prepared before a column
// came, went or came again as another type heal by themselves, on each of the nodes.
func TestASchemaThatChangesUnderAStatement(t *testing.T) {
	s := table(t)
	const (
		all    = "SELECT * FROM streams WHERE id = ? AND version = ?"
		insert = "INSERT INTO streams (id, version, data) VALUES (?, ?, ?)"
		tagged = "SELECT tags FROM streams WHERE id = ?"
		times  = 9 // each node is asked
	)
	write := func(version int) {
		t.Helper()
		for range times {
			if err := s.Query(insert, "a", version, []byte("x")).Profile("write").Exec(); err != nil {
				t.Fatalf("version %d: %v", version, err)
			}
		}
	}
	// rows reads until each row that is read has what it must, as nodes learn of a change
	// one after the other.
	rows := func(what string, version int, right func(map[string]any) bool) {
		t.Helper()
		in := 0
		eventually(t, what, func() bool {
			row := map[string]any{}
			if err := s.Query(all, "a", version).MapScan(row); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			if string(row["data"].([]byte)) != "x" || row["version"] != version {
				t.Fatalf("%s: a row is read wrongly: %v", what, row)
			}
			if in++; !right(row) {
				in = 0
			}
			return in >= times
		})
	}
	change := func(cql string) {
		t.Helper()
		if err := s.Query(cql).Profile("schema").Exec(); err != nil {
			t.Fatal(err)
		}
	}
	has := func(column string, want bool) func(map[string]any) bool {
		return func(row map[string]any) bool { _, there := row[column]; return there == want }
	}
	var tags []string
	write(1)
	rows("the statements are prepared", 1, has("tags", true))
	if err := s.Query(tagged, "a").Scan(&tags); err != nil {
		t.Fatal(err)
	}
	// In the middle of the row, so that what is read by the old columns would be wrong.
	change("ALTER TABLE streams ADD bonus text")
	change("UPDATE streams SET bonus = 'y' WHERE id = 'a' AND version = 1")
	rows("a new column is read", 1, func(row map[string]any) bool { return row["bonus"] == "y" })
	write(2)
	change("ALTER TABLE streams DROP tags")
	rows("a column that went is not read", 1, has("tags", false))
	write(3)
	eventually(t, "a statement that names it is wrong", func() bool {
		err := s.Query(tagged, "a").Scan(&tags)
		if err != nil && (!errors.Is(err, cassandra.ErrInvalid) || !strings.Contains(err.Error(), "tags")) {
			t.Fatalf("a column that went: %v", err)
		}
		return err != nil
	})
	// A table that is made again knows none of the prepared statements.
	change("DROP TABLE streams")
	change("CREATE TABLE streams (id text, version int, data blob, label text, PRIMARY KEY (id, version))")
	write(4)
	rows("a table that was made again", 4, has("label", true))
}

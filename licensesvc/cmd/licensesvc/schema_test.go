package main

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/backstay-go/backstay/internal/cli"
	"github.com/backstay-go/backstay/licensesvc/eventstore/schema"
	"github.com/backstay-go/backstay/licensesvc/eventstore/sqlite"
)

// TestSchemaCommands on a store that fits, one that lacks a step, and ones that do not fit.
func TestSchemaCommands(t *testing.T) {
	data, empty := t.TempDir(), t.TempDir()
	store, err := sqlite.Open(t.Context(), sqlite.Config{Path: eventsIn(data)})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	run := func(args string) (int, string) {
		var out bytes.Buffer
		streams := &cli.Streams{Out: &out, Err: &out}
		return cli.Run(t.Context(), program(streams), streams, strings.Fields(args)), out.String()
	}
	edit := func(statement string) {
		t.Helper()
		db, err := sql.Open("sqlite", eventsIn(data))
		if err == nil {
			_, err = db.ExecContext(t.Context(), statement)
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		edit, args string
		want       int
		says       string
	}{
		{"", "schema status --data " + data, 0, "schema 2 fits"},
		{"", "schema plan --data " + data, 0, ""},
		{"", "schema apply --data " + data, 0, "schema 2 fits"},
		{"", "schema", 2, "status"},
		{"", "schema status", 2, "--data is missing"},
		{"", "schema status --data " + empty, 2, "the service makes the file when it starts"},
		{"", "schema status --store cassandra", 2, "--cassandra is missing"},
		{"", "schema status --store cassandra --cassandra 127.0.0.1 --data x", 2, "--data is for SQLite"},
		{"UPDATE schema_steps SET complete = 0, done = 2 WHERE number = 1", "schema status --data " + data, 1, "run licensesvc schema apply"},
		{"", "schema plan --data " + data, 0, "CREATE INDEX IF NOT EXISTS feed"},
		{"", "serve --keep-schema --listen 127.0.0.1:0 --data " + data, 1, "run licensesvc schema apply"},
		{"", "schema apply --data " + data, 0, "schema 2 fits"},
		{"ALTER TABLE events DROP COLUMN actor", "schema status --data " + data, 1, "has no column actor"},
		{"", "schema plan --data " + data, 1, "has no column actor"},
		{"", "schema apply --data " + data, 1, "has no column actor"},
		{"", "serve --listen 127.0.0.1:0 --data " + data, 1, "has no column actor"},
	} {
		if c.edit != "" {
			edit(c.edit)
		}
		if got, says := run(c.args); got != c.want || !strings.Contains(says, c.says) {
			t.Errorf("%s: status %d, want %d and %q\n%s", c.args, got, c.want, c.says, says)
		}
	}
	status, text := run("schema status -o json --data " + data)
	var st schema.Status
	if err := json.Unmarshal([]byte(text), &st); err != nil || status != 1 || st.OK() || st.Needed != 2 {
		t.Errorf("status %d, %+v, %v\n%s", status, st, err, text)
	}
	entries, err := os.ReadDir(data)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), "-wal") || strings.HasSuffix(e.Name(), "-shm") {
			t.Errorf("%s was left", e.Name())
		}
	}
}

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/backstay-go/backstay/internal/cli"
	"github.com/backstay-go/backstay/licensesvc/eventstore/sqlite"
)

func TestExport(t *testing.T) {
	data, _ := filled(t, 30)
	restored := t.TempDir()
	backup := filepath.Join(t.TempDir(), "backup.db")
	if err := sqlite.Backup(t.Context(), eventsIn(data), backup); err != nil {
		t.Fatal(err)
	}
	if err := sqlite.Restore(t.Context(), backup, eventsIn(restored)); err != nil {
		t.Fatal(err)
	}
	lines, parquet, full := filepath.Join(t.TempDir(), "lines"), filepath.Join(t.TempDir(), "parquet"), t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "notes.txt"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args string
		want int
		says string
	}{
		{"export --to " + lines, 2, "--data is missing"},
		{"export --data " + data, 2, "--to is missing"},
		{"export --data " + data + " --to " + lines + " --format json", 2, `did you mean "jsonl"?`},
		{"export --data " + data + " --to " + lines + " --file-rows 0", 2, "give at least 1"},
		{"export --data " + data + "/none --to " + lines, 2, "no such file"},
		{"export --data " + data + " --to " + full, 2, "notes.txt"},
		{"export --data " + data + " --to " + lines + " --format jsonl", 0, "120 rows in "},
		{"export --data " + data + " --to " + lines + " --format jsonl", 0, "0 rows in 0 files were added"},
		{"export --data " + data + " --to " + lines + " --format parquet", 2, "--format jsonl"},
		{"export --data " + restored + " --to " + lines + " --format jsonl", 2, "before it was restored"},
		{"export --data " + data + " --to " + parquet + " -o json", 0, `"total_rows": 120`},
	} {
		var out bytes.Buffer
		streams := &cli.Streams{Out: &out, Err: &out}
		if got := cli.Run(t.Context(), program(streams), streams, strings.Fields(c.args)); got != c.want || !strings.Contains(out.String(), c.says) {
			t.Errorf("%s: status %d, want %d and %q\n%s", c.args, got, c.want, c.says, out.String())
		}
	}
	var manifest struct {
		Files []struct{ Name string }
	}
	text, err := os.ReadFile(filepath.Join(lines, "manifest.json"))
	if err != nil || json.Unmarshal(text, &manifest) != nil || len(manifest.Files) == 0 {
		t.Fatalf("%v in %s", err, text)
	}
	row, err := os.ReadFile(filepath.Join(lines, manifest.Files[0].Name))
	if err != nil || !bytes.HasPrefix(row, []byte(`{"member":"m-`)) || !bytes.Contains(row, []byte(`"occurred":"2026-11-01T12:00:00Z"`)) {
		t.Errorf("%v, %s", err, row)
	}
}

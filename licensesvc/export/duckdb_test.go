package export_test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/backstay-go/backstay/internal/testenv"
	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/licensesvc/export"
)

// runsGuide runs the guide's Python, then each of its queries, and prints the rows of each.
const runsGuide = `
import sys
exec(open("open.py").read())
found = []
for query in json.load(open("queries.json")):
    result = None
    for statement in duckdb.extract_statements(query):
        result = db.execute(statement)
    found.append([[str(v) for v in row] for row in result.fetchall()])
json.dump(found, sys.stdout)
`

func TestTheQueriesOfTheGuideRun(t *testing.T) {
	env := testenv.Python(t, "duckdb==1.4.2", "pytz==2025.2")
	page, err := os.ReadFile("../../docs/how-to/analyse-events-with-duckdb.md")
	if err != nil {
		t.Fatal(err)
	}
	var open string
	var queries []string
	for _, block := range regexp.MustCompile("(?s)```(python|sql)\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
		if block[1] == "python" {
			open += block[2]
			continue
		}
		queries = append(queries, block[2])
	}
	if open == "" || len(queries) != 7 {
		t.Fatalf("%d queries on the page", len(queries))
	}
	for _, column := range export.Columns() {
		if !strings.Contains(string(page), "`"+column.Name+"`") {
			t.Errorf("the page does not describe the column %s", column.Name)
		}
	}
	dir := t.TempDir()
	asked, err := json.Marshal(queries)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"open.py": open, "queries.json": string(asked), "run.py": runsGuide} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f := &feed{epoch: "e1"}
	f.fill(1, 10, 5)
	f.add("p1", 1, eventstore.Event{Type: "license.promised", Schema: 1, Occurred: start, Recorded: start.Add(time.Hour),
		Data: []byte(`{"license":"p","device":"d","title":"x-1","studio":"x","plan":"basic","at":"2026-11-01T12:00:00Z","expires":"2026-11-01T13:00:00Z","limits":{},"rules":"r","terms":"t","decided_on":[{"dependency":"catalog","source":"stale","age_s":9}],"over":["device_limit"]}`)})
	f.add("p1", 2, eventstore.Event{Type: "license.confirmed", Schema: 1, Occurred: start, Recorded: start, Data: []byte(`{"license":"p","at":"2026-11-01T12:00:00Z","expires":"2026-11-02T12:00:00Z"}`)})
	if _, err := export.Run(t.Context(), config(t, f, folder(t, filepath.Join(dir, "events")), export.Parquet)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(env, "bin", "python"), "run.py")
	cmd.Dir = dir
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, errs.String())
	}
	var found [][][]string
	if err := json.Unmarshal(out, &found); err != nil || len(found) != len(queries) {
		t.Fatalf("%v in %s", err, out)
	}
	if plays := found[1]; len(plays) == 0 || plays[0][0] != "meridian" {
		t.Errorf("plays of studios: %v", plays)
	}
	if late := found[2]; len(late) != 5 || strings.Join(late[2], " ") != "license.played 38 60.0 60.0" {
		t.Errorf("late reports: %v", late)
	}
	for i, want := range map[int]string{3: "catalog stale 1", 4: "1 1 1", 5: "license.shared 9 2", 6: ""} {
		var rows []string
		for _, row := range found[i] {
			rows = append(rows, strings.Join(row, " "))
		}
		if got := strings.Join(rows, "; "); got != want {
			t.Errorf("query %d: %s, want %s\n%s", i, got, want, queries[i])
		}
	}
}

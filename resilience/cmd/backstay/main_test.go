package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/backstay-go/backstay/internal/cli"
	"github.com/backstay-go/backstay/internal/goldentest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// play runs a command line as a shell would, in the current folder, and returns what a
// terminal shows: standard output, standard error with marked before each line, and
// the status, unless it is 0.
func play(t *testing.T, line, marked string) string {
	t.Helper()
	words := strings.Fields(line)
	var environ []string
	for len(words) > 0 && strings.Contains(words[0], "=") {
		environ, words = append(environ, words[0]), words[1:]
	}
	if len(words) == 0 || words[0] != "backstay" {
		t.Fatalf("%q is not a command of backstay", line)
	}
	var out, errs bytes.Buffer
	streams := &cli.Streams{In: strings.NewReader(""), Out: &out, Err: &errs, Environ: environ}
	status := cli.Run(t.Context(), program(streams), streams, words[1:])
	text := out.String()
	for l := range strings.Lines(errs.String()) {
		text += marked + l
	}
	if status != 0 {
		text += fmt.Sprintf("[status %d]\n", status)
	}
	return text
}

// replayed runs each "$ backstay ..." line of a session, and returns the session as it
// is now. Lines before the first command and comments (#) after a blank line stay.
func replayed(t *testing.T, session, marked string) string {
	t.Helper()
	var b strings.Builder
	output := false
	for l := range strings.Lines(session) {
		command, ok := strings.CutPrefix(l, "$ ")
		switch {
		case ok:
			b.WriteString(l + play(t, strings.TrimSpace(command), marked))
			output = true
		case !output, strings.HasPrefix(l, "# "):
			b.WriteString(l)
		}
	}
	return b.String()
}

// TestSessions holds what people type and see, by testdata/*.session. Lines of
// standard error begin with "! ".
func TestSessions(t *testing.T) {
	files, err := filepath.Glob("testdata/*.session")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".session"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			t.Chdir("testdata")
			goldentest.Equal(t, filepath.Join(here, file), replayed(t, string(want), "! "))
		})
	}
}

// docs are the pages with sessions, and the folder that each assumes, from the root.
var docs = map[string]string{
	"docs/how-to/replay-an-incident.md": "docs/how-to/replay-an-incident",
	"docs/reference/policy-file.md":     "docs/how-to/replay-an-incident",
}

// TestSessionsInDocs runs what the pages say, and compares what they show.
func TestSessionsInDocs(t *testing.T) {
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	for page, folder := range docs {
		t.Run(filepath.Base(page), func(t *testing.T) {
			file := filepath.Join(root, page)
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			// Pages written by simulate --html must not stay.
			there := t.TempDir()
			if err := os.CopyFS(there, os.DirFS(filepath.Join(root, folder))); err != nil {
				t.Fatal(err)
			}
			t.Chdir(there)
			const fence = "```console\n"
			parts := strings.Split(string(want), fence)
			for i := range parts[1:] {
				session, rest, ok := strings.Cut(parts[i+1], "```\n")
				if !ok {
					t.Fatal("a fence is not closed")
				}
				parts[i+1] = replayed(t, session, "") + "```\n" + rest
			}
			if len(parts) == 1 {
				t.Error("the page has no session")
			}
			goldentest.Equal(t, file, strings.Join(parts, fence))
		})
	}
}

// TestNoHalfWrittenPage: what can't be written whole is not there.
func TestNoHalfWrittenPage(t *testing.T) {
	incident, err := filepath.Abs("../../../docs/how-to/replay-an-incident")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	simulate := "backstay simulate --policy " + incident + "/new.yaml " + incident + "/catalog.record --html "
	if text := play(t, simulate+"none/page.html", "! "); !strings.Contains(text, "! backstay: write none/page.html: ") || !strings.HasSuffix(text, "[status 1]\n") {
		t.Error(text)
	}
	if text := play(t, simulate+"page.html", "! "); strings.Contains(text, "!") {
		t.Error(text)
	}
	files, err := os.ReadDir(".")
	if err != nil || len(files) != 1 || files[0].Name() != "page.html" {
		t.Errorf("%v, %v", files, err)
	}
}

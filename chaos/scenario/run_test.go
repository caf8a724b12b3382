package scenario_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/backstay-go/backstay/chaos/report"
	"github.com/backstay-go/backstay/chaos/scenario"
)

// recorded is a test whose failures are kept.
type recorded struct {
	*testing.T
	dir  string
	said []string
}

func (r *recorded) ArtifactDir() string          { return r.dir }
func (r *recorded) Logf(format string, a ...any) { r.T.Logf(format, a...) }
func (r *recorded) Errorf(format string, a ...any) {
	r.said = append(r.said, fmt.Sprintf(format, a...))
}

// TestRunIsATestInALine: it fails the test unless the verdict is passed, and names the
// seed; the report is kept either way.
func TestRunIsATestInALine(t *testing.T) {
	s := parse(t, text)
	for name, c := range map[string]struct {
		target *simpleTarget
		want   report.Verdict
		says   string
	}{
		"it stands":  {&simpleTarget{system: &simple{fallback: true}}, report.Passed, ""},
		"it falls":   {&simpleTarget{system: &simple{}}, report.Failed, "scenario gone: failed (seed 7)"},
		"it is none": {&simpleTarget{system: &simple{}, refuse: errGone}, "", "scenario gone: "},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				r := &recorded{T: t, dir: dir}
				rep := scenario.Run(r, c.target, s)
				if rep == nil && c.want != "" || rep != nil && rep.Verdict != c.want {
					t.Fatalf("report %+v, want %q", rep, c.want)
				}
				if said := strings.Join(r.said, "\n"); (said == "") != (c.says == "") || !strings.HasPrefix(said, c.says) {
					t.Errorf("it said %q, want %q", said, c.says)
				}
				if rep == nil {
					return
				}
				if want := "go test -run '^TestRunIsATestInALine$/^"; !strings.HasPrefix(rep.Command, want) {
					t.Errorf("the command is %q", rep.Command)
				}
				for _, ext := range []string{".html", ".json", ".xml"} {
					if _, err := os.Stat(filepath.Join(dir, "gone"+ext)); err != nil {
						t.Error(err)
					}
				}
			})
		})
	}
}

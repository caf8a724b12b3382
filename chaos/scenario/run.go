package scenario

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/backstay-go/backstay/chaos/report"
)

// T has the methods of *testing.T that Run needs.
type T interface {
	Helper()
	Name() string
	Context() context.Context
	ArtifactDir() string
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
}

// Run plays a scenario within a test, which fails unless the verdict is passed. It
// returns the report, or nil if there is none. The page is kept with go test
// -artifacts.
func Run(t T, target Target, s Scenario) *report.Report {
	t.Helper()
	rep, err := Play(t.Context(), s, Config{Target: target, Command: fmt.Sprintf("go test -run '^%s$'", strings.ReplaceAll(t.Name(), "/", "$/^"))})
	if err != nil {
		t.Errorf("scenario %s: %v", s.Name, err)
	}
	if rep == nil {
		return nil
	}
	page, err := rep.Save(t.ArtifactDir(), s.Name)
	if err != nil {
		t.Errorf("scenario %s: %v", s.Name, err)
	}
	if rep.Verdict != report.Passed {
		t.Errorf("scenario %s: %s (seed %d)\n%s", s.Name, rep.Verdict, rep.Seed, rep.Text())
		t.Logf("the report is %s; go test -artifacts keeps it", filepath.Base(page))
	}
	return rep
}

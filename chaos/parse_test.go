package chaos_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/internal/goldentest"
	"github.com/backstay-go/backstay/internal/strictyaml"
)

// golden compares with a file below testdata; UPDATE_GOLDEN=1 writes it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	goldentest.Equal(t, filepath.Join("testdata", name), got)
}

// TestBadPlans parses each plan of testdata/bad and compares all that is said
// about it.
func TestBadPlans(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no bad plans", err)
	}
	var all strings.Builder
	for _, file := range files {
		plan, err := chaos.Load(file)
		var pe *chaos.PlanError
		if !errors.As(err, &pe) || !errors.Is(err, chaos.ErrPlan) {
			t.Errorf("%s: error is %v, want a *PlanError", file, err)
			continue
		}
		if len(plan.Rules) > 0 {
			t.Errorf("%s: an error and a plan", file)
		}
		all.WriteString("# " + filepath.Base(file) + "\n" + err.Error() + "\n\n")
	}
	golden(t, "bad.golden", all.String())
}

// TestGoodPlans prints each plan of testdata/good, and parses what was printed.
func TestGoodPlans(t *testing.T) {
	files, err := filepath.Glob("testdata/good/*")
	if err != nil || len(files) == 0 {
		t.Fatal("no good plans", err)
	}
	for _, file := range files {
		plan, err := chaos.Load(file)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		again, err := chaos.Parse("printed", []byte(plan.String()))
		if err != nil {
			t.Errorf("%s: what it prints as: %v\n%s", file, err, plan)
			continue
		}
		if again.String() != plan.String() {
			t.Errorf("%s: printed twice, two texts\n%s\n%s", file, plan, again)
		}
		asJSON, err := chaos.Parse("printed.json", plan.JSON())
		if err != nil {
			t.Errorf("%s: its JSON: %v\n%s", file, err, plan.JSON())
			continue
		}
		if asJSON.String() != plan.String() {
			t.Errorf("%s: JSON and YAML differ", file)
		}
	}
}

func TestAMissingFileIsNotABadPlan(t *testing.T) {
	_, err := chaos.Load(filepath.Join(t.TempDir(), "none.yaml"))
	if !errors.Is(err, os.ErrNotExist) || errors.Is(err, chaos.ErrPlan) {
		t.Errorf("error is %v", err)
	}
}

func TestHostileTextsAreRefused(t *testing.T) {
	for name, text := range map[string]string{
		"too long":      "name: " + strings.Repeat("x", 2<<20),
		"deep brackets": strings.Repeat("[", 100_000),
		"deep dashes":   strings.Repeat("- ", 50_000),
		"binary":        "name: \x00\x01",
		"not UTF-8":     "name: \xff\xfe",
		"empty":         "",
		"comment only":  "# nothing\n",
		"two documents": "name: a\n---\nname: b\n",
		"alias bomb":    "name: &a x\nrules: [*a, *a]\n",
	} {
		if _, err := chaos.Parse("plan.yaml", []byte(text)); !errors.Is(err, chaos.ErrPlan) {
			t.Errorf("%s: error is %v", name, err)
		}
	}
}

// TestChecksAreToldWithTheirLines: what only the place of a plan can know, in addition to what is
// wrong with the plan itself.
func TestChecksAreToldWithTheirLines(t *testing.T) {
	names := func(p chaos.Plan) error {
		return errors.Join(p.CheckNames(chaos.Known{Dependencies: []string{"catalog"}}), errors.New("not today"))
	}
	text := "rules:\n  - where: {dependency: catalogue}\n    what: {kind: hang}\n  - what: {kind: hangs}\n"
	_, err := chaos.Parse("plan.yaml", []byte(text), names)
	if !errors.Is(err, chaos.ErrPlan) {
		t.Fatalf("%v", err)
	}
	for _, says := range []string{`plan.yaml:2:13: error: rules[0].where.dependency: "rule 1": no dependency is called "catalogue"; did you mean "catalog"?`,
		"    2 |   - where: {dependency: catalogue}\n", "plan.yaml:4:", `did you mean "hang"?`, "not today"} {
		if !strings.Contains(err.Error(), says) {
			t.Errorf("%q is not in\n%v", says, err)
		}
	}
	if _, err := chaos.Parse("plan.yaml", []byte("rules: []"), func(chaos.Plan) error { return nil }); err != nil {
		t.Error(err)
	}
}

func TestKeysAreThoseAtTheTop(t *testing.T) {
	for text, want := range map[string]string{
		"rules:\n  - name: load\nseed: 1\n": "[rules seed]", `{"load": [], "name": "x"}`: "[load name]",
		"": "[]", "- a": "[]", "a: [": "[]", "\x00": "[]", "text": "[]",
	} {
		if got := fmt.Sprint(strictyaml.Keys([]byte(text))); got != want {
			t.Errorf("%q has %s, want %s", text, got, want)
		}
	}
}

// FuzzParse: whatever parses prints as text that parses to the same plan.
func FuzzParse(f *testing.F) {
	for _, dir := range []string{"good", "bad"} {
		files, err := filepath.Glob("testdata/" + dir + "/*")
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		keys := strictyaml.Keys(text)
		plan, err := chaos.Parse("fuzz.yaml", text)
		if err == nil && !slices.Contains(keys, "rules") && len(plan.Rules) > 0 {
			t.Errorf("a plan with rules has the keys %q", keys)
		}
		if err != nil {
			if !errors.Is(err, chaos.ErrPlan) || len(err.Error()) == 0 {
				t.Fatalf("error is %v", err)
			}
			return
		}
		printed := plan.String()
		again, err := chaos.Parse("printed.yaml", []byte(printed))
		if err != nil {
			t.Fatalf("%v\nprinted:\n%s", err, printed)
		}
		if again.String() != printed {
			t.Fatalf("printed:\n%s\nthen:\n%s", printed, again)
		}
		if _, err := chaos.Parse("printed.json", plan.JSON()); err != nil {
			t.Fatalf("%v\nJSON:\n%s", err, plan.JSON())
		}
	})
}

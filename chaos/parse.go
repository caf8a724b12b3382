package chaos

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/backstay-go/backstay/internal/strictyaml"
)

// Load reads a plan from a YAML or JSON file, as Parse does.
func Load(file string, checks ...func(Plan) error) (Plan, error) {
	text, err := strictyaml.ReadFile(file)
	if err != nil {
		return Plan{}, fmt.Errorf("chaos: read plan: %w", err)
	}
	return Parse(file, text, checks...)
}

// Parse reads a plan from YAML or JSON text; file is its name in errors. It accepts only what it
// understands entirely: unknown words, wrong types, durations without a unit and contradictions
// are problems, and all of them are reported at once. The error about the content is a *PlanError
// with each problem's line, an excerpt and, for a misspelt word, a suggestion. Anchors, aliases
// and merges (<<) work.
//
// Checks are further checks of the plan, such as its CheckNames. What they find is reported with
// its line too. They may be called with a plan that has other problems.
func Parse(file string, text []byte, checks ...func(Plan) error) (Plan, error) {
	var plan Plan
	check := func() error {
		errs := []error{plan.Check()}
		for _, c := range checks {
			errs = append(errs, c(plan))
		}
		return errors.Join(errs...)
	}
	if err := Decode(file, text, &plan, "plan", check); err != nil {
		return Plan{}, err
	}
	return plan, nil
}

// Decode reads YAML or JSON text into a struct with yaml tags, as strictly as Parse does. Other
// packages use it for files that contain a plan. Noun is what errors call the file. Check finds
// what is wrong with the decoded values: each Problem of its *PlanError is located in the file by
// its Field, even if several errors are joined. The error about the content is a *PlanError; the
// caller must then not use into.
func Decode(file string, text []byte, into any, noun string, check func() error) error {
	d := format(noun).Parse(file, text)
	d.Decode(into)
	d.Check(strictyaml.Problems(check())...)
	return d.Err()
}

// format says how files that contain faults are read.
func format(noun string) strictyaml.Format {
	f := strictyaml.Format{
		Noun: noun, Kind: ErrPlan,
		Values: map[reflect.Type][]string{reflect.TypeFor[Kind](): kindNames()},
		Parts: []reflect.Type{
			reflect.TypeFor[Rule](), reflect.TypeFor[Plan](), reflect.TypeFor[Where](), reflect.TypeFor[When](),
			reflect.TypeFor[Often](), reflect.TypeFor[What](), reflect.TypeFor[Whom](),
		},
	}
	if noun == "plan" {
		f.Example = `"rules: []"`
	}
	return f
}

// kindNames lists the names of the kinds of faults.
func kindNames() (names []string) {
	for _, k := range Kinds() {
		names = append(names, string(k.Kind))
	}
	return names
}

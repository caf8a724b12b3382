package scenario

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/internal/strictyaml"
	"github.com/backstay-go/backstay/internal/suggest"
)

// Parse reads a scenario from YAML or JSON text; file is its name in errors. It is as
// strict as chaos.Parse: unknown words, wrong types, durations without a unit and
// contradictions are problems, all of them reported at once in a *chaos.PlanError.
//
// Checks are further checks, such as a target's Check, for a scenario that has no other
// problems. What they find is reported with its line too.
func Parse(file string, text []byte, checks ...func(Scenario) error) (Scenario, error) {
	var s Scenario
	check := func() error {
		if err := s.Check(); err != nil {
			return err
		}
		var errs []error
		for _, c := range checks {
			errs = append(errs, c(s))
		}
		return errors.Join(errs...)
	}
	if err := chaos.Decode(file, text, &s, "scenario", check); err != nil {
		return Scenario{}, err
	}
	return s, nil
}

// Load reads a scenario from a file, as Parse does.
func Load(file string, checks ...func(Scenario) error) (Scenario, error) {
	text, err := strictyaml.ReadFile(file)
	if err != nil {
		return Scenario{}, fmt.Errorf("scenario: %w", err)
	}
	return Parse(file, text, checks...)
}

// String returns the scenario as YAML that parses to the same scenario.
func (s Scenario) String() string { return strictyaml.Encode(&s) }

// Check returns every problem at once, in a *chaos.PlanError.
func (s Scenario) Check() error {
	if p := s.problems(); len(p) > 0 {
		return chaos.NewPlanError(p...)
	}
	return nil
}

// CheckFaults applies a check of plans, such as one of names, to the scenario's faults. The
// rules of the plan are the scenario's faults, and problems are reported as such.
func (s Scenario) CheckFaults(check func(chaos.Plan) error) error {
	var bad *chaos.PlanError
	err := check(s.Plan())
	if !errors.As(err, &bad) {
		return err
	}
	renamed := chaos.NewPlanError(slices.Clone(bad.Problems)...)
	for i, p := range renamed.Problems {
		if rest, ok := strings.CutPrefix(p.Field, "rules"); ok {
			renamed.Problems[i].Field = "faults" + rest
		}
	}
	return renamed
}

// checker collects problems.
type checker []chaos.Problem

func (c *checker) add(field, format string, args ...any) {
	*c = append(*c, chaos.Problem{Field: field, Message: fmt.Sprintf(format, args...)})
}

func (c *checker) share(field string, p *float64) {
	if p != nil && !(*p >= 0 && *p <= 1) {
		c.add(field, "is %g: give a share from 0 to 1", *p)
	}
}

func (s Scenario) problems() []chaos.Problem {
	var c checker
	if s.Name == "" || strings.Trim(s.Name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		c.add("name", "is %q: give a word of small letters, digits and hyphens; reports are called after it", s.Name)
	}
	for field, d := range map[string]time.Duration{"deadline": s.Deadline, "margin": s.Margin, "steady.p99": s.Steady.P99, "recovery.within": s.Recovery.Within} {
		if d < 0 {
			c.add(field, "is %s: give a duration above zero, or leave it out", d)
		}
	}
	if s.Requests < 0 {
		c.add("requests", "is %d: give a number above zero, or leave it out", s.Requests)
	}
	c.share("steady.good", s.Steady.Good)
	c.share("recovery.good", s.Recovery.Good)
	s.checkLoad(&c)
	s.checkFaults(&c)
	for i, stop := range s.Stop {
		at := fmt.Sprintf("stop[%d]", i)
		word, _, _, err := parseMeasure(stop.Measure)
		switch {
		case err != nil:
			c.add(at+".measure", "%v", err)
		case !isShare(word):
			c.add(at+".measure", "%q is no share of requests, and only such can stop a run", stop.Measure)
		}
		if (stop.MoreThan == nil) == (stop.LessThan == nil) {
			c.add(at, "give one of more_than and less_than")
		}
		c.share(at+".more_than", stop.MoreThan)
		c.share(at+".less_than", stop.LessThan)
	}
	for i, check := range s.Checks {
		s.checkCheck(&c, fmt.Sprintf("checks[%d]", i), check)
	}
	if s.HTTP != nil {
		s.HTTP.problems(&c)
		s.HTTP.carried(&c, s.Faults)
	}
	switch {
	case s.HTTP == nil && s.Target == TargetHTTP:
		c.add("http", "is missing: target: %s needs the description of a system", TargetHTTP)
	case s.HTTP != nil && s.TargetName() != TargetHTTP:
		c.add("target", "is %q, and http describes a system: leave one of them out", s.Target)
	}
	return c
}

func (s Scenario) checkLoad(c *checker) {
	if len(s.Load) == 0 {
		c.add("load", "is missing: give stages, like {for: 5s, per_second: 40}")
	}
	for i, stage := range s.Load {
		if stage.For <= 0 {
			c.add(fmt.Sprintf("load[%d].for", i), "is %s: give a duration above zero", stage.For)
		}
		if !(stage.PerSecond > 0) {
			c.add(fmt.Sprintf("load[%d].per_second", i), "is %g: give a rate above zero", stage.PerSecond)
		}
	}
}

func (s Scenario) checkFaults(c *checker) {
	var plan *chaos.PlanError
	if errors.As(s.CheckFaults(chaos.Plan.Check), &plan) {
		*c = append(*c, plan.Problems...)
	}
	length := s.Length()
	for i, r := range s.Faults {
		if r.When.From >= length && length > 0 {
			c.add(fmt.Sprintf("faults[%d].when.from", i), "is %s, and the load ends after %s", r.When.From, length)
		}
	}
	var names []string
	for i := range s.Faults {
		names = append(names, s.Plan().RuleName(i))
	}
	for _, name := range slices.Sorted(maps.Keys(s.Expected)) {
		if !slices.Contains(names, name) {
			c.add("expected."+name, "no fault is called %q%s There are: %s", name, cmp.Or(suggest.Phrase(name, slices.Values(names)), "."), strings.Join(names, ", "))
		}
	}
	for i, a := range s.Actions {
		at := fmt.Sprintf("actions[%d]", i)
		if a.Do == "" {
			c.add(at+".do", "is missing: name what is done")
		}
		if a.At < 0 || a.At >= length && length > 0 {
			c.add(at+".at", "is %s, and the load lasts from 0 to %s", a.At, length)
		}
	}
	if from, to, ok := s.Disturbed(); ok && length > 0 {
		if from == 0 {
			c.add("faults", "begin at 0: leave some time before the first, or nobody knows what is normal")
		}
		within := s.withDefaults().Recovery.Within
		if to+within >= length {
			c.add("load", "ends after %s, but the last fault ends after %s and recovery may take %s: let it last longer, or the faults end earlier", length, to, within)
		}
	}
}

func (s Scenario) checkCheck(c *checker, at string, check Check) {
	if check.Name == "" {
		c.add(at+".name", "is missing: say what is promised")
	}
	_, _, timed, err := parseMeasure(check.Measure)
	if err != nil {
		c.add(at+".measure", "%v", err)
		return
	}
	switch {
	case timed && (check.Within <= 0 || check.AtLeast != nil || check.AtMost != nil):
		c.add(at, "%s is a time: give within, and nothing else", check.Measure)
	case !timed && check.Within != 0:
		c.add(at+".within", "%s is no time: give at_least or at_most", check.Measure)
	case !timed && check.AtLeast == nil && check.AtMost == nil:
		c.add(at, "has no bound: give at_least or at_most")
	}
	if _, err := s.during(check.During); err != nil {
		c.add(at+".during", "%v", err)
	}
}

// during returns the span that a check looks at.
func (s Scenario) during(name string) (span, error) {
	from, to, ok := s.Disturbed()
	length := s.Length()
	if !ok {
		from, to = length, length
	}
	switch name {
	case "", "faults":
		return span{from, to}, nil
	case "before":
		return span{0, from}, nil
	case "after":
		return span{min(length, to+s.withDefaults().Recovery.Within), length}, nil
	case "all":
		return span{0, length}, nil
	}
	plan := s.Plan()
	for i := range plan.Rules {
		if plan.RuleName(i) == name {
			from, to := plan.Window(i)
			return span{from, min(to, length)}, nil
		}
	}
	return span{}, fmt.Errorf("is %q: give before, faults, after, all, or the name of a fault", name)
}

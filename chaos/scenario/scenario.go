package scenario

import (
	"time"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/load"
)

// Defaults of a scenario, in one place.
const (
	// DefaultDeadline is the deadline of a request, and DefaultMargin how much later its
	// answer may reach the client.
	DefaultDeadline = 2 * time.Second
	DefaultMargin   = 250 * time.Millisecond
	// DefaultRequests is the smallest number of requests that is enough for a verdict.
	DefaultRequests = 50
	// DefaultGood is the share of requests that is served in the steady state, and again
	// after recovery.
	DefaultGood = 0.95
	// DefaultRecovery is how long recovery may take.
	DefaultRecovery = 3 * time.Second
	// DefaultStopOver is the stretch that a stop condition looks at.
	DefaultStopOver = 2 * time.Second
)

// Scenario is an experiment. It is plain data: copy it, but do not change one that is
// being played. Times count from the start of the load.
type Scenario struct {
	Name   string `yaml:"name" doc:"a word; reports are called after it"`
	Title  string `yaml:"title" doc:"what is tried, in a line; default the name"`
	About  string `yaml:"about" doc:"why, and what is expected, in a few sentences"`
	Target string `yaml:"target" doc:"the system under test, for commands, which know some by name; default http if http is given"`
	// Settings are the settings of the target.
	Settings map[string]string `yaml:"settings" doc:"what the target should be like; its own words"`
	Seed     uint64            `yaml:"seed" doc:"decides load and faults; the same seed gives the same"`

	Deadline time.Duration `yaml:"deadline" doc:"what a request has; default 2s"`
	Margin   time.Duration `yaml:"margin" doc:"how much later an answer may reach the client; default 250ms"`
	Requests int           `yaml:"requests" doc:"the least number of requests for a verdict; default 50"`

	Load   []Stage      `yaml:"load" doc:"the load, stage after stage, whatever the answers do"`
	Steady Steady       `yaml:"steady" doc:"what must hold before the first fault, or the run stops, undecided"`
	Faults []chaos.Rule `yaml:"faults" doc:"rules, as in a plan of faults"`
	// Expected says, by the name of a fault, what is meant to be bad while it lasts.
	Expected map[string]string `yaml:"expected" doc:"by the name of a fault: what is meant to be bad while it lasts, in a few words for the reader"`
	Actions  []Action          `yaml:"actions" doc:"what else is done to the system, like a deployment"`
	Stop     []Stop            `yaml:"stop" doc:"when to end all faults and the load at once: the run has failed"`
	Recovery Recovery          `yaml:"recovery" doc:"what must hold after the last fault"`
	Checks   []Check           `yaml:"checks" doc:"what must have been seen"`

	// HTTP describes a system that runs already; HTTPTarget plays it.
	HTTP *HTTP `yaml:"http" doc:"a system that runs already, and its requests"`

	_ struct{}
}

// Stage is a stretch of time with a steady mean rate of requests.
type Stage struct {
	For       time.Duration `yaml:"for" doc:"how long"`
	PerSecond float64       `yaml:"per_second" doc:"mean rate of requests"`

	_ struct{}
}

// Steady is the hypothesis: what the system does while nothing is wrong.
type Steady struct {
	Good *float64      `yaml:"good" doc:"share of requests that are served; default 0.95"`
	P99  time.Duration `yaml:"p99" doc:"most that 99 of 100 requests take; default: not looked at"`

	_ struct{}
}

// Action is something that is done to the system in addition to faults. The target defines
// the actions that it knows.
type Action struct {
	At   time.Duration     `yaml:"at" doc:"when, from the start"`
	Do   string            `yaml:"do" doc:"what; a word of the target's"`
	With map[string]string `yaml:"with" doc:"its parameters"`

	_ struct{}
}

// Stop is a condition that ends a run early, because going on would only do harm.
type Stop struct {
	Measure  string        `yaml:"measure" doc:"a share, as in checks"`
	MoreThan *float64      `yaml:"more_than" doc:"stop above it"`
	LessThan *float64      `yaml:"less_than" doc:"stop below it"`
	Over     time.Duration `yaml:"over" doc:"measured over that long until now; default 2s"`

	_ struct{}
}

// Recovery is what must hold after the last fault or action.
type Recovery struct {
	Within time.Duration `yaml:"within" doc:"how soon after the last fault; default 3s"`
	Good   *float64      `yaml:"good" doc:"share of requests that are served from then to the end; default 0.95"`

	_ struct{}
}

// Length returns how long the load lasts.
func (s Scenario) Length() time.Duration { return load.Length(s.stages()) }

// Plan returns the faults as a plan. A rule without an end ends with the load.
func (s Scenario) Plan() chaos.Plan {
	return chaos.Plan{Name: s.title(), Seed: s.Seed, TTL: max(s.Length(), time.Second), Rules: s.Faults}
}

// Disturbed returns when the first fault or action begins and when the last one ends; ok is
// false if there is none.
func (s Scenario) Disturbed() (from, to time.Duration, ok bool) {
	plan := s.Plan()
	from = s.Length()
	for i := range plan.Rules {
		f, t := plan.Window(i)
		from, to, ok = min(from, f), max(to, t), true
	}
	for _, a := range s.Actions {
		from, to, ok = min(from, a.At), max(to, a.At), true
	}
	return from, min(to, s.Length()), ok
}

func (s Scenario) stages() []load.Stage {
	var stages []load.Stage
	for _, stage := range s.Load {
		stages = append(stages, load.Stage{For: stage.For, PerSecond: stage.PerSecond})
	}
	return stages
}

// TargetName returns Target, or TargetHTTP if the scenario describes its system itself and
// names no target.
func (s Scenario) TargetName() string {
	if s.Target == "" && s.HTTP != nil {
		return TargetHTTP
	}
	return s.Target
}

func (s Scenario) title() string {
	if s.Title != "" {
		return s.Title
	}
	return s.Name
}

// withDefaults fills in what was left out.
func (s Scenario) withDefaults() Scenario {
	def := func(p **float64, v float64) {
		if *p == nil {
			*p = &v
		}
	}
	s.Target = s.TargetName()
	if s.Deadline == 0 {
		s.Deadline = DefaultDeadline
	}
	if s.Margin == 0 {
		s.Margin = DefaultMargin
	}
	if s.Requests == 0 {
		s.Requests = DefaultRequests
	}
	if s.Recovery.Within == 0 {
		s.Recovery.Within = DefaultRecovery
	}
	def(&s.Steady.Good, DefaultGood)
	def(&s.Recovery.Good, DefaultGood)
	return s
}

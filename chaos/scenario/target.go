package scenario

import (
	"context"
	"io"
	"time"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/load"
	"github.com/backstay-go/backstay/chaos/report"
)

// Target makes systems under test. It must be safe for concurrent use.
type Target interface {
	// Check reports what the scenario asks for but the target does not have: settings,
	// dependencies, nodes, actions. The problems of a *chaos.PlanError, or of several that
	// are joined, are reported with their lines in the file.
	Check(Scenario) error
	// Start starts a system, with the injector's faults in front of each of its
	// dependencies. If it returns an error, nothing may be left running.
	Start(ctx context.Context, setup Setup) (System, error)
}

// Setup is what a target needs to start a system.
type Setup struct {
	// Scenario has its defaults filled in.
	Scenario Scenario
	// Injector decides which faults happen; it is started with the load.
	Injector *chaos.Injector
	// Dir is a folder for the system alone; the player removes it after the run.
	Dir string
	// Out receives messages of the system while it starts and runs.
	Out io.Writer
	// Protocols lists the protocols that faults may use in addition to those in the scenario.
	// The target must start proxies for them between the system and its dependencies.
	Protocols []string
	// Run is different in every run, also with the same seed; see TraceID.
	Run uint64
	_   struct{}
}

// Sharer is a Target with parts that take long to start, and that the runs of an
// enumeration can share. Share starts these parts in the folder. The Target that it returns
// uses them, and close ends them.
type Sharer interface {
	Share(ctx context.Context, s Scenario, dir string) (t Target, close func() error, err error)
}

// System is a running system under test. Play calls Send and the abilities below
// concurrently, then Judge, then Close.
type System interface {
	// Labels says how to read what the system answers.
	Labels() Labels
	// Send makes the nth request, waits for its answer, and describes the result: ID,
	// Kind, Outcome, Means, Sources. It must not give up before the scenario's deadline
	// and margin have passed. The caller finds out whether the answer was late.
	Send(ctx context.Context, n int) load.Sample
	// Judge waits until the system has settled and compares it with its promises. It gets
	// the samples of all requests that were sent, as they are reported.
	Judge(ctx context.Context, samples []load.Sample) ([]report.Check, error)
	// Close ends the system.
	Close(ctx context.Context) error
}

// Labels says how to read a system's answers: what the report shows, in its order.
type Labels struct {
	// About says in a sentence what the system is.
	About string
	// Kinds are the kinds of requests.
	Kinds []string
	// Outcomes and Sources are the words that samples use, with their tones.
	Outcomes, Sources []report.Value
	// Dependencies are the keys of samples' sources.
	Dependencies []string
	_            struct{}
}

// DependencyReporter is a System that reports the state of its dependencies. Play calls it
// ten times per second.
type DependencyReporter interface {
	Dependencies() []Dependency
}

// Dependency is the state of a dependency, or of a node of one, at a moment.
type Dependency struct {
	Name string
	// State is the state of its circuit breaker (closed, half-open, open), or of a node
	// (running, paused, down).
	State string
	// Permits is how many permits of Limit are in use. A Limit of 0 means that there are no
	// permits.
	Permits, Limit int
	// Calls that were made, and attempts that were sent, since the start.
	Calls, Attempts uint64
	_               struct{}
}

// FaultApplier is a System that applies faults that no proxy can apply, such as those of
// nodes. ApplyFaults runs with the load until the context ends, and then undoes its faults.
type FaultApplier interface {
	ApplyFaults(ctx context.Context) error
}

// Actor is a System that can perform actions.
type Actor interface {
	Act(ctx context.Context, a Action) error
}

// View shows a Watch a run while it goes on.
type View struct {
	System   System
	Scenario Scenario
	Injector *chaos.Injector
	Load     *load.Run
	_        struct{}
}

// Config says how a scenario is played.
type Config struct {
	// Target is the system under test. Required.
	Target Target
	// Seed replaces the scenario's seed, if it is not zero.
	Seed uint64
	// Command is the command that plays the scenario again. The report shows it.
	Command string
	// Dir is where the run keeps its data. Empty: a temporary folder, which is removed
	// unless the run did not pass.
	Dir string
	// Out receives the progress of the run. If nil, nothing is written.
	Out io.Writer
	// Listeners receive each fault that is injected.
	Listeners []chaos.Listener
	// Watch is called on another goroutine when the load begins, and must return when its
	// context ends. Nil: nothing is called.
	Watch func(ctx context.Context, v View)
	// OnReport is called with the report while the system still runs and its faults can
	// still be changed. Play returns its error. Nil: the system ends at once.
	OnReport func(ctx context.Context, v View, r *report.Report) error
	_        struct{}
}

// tick is the interval at which the state of dependencies is read.
const tick = 100 * time.Millisecond

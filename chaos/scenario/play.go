package scenario

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/load"
	"github.com/backstay-go/backstay/chaos/report"
)

// ErrConfig matches the errors with which Play refuses to begin, before it sends any load or
// harms anything.
var ErrConfig = errors.New("scenario: invalid configuration")

// result is all that is known about a run when it is over.
type result struct {
	scenario Scenario
	injected map[string]uint64
	// byHand are the faults that a person injected during the run.
	byHand []report.Fault
	load   load.Result
	watch  *watch
	labels Labels
	domain []report.Check
	// stopped says why the run ended early. halted is true if the reason was that there was
	// no steady state.
	stopped, halted string
	// interrupted says that the context ended before the run did.
	interrupted bool
	problems    []string
}

// Play plays a scenario and returns its report. An error means that there is no
// verdict: the scenario is wrong, the system did not start, or the context ended. If the
// context ended after the load had begun, Play also returns a report of what was seen until
// then; its verdict is undecided. Everything that Play started has ended when it returns.
func Play(ctx context.Context, s Scenario, cfg Config) (*report.Report, error) {
	if cfg.Target == nil {
		return nil, fmt.Errorf("%w: Target is nil: give the system under test", ErrConfig)
	}
	if cfg.Seed != 0 {
		s.Seed = cfg.Seed
	}
	if cfg.Out == nil {
		cfg.Out = io.Discard
	}
	if err := s.Check(); err != nil {
		return nil, errors.Join(ErrConfig, err)
	}
	given := s
	s = s.withDefaults()
	if err := cfg.Target.Check(s); err != nil {
		return nil, errors.Join(ErrConfig, err)
	}
	dir, temporary, err := folder(cfg.Dir, s.Name)
	if err != nil {
		return nil, err
	}
	rep, err := play(ctx, s, given, cfg, dir)
	if !temporary {
		return rep, err
	}
	if err == nil && rep.Verdict != report.Passed {
		// Remove deletes only an empty folder, which is of no use to anybody.
		if os.Remove(dir) != nil {
			fmt.Fprintf(cfg.Out, "The run's data is kept in %s\n", dir)
		}
		return rep, nil
	}
	return rep, errors.Join(err, os.RemoveAll(dir))
}

func folder(dir, name string) (string, bool, error) {
	if dir != "" {
		abs, err := filepath.Abs(dir)
		if err == nil {
			err = os.MkdirAll(abs, 0o755)
		}
		if err != nil {
			return "", false, fmt.Errorf("scenario: a folder for the run's data: %w; give one that can be written", err)
		}
		return abs, false, nil
	}
	dir, err := os.MkdirTemp("", "scenario-"+name+"-")
	if err != nil {
		return "", false, fmt.Errorf("scenario: a folder for the run's data: %w", err)
	}
	return dir, true, nil
}

// play starts the system, plays, judges, reports, and ends the system. given is the
// scenario without its defaults, for the report.
func play(ctx context.Context, s, given Scenario, cfg Config, dir string) (_ *report.Report, err error) {
	relay := &relay{}
	injector, err := chaos.New(s.Plan(), chaos.Config{Listeners: append([]chaos.Listener{relay}, cfg.Listeners...)})
	if err != nil {
		return nil, err
	}
	system, err := cfg.Target.Start(ctx, Setup{Scenario: s, Injector: injector, Dir: dir, Out: cfg.Out, Run: rand.Uint64()})
	if err != nil {
		return nil, errors.Join(interrupted(ctx), fmt.Errorf("scenario: the system did not start: %w", err))
	}
	defer func() {
		injector.Stop()
		// The cancellation that ends the run must not keep the system from closing properly.
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		if e := system.Close(ending); e != nil {
			err = errors.Join(err, fmt.Errorf("scenario: the system did not end well: %w", e))
		}
	}()
	if err := s.checkNames(system); err != nil {
		return nil, errors.Join(ErrConfig, err)
	}
	relay.to(system)
	r := &result{scenario: s, watch: newWatch(system), labels: system.Labels()}
	if err := r.perform(ctx, cfg, system, injector); err != nil && ctx.Err() == nil {
		return nil, err
	}
	if err := interrupted(ctx); err != nil && len(r.load.Samples) == 0 {
		return nil, err
	}
	r.injected = injector.Stats().ByRule
	r.byHand = byHand(injector.Changes(), s.Length())
	if err := endFaults(injector); err != nil {
		return nil, err
	}
	if ctx.Err() == nil {
		r.domain, err = system.Judge(ctx, r.load.Samples)
	}
	if e := interrupted(ctx); e != nil {
		r.interrupted, r.domain = true, nil // The findings of Judge are then only a consequence.
		return r.report(given, cfg.Command), e
	}
	if err != nil {
		return nil, fmt.Errorf("scenario: the system can't be judged: %w", err)
	}
	rep := r.report(given, cfg.Command)
	if cfg.OnReport != nil {
		if err := cfg.OnReport(ctx, View{System: system, Scenario: s, Injector: injector}, rep); err != nil {
			return nil, err
		}
	}
	return rep, nil
}

// interrupted returns the error that the context ended before the run did, or nil.
func interrupted(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	return fmt.Errorf("scenario: interrupted: there is no verdict: %w", context.Cause(ctx))
}

// endFaults ends the faults that are open, and cancels those that have not begun. The plan's
// time goes on, so that a person can still inject other faults.
func endFaults(injector *chaos.Injector) error {
	now := injector.Elapsed()
	if now == 0 {
		return nil // A run that was stopped early has stopped them.
	}
	plan := injector.Plan()
	var over []chaos.Rule
	for i, r := range plan.Rules {
		from, to := plan.Window(i)
		r.Name = plan.RuleName(i)
		if from >= now {
			continue
		}
		if to > now {
			r.When.To = now
		}
		over = append(over, r)
	}
	plan.Rules = over
	return injector.Update(plan)
}

// perform plays load, faults and actions to the end, or to a stop.
func (r *result) perform(ctx context.Context, cfg Config, system System, injector *chaos.Injector) error {
	schedule, err := load.Schedule(r.scenario.stages(), r.scenario.Seed)
	if err != nil {
		return err
	}
	// Latency counts from the intended start, so a small lag is seen, not hidden.
	player, err := load.New(load.Config{Schedule: schedule, MaxLag: 250 * time.Millisecond, LagShare: 0.05})
	if err != nil {
		return err
	}
	loading, stop := context.WithCancel(ctx)
	defer stop()
	background, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	var wg sync.WaitGroup
	var harm error
	var acts []string
	injector.Start()
	start := time.Now()
	wg.Go(func() { r.watch.run(background, start) })
	wg.Go(func() { r.guard(background, player, injector, stop) })
	if cfg.Watch != nil {
		wg.Go(func() {
			cfg.Watch(background, View{System: system, Scenario: r.scenario, Injector: injector, Load: player})
		})
	}
	if h, ok := system.(FaultApplier); ok {
		wg.Go(func() { harm = h.ApplyFaults(background) })
	}
	if a, ok := system.(Actor); ok && len(r.scenario.Actions) > 0 {
		wg.Go(func() { acts = act(loading, a, r.scenario.Actions, start) })
	}
	r.load, err = player.Play(loading, func(_ context.Context, n int) load.Sample {
		// Even if the run is stopped, it waits for the answers to requests that were sent,
		// because their results must be known.
		began := time.Now()
		sample := system.Send(ctx, n)
		if took := time.Since(began); took > r.scenario.Deadline+r.scenario.Margin && sample.Means != load.Wrong {
			sample.Means = load.Late
			sample.Detail = fmt.Sprintf("took %s; %s", took.Round(time.Millisecond), sample.Detail)
		}
		if sample.Means != "" {
			sample.Good = sample.Means.Served()
		}
		return sample
	})
	end()
	wg.Wait()
	if err != nil {
		return err
	}
	if harm != nil && !errors.Is(harm, context.Canceled) {
		return fmt.Errorf("scenario: a fault could not be applied: %w", harm)
	}
	r.problems = acts
	return nil
}

// act performs the actions, each at its time.
func act(ctx context.Context, system Actor, actions []Action, start time.Time) (failed []string) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for _, a := range actions {
		timer.Reset(time.Until(start.Add(a.At)))
		select {
		case <-ctx.Done():
			return append(failed, fmt.Sprintf("%s at %s: the run had ended", a.Do, a.At))
		case <-timer.C:
		}
		if err := system.Act(ctx, a); err != nil {
			failed = append(failed, fmt.Sprintf("%s at %s: %v", a.Do, a.At, err))
		}
	}
	return failed
}

// guard ends the run if its steady state does not hold, or if a stop condition holds.
func (r *result) guard(ctx context.Context, player *load.Run, injector *chaos.Injector, stop func()) {
	from, _, disturbed := r.scenario.Disturbed()
	t := time.NewTicker(tick)
	defer t.Stop()
	judged := !disturbed
	var all []load.Sample
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		all = append(all, player.Since(len(all))...)
		began := player.Started()
		if began.IsZero() {
			continue
		}
		now := time.Since(began)
		// A little before the first fault, so that no request meets it.
		if !judged && now >= from-tick {
			judged = true
			if why := r.unsteady(samplesIn(all, span{0, from}, "")); why != "" {
				r.halted = why
			}
		}
		if r.halted == "" {
			r.stopped = r.stop(all, now)
		}
		if r.halted != "" || r.stopped != "" {
			injector.Stop()
			stop()
			return
		}
	}
}

// stop says which stop condition holds. It returns an empty text if none does.
func (r *result) stop(all []load.Sample, now time.Duration) string {
	for _, c := range r.scenario.Stop {
		over := c.Over
		if over == 0 {
			over = DefaultStopOver
		}
		if now < over {
			continue
		}
		word, names, _, err := parseMeasure(c.Measure)
		if err != nil {
			continue // Check refuses such a scenario.
		}
		// Samples are selected by the time of their answers, because the results of
		// unanswered requests are not known yet.
		var recent []load.Sample
		for _, s := range all {
			if s.Done >= now-over {
				recent = append(recent, s)
			}
		}
		if len(recent) == 0 {
			continue
		}
		v := share(recent, word, names)
		if c.MoreThan != nil && v > *c.MoreThan || c.LessThan != nil && v < *c.LessThan {
			return fmt.Sprintf("%s: %.1f %% of %d in the %s before %s", c.Measure, 100*v, len(recent), over, now.Round(tick))
		}
	}
	return ""
}

// relay passes the events of the faults on to the system, once it has started.
type relay struct {
	mu     sync.Mutex
	system chaos.Listener
}

func (l *relay) to(s System) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.system, _ = s.(chaos.Listener)
}

// Injected implements chaos.Listener.
func (l *relay) Handle(ctx context.Context, e chaos.Event) {
	l.mu.Lock()
	to := l.system
	l.mu.Unlock()
	if to != nil {
		to.Handle(ctx, e)
	}
}

package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/report"
	"github.com/backstay-go/backstay/chaos/scenario"
	"github.com/backstay-go/backstay/licensesvc/chaostest"
	"github.com/backstay-go/backstay/licensesvc/dashboard"
)

// ErrFailed is returned if the verdict is not "passed". The report says why.
var ErrFailed = errors.New("the demonstration did not pass")

// Config says how the demonstration is run.
type Config struct {
	// Scenario is the scenario to run; see SQLite and Cassandra.
	Scenario scenario.Scenario
	// Command is the command line that repeats the run. It is shown in the report.
	Command string
	// Listen is the address of the API and the dashboard.
	Listen string
	// Report is the folder in which the report is written.
	Report string
	// Seed determines the load and the faults. Zero: the scenario's seed.
	Seed uint64
	// Out receives the progress and the verdict. Terminal says that a person is watching: the
	// page then stays available until the context ends.
	Out      io.Writer
	Terminal bool
	// Log receives what an operator should know about the service. Default: nothing is logged.
	Log *slog.Logger
	// Getenv reads the environment.
	Getenv func(string) string
}

// Run runs the demonstration. The error matches ErrFailed if the run was complete and did not
// pass. The run's data is then kept, and the error says where.
func Run(ctx context.Context, cfg Config) error {
	if err := report.Writable(cfg.Report); err != nil {
		return err
	}
	demo := scenario.Config{
		Target: chaostest.Target{Listen: cfg.Listen, Getenv: cfg.Getenv, Log: cfg.Log,
			Faults: func(i *chaos.Injector) dashboard.Faults {
				return &faults{injector: i, buttons: buttonsFor(cfg.Scenario.Settings[chaostest.SettingStore])}
			}},
		Seed: cfg.Seed, Command: cfg.Command, Out: cfg.Out,
		Watch: func(ctx context.Context, v scenario.View) { newLive(cfg, v).run(ctx) },
	}
	var page string
	save := func(rep *report.Report) (err error) {
		page, err = rep.Save(cfg.Report, "demo")
		fmt.Fprintf(cfg.Out, "\n%s\nVerdict: %s. Report: %s\n", rep.Text(), rep.Verdict, page)
		return err
	}
	demo.OnReport = func(ctx context.Context, v scenario.View, rep *report.Report) error {
		if err := save(rep); err != nil {
			return err
		}
		if cfg.Terminal {
			fmt.Fprintln(cfg.Out, "The service stays up until Ctrl-C.")
			<-ctx.Done()
		}
		return nil
	}
	rep, err := scenario.Play(ctx, cfg.Scenario, demo)
	if err != nil && rep != nil { // The run was interrupted. The report shows what happened until then.
		err = errors.Join(err, save(rep))
	}
	if err != nil {
		return err
	}
	if rep.Verdict != report.Passed {
		return fmt.Errorf("%w: verdict %s; see %s", ErrFailed, rep.Verdict, page)
	}
	return nil
}

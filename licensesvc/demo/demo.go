package demo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/report"
	"github.com/backstay-go/backstay/chaos/scenario"
	"github.com/backstay-go/backstay/internal/cli"
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
	// Width is the number of columns of Out. Zero: 80. Style colours Out. Its zero value uses
	// no colours.
	Width int
	Style cli.Style
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
		Watch: func(ctx context.Context, v scenario.View) { newTerminal(cfg, v).run(ctx) },
	}
	var saved string
	save := func(rep *report.Report) (err error) {
		saved, err = rep.Save(cfg.Report, "demo")
		fmt.Fprintf(cfg.Out, "%s\n\n%s\n%s  %s\nReport  %s\n", legend, cfg.fit(rep.Text()), verdict(cfg.Style, rep.Verdict), rep.Summary(), address(saved))
		return err
	}
	demo.OnReport = func(ctx context.Context, v scenario.View, rep *report.Report) error {
		if err := save(rep); err != nil {
			return err
		}
		if cfg.Terminal {
			if s, ok := v.System.(*chaostest.System); ok {
				fmt.Fprintf(cfg.Out, "Page    %s\n", page(s))
			}
			fmt.Fprintln(cfg.Out, "A quiet load goes on: break something on the page; the verdict stands.\nCtrl-C ends it.")
			quietLoad(ctx, v)
			fmt.Fprintln(cfg.Out, "Stopped.")
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
		return fmt.Errorf("%w: verdict %s; see %s", ErrFailed, rep.Verdict, saved)
	}
	return nil
}

// fit shortens the lines of a text to the terminal. The report has them whole.
func (c Config) fit(text string) string {
	if !c.Terminal {
		return text
	}
	width := cmp.Or(c.Width, cli.DefaultWidth)
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = clip(line, width)
	}
	return strings.Join(lines, "\n")
}

// verdict returns the verdict for the terminal.
func verdict(style cli.Style, v report.Verdict) string {
	text := strings.ToUpper(string(v))
	switch v {
	case report.Passed:
		return style.Good(text)
	case report.Failed:
		return style.Bad(text)
	}
	return style.Poor(text)
}

// address returns a page's address, which terminals can open.
func address(page string) string {
	abs, err := filepath.Abs(page)
	if err != nil {
		return page
	}
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(abs)}).String()
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/backstay-go/backstay/internal/cli"
	"github.com/backstay-go/backstay/licensesvc/app"
	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/licensesvc/timeline"
	"github.com/backstay-go/backstay/licensesvc/wire"
)

// historyFlags are the flags of the history command.
type historyFlags struct {
	read                      readFlags
	license, at, version, dif string
	by                        string
	format                    cli.Format
}

func (t tool) history() *cobra.Command {
	var f historyFlags
	c := &cobra.Command{
		Use: "history MEMBER", Short: "show a member's state at a version or a time, and how two differ", Args: cobra.ExactArgs(1),
		Long: `Read the events of a member, also while the service runs, and show the state at their end,
after a number of events, or at a time. Nothing is changed.

A time can mean two things. By recorded time, the default, it is what the service knew
then. By occurred time it is what had happened then, as far as it is known today: a device
that was offline reports late.

With --diff A..B, show what differs between two versions or times, field by field. Before
A.. is the beginning if A is left out, and after ..B is the end.`,
		Example: "  licensesvc history m-17 --data ./data --at 2026-11-01\n  licensesvc history m-17 --data ./data --diff 3..7 -o json",
		RunE: func(c *cobra.Command, args []string) error {
			if err := f.read.check(); err != nil {
				return err
			}
			return cli.Failed(t.showHistory(c.Context(), args[0], f))
		},
	}
	c.Flags().StringVar(&f.license, "license", "", "only this license")
	c.Flags().StringVar(&f.version, "version", "", "after this many events")
	c.Flags().StringVar(&f.at, "at", "", "at this time, such as 2026-11-29T12:00:00Z, or 2026-11-29")
	c.Flags().StringVar(&f.dif, "diff", "", "what differs between A..B, each a version or a time")
	c.Flags().StringVar(&f.by, "by", string(timeline.Recorded), "which time counts: recorded (what was known then) or occurred (what had happened then)")
	f.read.addTo(c)
	f.format.AddTo(c)
	c.MarkFlagsMutuallyExclusive("version", "at", "diff")
	return c
}

// points returns the points that the flags ask for: one, or two to compare.
func (f historyFlags) points() ([]timeline.Point, error) {
	by, err := timeline.ParseBy(f.by)
	if err != nil {
		return nil, err
	}
	switch {
	case f.dif != "":
		from, to, err := timeline.ParseRange(f.dif, by)
		return []timeline.Point{from, to}, err
	case f.version != "":
		p, err := timeline.ParsePoint(f.version, by)
		if err == nil && !p.Versioned {
			err = fmt.Errorf("--version %s: give a number, or a time by --at", f.version)
		}
		return []timeline.Point{p}, err
	}
	p, err := timeline.ParsePoint(f.at, by)
	if err == nil && p.Versioned {
		err = fmt.Errorf("--at %s: give a time, or a number by --version", f.at)
	}
	return []timeline.Point{p}, err
}

func (t tool) showHistory(ctx context.Context, member string, f historyFlags) error {
	points, err := f.points()
	if err != nil {
		return cli.BadInput(err)
	}
	now := time.Now()
	var builders []*timeline.Builder
	for _, p := range points {
		builders = append(builders, timeline.NewBuilder(p, now))
	}
	if err := f.read.entries(ctx, t.Getenv, member, func(e timeline.Entry) error {
		for _, b := range builders {
			if err := b.Add(e); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return err
	}
	var states []timeline.State
	for i, b := range builders {
		s, ok := b.State()
		if !ok {
			return cli.BadInput(fmt.Errorf("the history of %s has %d events, and version %d was asked for", member, b.Read(), points[i].Version))
		}
		states = append(states, s)
	}
	if len(states) == 2 {
		return t.tellDiff(states[0], states[1], f)
	}
	return t.tellState(member, states[0], f)
}

// entries reads the events of a member and calls each with every one. A member without events is
// an error.
func (f readFlags) entries(ctx context.Context, getenv func(string) string, member string, each func(timeline.Entry) error) (err error) {
	codec, err := wire.New()
	if err != nil {
		return err
	}
	s, err := f.open(ctx, getenv)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	version, err := eventstore.LoadAll(ctx, s, eventstore.Query{Stream: app.Stream(member)}, func(stored []eventstore.Event) error {
		entries, err := timeline.Decode(codec, stored)
		for _, e := range entries {
			if err := each(e); err != nil {
				return err
			}
		}
		return err
	})
	switch {
	case errors.Is(err, eventstore.ErrCorrupt):
		return cli.BadInput(err)
	case err == nil && version == 0:
		return cli.BadInput(fmt.Errorf("there are no events of member %q", member))
	}
	return err
}

func (t tool) tellState(member string, s timeline.State, f historyFlags) error {
	licenses := s.Licenses(f.license)
	if f.format == cli.JSON {
		return t.WriteJSON(struct {
			Member   string             `json:"member"`
			Point    string             `json:"point"`
			Version  int64              `json:"version"`
			Events   int64              `json:"event_count"`
			AsOf     time.Time          `json:"as_of"`
			Licenses []timeline.License `json:"licenses"`
			Newer    []string           `json:"newer_events,omitempty"`
		}{member, s.Point.String(), s.Version, s.Events, s.AsOf, licenses, s.Member.Newer()})
	}
	tell := func(format string, args ...any) { fmt.Fprintln(t.Out, cli.Printable(fmt.Sprintf(format, args...))) }
	tell("member %s %s: version %d, %d licenses", member, s.Point, s.Version, len(licenses))
	for _, newer := range s.Member.Newer() {
		tell("  not known to this program: %s", newer)
	}
	for _, l := range licenses {
		tell("  %s  %s  title %s, device %s, plan %s, until %s; %d plays, %d renewals", l.ID, l.Status, l.Title, l.Device, l.Plan,
			l.ExpiresAt().Format(time.RFC3339), l.PlayCount, l.RenewalCount)
		for _, newer := range l.Newer {
			tell("    not known to this program: %s", newer)
		}
	}
	return nil
}

func (t tool) tellDiff(from, to timeline.State, f historyFlags) error {
	changes, err := timeline.Diff(from, to, f.license)
	if err != nil {
		return err
	}
	words := timeline.InWords(changes)
	if f.format == cli.JSON {
		return t.WriteJSON(struct {
			From    string            `json:"from"`
			To      string            `json:"to"`
			Changes []timeline.Change `json:"changes"`
			Words   []string          `json:"words"`
		}{from.Point.String(), to.Point.String(), changes, words})
	}
	if len(words) == 0 {
		words = []string{"nothing differs"}
	}
	for _, w := range words {
		fmt.Fprintln(t.Out, cli.Printable(w))
	}
	return nil
}

// replayFlags are the flags of the replay command.
type replayFlags struct {
	read    readFlags
	license string
	format  cli.Format
}

func (t tool) replay() *cobra.Command {
	var f replayFlags
	c := &cobra.Command{
		Use: "replay MEMBER", Short: "print every decision about a member in words", Args: cobra.ExactArgs(1),
		Long: `Read the events of a member, also while the service runs, and print for each what happened
and when, on which data and under which rules it was decided, and how much of each limit
was in use afterwards. What a newer program wrote is shown as such. Nothing is changed.

As JSON there is one decision per line. Refusals are no events; see licensesvc decisions.`,
		Example: "  licensesvc replay m-17 --data ./data --license lic-1",
		RunE: func(c *cobra.Command, args []string) error {
			if err := f.read.check(); err != nil {
				return err
			}
			return cli.Failed(t.tellReplay(c.Context(), args[0], f))
		},
	}
	c.Flags().StringVar(&f.license, "license", "", "only this license, and what concerns all of them")
	f.read.addTo(c)
	f.format.AddTo(c)
	return c
}

func (t tool) tellReplay(ctx context.Context, member string, f replayFlags) error {
	var r timeline.Replay
	lines := json.NewEncoder(t.Out)
	lines.SetEscapeHTML(false)
	return f.read.entries(ctx, t.Getenv, member, func(e timeline.Entry) error {
		decisions, err := r.Add(e)
		if err != nil {
			return err
		}
		for _, d := range decisions {
			if f.license != "" && d.License != f.license && d.License != "" {
				continue
			}
			if f.format == cli.JSON {
				if err := lines.Encode(d); err != nil {
					return err
				}
				continue
			}
			for _, line := range d.Lines() {
				if _, err := fmt.Fprintln(t.Out, cli.Printable(line)); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

package scenario_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/load"
	"github.com/backstay-go/backstay/chaos/scenario"
)

// pair is a system whose request reads from one dependency and writes to another.
type pair struct {
	simple
	read, write *chaos.Point
	defect      string
	stored      map[string]int
}

type pairTarget struct{ defect string }

func (t pairTarget) Check(scenario.Scenario) error { return nil }

func (t pairTarget) Start(_ context.Context, setup scenario.Setup) (scenario.System, error) {
	return &pair{defect: t.defect, read: setup.Injector.Point("catalog", "get", nil),
		write: setup.Injector.Point("store", "put", map[string]error{"unavailable": errGone, "full": errGone}), stored: map[string]int{}}, nil
}

func (p *pair) Requests() []string { return []string{"buy"} }

func (p *pair) Prepare(context.Context, string) (func(context.Context, string) load.Sample, error) {
	return func(ctx context.Context, identity string) load.Sample {
		if p.defect != "waits for ever" {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, time.Second)
			defer cancel()
		}
		s := load.Sample{Means: load.Right}
		if _, err := chaos.Do(ctx, p.read, func(context.Context) (int, error) { return 1, nil }); err != nil {
			s.Means = load.Stale
		}
		_, err := chaos.Do(ctx, p.write, func(context.Context) (int, error) {
			p.stored[identity] = 1
			return 1, nil
		})
		switch {
		case err == nil && p.stored[identity] == 1:
		case p.defect == "says done":
		case p.defect == "gives no answer" && !errors.Is(err, context.DeadlineExceeded):
			s.Means, s.Detail = load.Wrong, fmt.Sprint(err)
		default:
			s.Means = load.Refused
		}
		return s
	}, nil
}

func enumerate(t *testing.T, defect string) *scenario.Table {
	t.Helper()
	var table *scenario.Table
	synctest.Test(t, func(t *testing.T) {
		var err error
		table, err = scenario.Enumerate(t.Context(), scenario.EnumerateConfig{Target: pairTarget{defect}, Request: "buy", Scenario: scenario.Scenario{Name: "pair"}})
		if err != nil {
			t.Fatal(err)
		}
	})
	return table
}

func TestEnumerateHarmsEachCall(t *testing.T) {
	table := enumerate(t, "")
	if fmt.Sprint(table.Points) != "[process catalog get process store put]" || len(table.Cells) != 32 {
		t.Fatalf("%v, %d cells", table.Points, len(table.Cells))
	}
	if table.Coverage() != 1 || len(table.Bad()) != 0 {
		t.Errorf("coverage %g, bad %v", table.Coverage(), table.Bad())
	}
	for _, c := range table.Cells {
		want := load.Right
		switch {
		case strings.HasPrefix(c.Fault, "slow"):
		case c.Point.Dependency == "catalog":
			want = load.Stale
		default:
			want = load.Refused
		}
		if c.Means != want {
			t.Errorf("%s, %s: %s, want %s", c.Point, c.Fault, c.Means, want)
		}
	}
}

func TestAnInterruptedEnumerationSaysHowFarItCame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		reported := func(done, _ int, _ scenario.Cell) {
			if done == 3 {
				cancel(errGone)
			}
		}
		table, err := scenario.Enumerate(ctx, scenario.EnumerateConfig{Target: pairTarget{}, Request: "buy", Scenario: scenario.Scenario{Name: "pair"}, OnRun: reported})
		if table == nil || len(table.Cells) != 3 || !errors.Is(err, errGone) || !strings.Contains(err.Error(), "interrupted after 3 of 32 runs") {
			t.Fatalf("%v, %v", table, err)
		}
		if text := table.Text(); !strings.Contains(text, "3 faults, 100 % of them") {
			t.Errorf("the table of what was done:\n%s", text)
		}
	})
}

func TestEnumerateFindsDefects(t *testing.T) {
	for defect, want := range map[string]load.Meaning{"waits for ever": load.Late, "gives no answer": load.Wrong} {
		bad := enumerate(t, defect).Bad()
		if len(bad) == 0 || bad[0].Means != want {
			t.Errorf("%s: %+v", defect, bad)
		}
	}
	if text := enumerate(t, "gives no answer").Text(); !strings.Contains(text, "WRONG: process store put, unavailable") || !strings.Contains(text, "100 % of them harmed a call") {
		t.Errorf("the table does not say it:\n%s", text)
	}
}

func TestEnumerateRefusesWhatItCannotDo(t *testing.T) {
	for _, cfg := range []scenario.EnumerateConfig{
		{}, {Target: pairTarget{}, Request: "sell"}, {Target: pairTarget{}, Request: "buy", Protocols: []string{"htp"}}, {Target: &simpleTarget{system: &simple{}}, Request: "get"},
	} {
		if _, err := scenario.Enumerate(t.Context(), cfg); !errors.Is(err, scenario.ErrConfig) {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}

// keeping is a target that has something to share.
type keeping struct {
	pairTarget
	kept, ended, starts *int
	fails               bool
}

func (k keeping) Share(_ context.Context, _ scenario.Scenario, dir string) (scenario.Target, func() error, error) {
	if k.fails {
		return nil, nil, errGone
	}
	*k.kept++
	return counted{k}, func() error { *k.ended++; return nil }, nil
}

type counted struct{ keeping }

func (c counted) Start(ctx context.Context, setup scenario.Setup) (scenario.System, error) {
	*c.starts++
	return c.pairTarget.Start(ctx, setup)
}

func TestEnumerateSharesWhatTakesLongToStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var kept, ended, starts int
		cfg := scenario.EnumerateConfig{Target: keeping{kept: &kept, ended: &ended, starts: &starts}, Request: "buy", Faults: []string{"hang", "unavailable"}, Scenario: scenario.Scenario{Name: "pair"}}
		table, err := scenario.Enumerate(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		if len(table.Cells) != 8 || starts != 9 || kept != 1 || ended != 1 {
			t.Errorf("%d cells of two faults at two calls, once and for good; %d systems, kept %d times, ended %d times", len(table.Cells), starts, kept, ended)
		}
		cfg.Faults = []string{"hung"}
		if _, err := scenario.Enumerate(t.Context(), cfg); !errors.Is(err, scenario.ErrConfig) || !strings.Contains(err.Error(), `"hang"`) {
			t.Errorf("a fault that there is not: %v", err)
		}
		cfg.Target = keeping{fails: true}
		if _, err := scenario.Enumerate(t.Context(), cfg); !errors.Is(err, errGone) {
			t.Errorf("what is shared did not start: %v", err)
		}
	})
}

func TestStatementsAreHarmedByTable(t *testing.T) {
	table := &scenario.Table{Request: "buy", Points: []scenario.Point{{Protocol: "cql", Dependency: "store", Operation: "SELECT", Table: "a", Nth: 1}, {Protocol: "cql", Dependency: "store", Operation: "BATCH", Table: "a,b", Nth: 2}}}
	table.Cells = []scenario.Cell{{Point: table.Points[1], Fault: "write timeout", Happened: true, Means: load.Right}}
	if text := table.Text(); !strings.Contains(text, "store SELECT a  store BATCH a,b #2") || !strings.Contains(text, "write timeout  -") {
		t.Errorf("got\n%s", text)
	}
}

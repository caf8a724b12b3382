package chaostest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/cluster"
	"github.com/backstay-go/backstay/chaos/scenario"
	"github.com/backstay-go/backstay/licensesvc/app"
	"github.com/backstay-go/backstay/licensesvc/dashboard"
	"github.com/backstay-go/backstay/licensesvc/upstream"
)

// These are the names by which scenarios refer to this package's targets.
const (
	// TargetService is the whole service; see Target.
	TargetService = "licensesvc"
	// TargetStore is an event store alone; see EventStore.
	TargetStore = "eventstore"
)

// These are the settings of a scenario.
const (
	// SettingStore is the store that holds the events: sqlite (default) or cassandra.
	SettingStore = "store"
	// SettingRegions is the number of data centres of the store cassandra: 1 (default), with
	// three nodes, or 2, with one node in each. The service is in the first one.
	SettingRegions = "regions"
	// SettingMembers is the number of members that send requests. Default: 240.
	SettingMembers = "members"
	// SettingRetries is how often a client repeats a request, without a pause, when the answer
	// says that something failed. Default: 0.
	SettingRetries = "retries"
	// SettingWarm says whether each member sends one request before the load begins: yes
	// (default) or no.
	SettingWarm = "warm"
)

const defaultMembers = 240

// These are the actions of a scenario.
const (
	// ActDeploy writes the policy file that the service watches. Its argument "policies" is the
	// text of the file; "refused" is yes if the service must refuse it.
	ActDeploy = "deploy-policies"
	// ActRestore restores the service's built-in policies.
	ActRestore = "restore-policies"
)

// Target starts license services. The zero value is ready to use. It is safe for concurrent use.
type Target struct {
	// Listen is the address of the API and the dashboard. Default: a free port.
	Listen string
	// Faults are shown on the dashboard. Nil: none.
	Faults func(*chaos.Injector) dashboard.Faults
	// Getenv reads the environment, which says where spans are sent. Nil: they are not sent.
	Getenv func(string) string
	// Log receives what an operator should know about the service. Nil: nothing is logged.
	Log *slog.Logger
	// Cassandra is a cluster to use for the store cassandra. The caller must close it. If it is
	// nil, or lacks what a scenario needs, nodes are started with the system and end with it.
	Cassandra *Nodes
	_         struct{}
}

// Known returns the names that faults on a store can use, and where the faults can act.
func Known(store string, regions int) chaos.Known {
	k, places := chaos.Known{Nodes: []string{}}, []string{chaos.InProcess}
	if store == "cassandra" {
		k, places = shape(regions).Known(app.EventStore), []string{chaos.CQL, chaos.Node}
	}
	k.Dependencies = []string{app.EventStore, upstream.Membership, upstream.Catalog, upstream.KeyService, Clock}
	k.Places, k.Clocks = map[string][]string{app.EventStore: places, Clock: {chaos.InProcess}}, []string{Clock}
	for _, name := range []string{upstream.Membership, upstream.Catalog, upstream.KeyService} {
		k.Places[name] = []string{chaos.HTTP, chaos.TCP}
	}
	return k
}

// shape returns the cluster of a store with this number of data centres.
func shape(regions int) cluster.Config {
	if regions > 1 {
		return cluster.Config{Nodes: 1, DataCenters: regions}
	}
	return cluster.Config{Nodes: 3, DataCenters: 1}
}

// diskMB is the size of a node's disk, in MB, if a fault is to fill it.
const diskMB = 256

// topology returns the cluster that a scenario needs.
func topology(s scenario.Scenario) cluster.Config {
	cfg := shape(number(s, SettingRegions, 1))
	for _, r := range s.Faults {
		switch r.What.Kind {
		case chaos.DiskFull:
			cfg.DiskMB = diskMB
		case chaos.Partition:
			cfg.Namespaces = true
		}
	}
	return cfg
}

// Clock is the name by which faults refer to the service's clock.
const Clock = "clock"

// Check implements scenario.Target.
func (t Target) Check(s scenario.Scenario) error {
	var errs []error
	add := func(field, format string, args ...any) { errs = append(errs, problem(field, format, args...)) }
	for _, name := range slices.Sorted(maps.Keys(s.Settings)) {
		if wrong := wrongSetting(s, name); wrong != "" {
			add("settings."+name, "%s", wrong)
		}
	}
	for i, a := range s.Actions {
		switch {
		case a.Do != ActDeploy && a.Do != ActRestore:
			add(fmt.Sprintf("actions[%d].do", i), "is %q: there are %s and %s", a.Do, ActDeploy, ActRestore)
		case a.Do == ActDeploy && a.With["policies"] == "":
			add(fmt.Sprintf("actions[%d].with.policies", i), "is missing: give the text of a file of policies")
		}
	}
	return errors.Join(append(errs, checkFaults(s, Known(setting(s, SettingStore, "sqlite"), number(s, SettingRegions, 1))))...)
}

// wrongSetting says what is wrong with a setting. It returns "" if the setting is right.
func wrongSetting(s scenario.Scenario, name string) string {
	value := s.Settings[name]
	switch name {
	case SettingStore:
		if value != "sqlite" && value != "cassandra" {
			return fmt.Sprintf("is %q: there are sqlite and cassandra", value)
		}
	case SettingWarm:
		if value != "yes" && value != "no" {
			return fmt.Sprintf("is %q: give yes or no", value)
		}
	case SettingRegions:
		switch {
		case value != "1" && value != "2":
			return fmt.Sprintf("is %q: give 1 or 2", value)
		case value == "2" && s.Settings[SettingStore] != "cassandra":
			return "is 2: only the store cassandra has two"
		}
	case SettingMembers, SettingRetries:
		least := 0
		if name == SettingMembers {
			least = 1
		}
		if n, err := strconv.Atoi(value); err != nil || n < least || n > 100_000 {
			return fmt.Sprintf("is %q: give a number from %d to 100000", value, least)
		}
	default:
		return "there is no such setting; there are " + strings.Join([]string{SettingStore, SettingRegions, SettingMembers, SettingRetries, SettingWarm}, ", ")
	}
	return ""
}

// problem returns the error for one problem of a scenario.
func problem(field, format string, args ...any) error {
	return chaos.NewPlanError(chaos.Problem{Field: field, Message: fmt.Sprintf(format, args...)})
}

// checkFaults refuses faults on a dependency that does not exist.
func checkFaults(s scenario.Scenario, known chaos.Known) error {
	return s.CheckFaults(func(p chaos.Plan) error {
		err := p.CheckNames(known)
		if err == nil && setting(s, SettingStore, "sqlite") == "cassandra" {
			err = topology(s).CheckPlan(p, app.EventStore)
		}
		return err
	})
}

func setting(s scenario.Scenario, name, otherwise string) string {
	if v := s.Settings[name]; v != "" {
		return v
	}
	return otherwise
}

// number returns a setting that Check has verified to be a number, or else the given default.
func number(s scenario.Scenario, name string, otherwise int) int {
	if n, err := strconv.Atoi(s.Settings[name]); err == nil {
		return n
	}
	return otherwise
}

// Start implements scenario.Target.
func (t Target) Start(ctx context.Context, setup scenario.Setup) (_ scenario.System, err error) {
	if t.Log == nil {
		t.Log = slog.New(slog.DiscardHandler)
	}
	if t.Getenv == nil {
		t.Getenv = func(string) string { return "" }
	}
	if t.Listen == "" {
		t.Listen = "127.0.0.1:0"
	}
	s := &System{target: t, setup: setup, recorder: newRecorder(), deployed: make(chan error, 1)}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close(context.WithoutCancel(ctx)))
		}
	}()
	if err := s.build(ctx); err != nil {
		return nil, err
	}
	if setting(setup.Scenario, SettingWarm, "yes") == "no" {
		return s, nil
	}
	return s, s.clients.warm(ctx)
}

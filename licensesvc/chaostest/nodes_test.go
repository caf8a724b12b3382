//go:build linux

package chaostest_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/cluster"
	"github.com/backstay-go/backstay/chaos/scenario"
	"github.com/backstay-go/backstay/internal/testenv"
	"github.com/backstay-go/backstay/licensesvc/chaostest"
)

// TestLibraryOnNodes plays the scenarios that harm the three nodes of a data centre, one
// after the other on one separate cluster.
func TestLibraryOnNodes(t *testing.T) {
	all := onNodes(t, "")
	fillsDisk := func(s scenario.Scenario) bool {
		return slices.ContainsFunc(s.Faults, func(r chaos.Rule) bool { return r.What.Kind == chaos.DiskFull })
	}
	nodes, missing := nodesFor(t, all)
	if nodes == nil {
		// Disks of the nodes' own take rights that not everybody has.
		if nodes, _ = nodesFor(t, slices.DeleteFunc(slices.Clone(all), fillsDisk)); nodes == nil {
			testenv.Missing(t, missing.Error())
		}
	}
	t.Run("every CQL fault at every call", func(t *testing.T) { everyCQLFault(t, nodes) })
	for _, s := range all {
		t.Run(s.Name, func(t *testing.T) {
			if missing != nil && fillsDisk(s) {
				testenv.Missing(t, missing.Error())
			}
			playOn(t, nodes, s)
		})
	}
}

// TestLibraryOnTwoDataCentres plays the scenarios that want two data centres.
func TestLibraryOnTwoDataCentres(t *testing.T) {
	all := onNodes(t, "2")
	nodes, missing := nodesFor(t, all)
	if nodes == nil {
		testenv.Missing(t, missing.Error())
	}
	for _, s := range all {
		t.Run(s.Name, func(t *testing.T) { playOn(t, nodes, s) })
	}
}

// onNodes are the scenarios on Cassandra with that many regions.
func onNodes(t *testing.T, regions string) []scenario.Scenario {
	t.Helper()
	testenv.NotShort(t, "it starts real nodes")
	all, err := chaostest.Library()
	if err != nil {
		t.Fatal(err)
	}
	all = slices.DeleteFunc(all, func(s scenario.Scenario) bool {
		return s.Settings[chaostest.SettingStore] != "cassandra" || s.Settings[chaostest.SettingRegions] != regions
	})
	if len(all) == 0 {
		t.Fatal("the library has none")
	}
	return all
}

// nodesFor starts nodes that serve the scenarios, until the test ends, or says what the
// machine lacks.
func nodesFor(t *testing.T, all []scenario.Scenario) (*chaostest.Nodes, error) {
	t.Helper()
	cache, err := testenv.CacheDir()
	if err != nil {
		t.Fatal(err)
	}
	nodes, err := chaostest.StartNodes(t.Context(), t.TempDir(), cache, all...)
	if errors.Is(err, cluster.ErrMissing) {
		return nil, err
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := nodes.Close(); err != nil {
			t.Error(err)
		}
	})
	return nodes, nil
}

func playOn(t *testing.T, nodes *chaostest.Nodes, s scenario.Scenario) {
	t.Helper()
	golden(t, run(t, of(s, nodes), s, func() {
		t.Helper()
		if err := nodes.Up(context.WithoutCancel(t.Context())); err != nil {
			t.Fatal(err)
		}
	}))
}

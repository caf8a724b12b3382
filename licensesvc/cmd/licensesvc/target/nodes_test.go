//go:build linux

package target_test

import (
	"context"
	"errors"
	"testing"

	"github.com/backstay-go/backstay/chaos/cluster"
	"github.com/backstay-go/backstay/chaos/scenario"
	"github.com/backstay-go/backstay/internal/testenv"
	"github.com/backstay-go/backstay/licensesvc/cmd/licensesvc/target"
)

// TestLibraryOnNodes plays the scenarios that harm Cassandra nodes, one after the other
// on one cluster of its own.
func TestLibraryOnNodes(t *testing.T) {
	testenv.NotShort(t, "it starts real nodes")
	cache, err := testenv.CacheDir()
	if err != nil {
		t.Fatal(err)
	}
	if err := cluster.Needs(cache); err != nil {
		testenv.Missing(t, err.Error())
	}
	nodes, err := target.StartNodes(t.Context(), t.TempDir(), cache)
	if errors.Is(err, cluster.ErrMissing) {
		testenv.Missing(t, err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := nodes.Close(); err != nil {
			t.Error(err)
		}
	}()
	all, err := scenario.Library()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		if s.Settings[target.SettingStore] != "cassandra" {
			continue
		}
		t.Run(s.Name, func(t *testing.T) {
			if err := nodes.Up(context.WithoutCancel(t.Context())); err != nil {
				t.Fatal(err)
			}
			golden(t, run(t, of(s, nodes), s))
		})
	}
}

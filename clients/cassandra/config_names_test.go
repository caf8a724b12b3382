package cassandra_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/backstay-go/backstay/clients/cassandra"
	"github.com/backstay-go/backstay/internal/cqltest"
	"github.com/backstay-go/backstay/resilience"
)

// TestProblemsOfProfilesAreNamedAsInGo: what is wrong with a profile's operation is a field of the
// profile.
func TestProblemsOfProfilesAreNamedAsInGo(t *testing.T) {
	for says, op := range map[string]resilience.OperationPolicy{
		"Profiles[read].Timeout is 0s: state how long":  {},
		"Profiles[read].AttemptTimeout is 2s, above":    {Timeout: time.Second, AttemptTimeout: 2 * time.Second},
		"Profiles[read].Retry.MaxAttempts is -1; the":   {Timeout: time.Second, Retry: &resilience.RetryPolicy{MaxAttempts: -1}},
		"Profiles[read].Hedge.Delay is 2s, not below":   {Timeout: time.Second, Idempotent: true, Hedge: &resilience.HedgePolicy{Delay: 2 * time.Second}},
		"Profiles[read].Stale.MaxAge is 0s: state how ": {Timeout: time.Second, Stale: &resilience.StalePolicy{}},
	} {
		c := cassandra.Config{Hosts: []string{"a"}, Profiles: map[string]cassandra.Profile{"read": {OperationPolicy: op, Consistency: cassandra.One}}}
		if err := c.Check(); !errors.Is(err, cassandra.ErrConfig) || !strings.Contains(err.Error(), says) {
			t.Errorf("%v; want it to say %q", err, says)
		}
	}
}

// TestLocalLevelsWithoutLocalDC are named in the log.
func TestLocalLevelsWithoutLocalDC(t *testing.T) {
	cluster := cqltest.Start(t, cqltest.Config{Nodes: 1})
	var mu sync.Mutex
	var lines []string
	s, err := cassandra.Connect(t.Context(), cassandra.Config{
		Hosts: cluster.Hosts(), Port: cluster.Port(),
		Profiles: map[string]cassandra.Profile{
			"read":  {OperationPolicy: resilience.OperationPolicy{Timeout: time.Second}, Consistency: cassandra.LocalQuorum},
			"other": {OperationPolicy: resilience.OperationPolicy{Timeout: time.Second}, Consistency: cassandra.One},
		},
		Log: func(line string) {
			mu.Lock()
			defer mu.Unlock()
			lines = append(lines, line)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	mu.Lock()
	defer mu.Unlock()
	if all := strings.Join(lines, "\n"); strings.Count(all, "LocalDC is not set") != 1 || !strings.Contains(all, "profile read asks for LOCAL_QUORUM") {
		t.Errorf("the log is\n%s", all)
	}
}

package cassandra_test

import (
	"testing"
	"time"

	client "github.com/backstay-go/backstay/clients/cassandra"
	"github.com/backstay-go/backstay/internal/cqltest"
	"github.com/backstay-go/backstay/licensesvc/eventstore/cassandra"
	"github.com/backstay-go/backstay/licensesvc/eventstore/eventstoretest"
	"github.com/backstay-go/backstay/resilience"
)

// scripted opens a store on a scripted cluster that has the tables.
func scripted(t *testing.T, policy resilience.Policy) (*cassandra.Store, error) {
	t.Helper()
	cluster := cqltest.Start(t, cqltest.Config{})
	eventstoretest.ScriptSchema(cluster, cassandra.Schema())
	cluster.On("SELECT epoch FROM stores WHERE store = ?", cqltest.Statement{Columns: []cqltest.Column{{Name: "epoch", Type: cqltest.Text}},
		Answer: func(r *cqltest.Request) { r.Rows([]any{"e"}) }})
	session, err := client.Connect(t.Context(), cassandra.Configured(client.Config{Hosts: cluster.Hosts(), Port: cluster.Port(), Keyspace: "ks", LocalDC: "dc1"}, policy))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := session.Close(); err != nil {
			t.Error(err)
		}
	})
	return cassandra.Open(t.Context(), cassandra.Config{Session: session})
}

// TestNoAttemptLastsAsLongAsACall: an attempt that did would end by its caller's deadline,
// which says nothing of the cluster, and the breaker would never see a cluster that hangs.
func TestNoAttemptLastsAsLongAsACall(t *testing.T) {
	for _, profile := range []string{"", cassandra.ProfileAppend, cassandra.ProfileWrite, cassandra.ProfileRead, cassandra.ProfileSettle, cassandra.ProfileShow, cassandra.ProfileSchema} {
		slow := cassandra.Policy()
		if profile != "" {
			slow.Operations[profile] = resilience.OperationPolicy{Timeout: 2 * time.Second}
		}
		ok := profile == "" || profile == cassandra.ProfileSchema
		if _, err := scripted(t, slow); (err == nil) != ok {
			t.Errorf("opened with a slow %q: %v", profile, err)
		}
		if ok {
			continue
		}
		s, err := scripted(t, cassandra.Policy())
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Update(slow); err == nil {
			t.Errorf("an update made %s as slow as a call", profile)
		}
		if got := s.Policy().Operations[profile].Timeout; got == 2*time.Second {
			t.Errorf("what was refused is in force: %s has %s", profile, got)
		}
	}
}

// TestAPolicyKeepsTheStoresConsistency: an operator's policy changes how long requests take
// and how often they are tried, never what they promise.
func TestAPolicyKeepsTheStoresConsistency(t *testing.T) {
	s, err := scripted(t, cassandra.Policy())
	if err != nil {
		t.Fatal(err)
	}
	p := s.Policy()
	p.Bulkhead.Limit = 9
	read := p.Operations[cassandra.ProfileRead]
	read.AttemptTimeout = 77 * time.Millisecond
	p.Operations[cassandra.ProfileRead] = read
	if err := s.Update(p); err != nil {
		t.Fatal(err)
	}
	now := s.Policy()
	if now.Bulkhead.Limit != 9 || now.Operations[cassandra.ProfileRead].AttemptTimeout != 77*time.Millisecond || s.Guards()[0].Snapshot().Limit != 9 {
		t.Errorf("in force: %+v", now)
	}
	for name, want := range cassandra.Profiles() {
		if got := cassandra.Configured(client.Config{}, p).Profiles[name]; got.Consistency != want.Consistency || got.SerialConsistency != want.SerialConsistency || got.Isolated != want.Isolated || got.Decision != want.Decision {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
}

package service_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/datastax/go-cassandra-native-protocol/datatype"

	client "github.com/backstay-go/backstay/clients/cassandra"
	"github.com/backstay-go/backstay/internal/cqltest"
	"github.com/backstay-go/backstay/internal/observe"
	"github.com/backstay-go/backstay/licensesvc/app"
	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/licensesvc/eventstore/cassandra"
	"github.com/backstay-go/backstay/licensesvc/eventstore/eventstoretest"
	"github.com/backstay-go/backstay/licensesvc/service"
	"github.com/backstay-go/backstay/licensesvc/upstream"
	"github.com/backstay-go/backstay/licensesvc/upstream/server"
	"github.com/backstay-go/backstay/resilience"
)

// onScripted starts a service whose events are in a scripted Cassandra cluster.
func onScripted(t *testing.T) (*service.Instance, *cqltest.Cluster) {
	t.Helper()
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	cluster := cqltest.Start(t, cqltest.Config{})
	eventstoretest.ScriptSchema(cluster, cassandra.Schema())
	cluster.On("SELECT epoch FROM stores WHERE store = ?", cqltest.Statement{Columns: []cqltest.Column{{Name: "epoch", Type: cqltest.Text}},
		Answer: func(r *cqltest.Request) { r.Rows([]any{"e"}) }})
	cluster.On("SELECT next, events FROM feed WHERE store = ? AND slice = ? AND page = ? LIMIT 1", cqltest.Statement{
		Params:  []cqltest.Column{{Name: "store", Type: cqltest.Text}, {Name: "slice", Type: datatype.Int}, {Name: "page", Type: datatype.Bigint}},
		Columns: []cqltest.Column{{Name: "next", Type: datatype.Bigint}, {Name: "events", Type: datatype.Bigint}}, Answer: func(r *cqltest.Request) { r.Rows() }})
	servers, err := server.Start(ctx, server.Config{})
	must(err)
	t.Cleanup(func() { must(servers.Shutdown(context.WithoutCancel(ctx))) })
	observed, err := observe.Start(ctx, "test", func(string) string { return "" })
	must(err)
	t.Cleanup(func() { must(observed.Shutdown(context.WithoutCancel(ctx))) })
	in, err := service.Start(ctx, service.Config{
		Listen: "127.0.0.1:0", Data: t.TempDir(), Observed: observed, Log: slog.New(slog.DiscardHandler),
		Membership: servers.URL("membership"), Catalog: servers.URL("catalog"), Keys: servers.URL("key-service"),
		Store: service.Cassandra{Client: client.Config{Hosts: cluster.Hosts(), Port: cluster.Port(), Keyspace: "ks", LocalDC: "dc1"}},
	})
	must(err)
	t.Cleanup(func() { must(in.Shutdown(context.WithoutCancel(ctx))) })
	return in, cluster
}

// TestTheSessionsBreakerSeesASilentCluster sends requests to a service whose Cassandra
// cluster answers nothing any more. An outer guard with a shorter deadline would hide every
// hang from the breaker of the session.
func TestTheSessionsBreakerSeesASilentCluster(t *testing.T) {
	in, cluster := onScripted(t)
	guard := in.Guards()[0]
	if guard.Name() != app.EventStore {
		t.Fatalf("the first guard is that of %s", guard.Name())
	}
	cluster.Silence(true)
	asking, stop := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	// The driver closes at once if its connections are gone, and else waits for them.
	defer cluster.Stop()
	defer clients.Wait()
	defer stop()
	for n := range 20 {
		clients.Go(func() {
			for i := 0; asking.Err() == nil; i++ {
				req, err := http.NewRequestWithContext(asking, http.MethodPost, in.URL()+"/v1/members/"+server.MemberID(n+1)+"/licenses", strings.NewReader(`{"device":"tablet","title":"capstan-002"}`))
				if err != nil {
					t.Error(err)
					return
				}
				req.Header.Set("Content-Type", "application/json")
				req.Header.Set("Idempotency-Key", fmt.Sprint(n, "-", i))
				if resp, err := http.DefaultClient.Do(req); err == nil {
					_ = resp.Body.Close()
				}
			}
		})
	}
	defer http.DefaultClient.CloseIdleConnections()
	deadline, tick := time.NewTimer(30*time.Second), time.NewTicker(2*time.Millisecond)
	defer deadline.Stop()
	defer tick.Stop()
	for guard.Snapshot().Breaker != resilience.BreakerOpen {
		select {
		case <-deadline.C:
			t.Fatalf("the cluster answers nothing, and the breaker did not open: %+v", guard.Snapshot())
		case <-tick.C:
		}
	}
}

// TestAFileSetsThePolicyOfACassandraStore as it does that of a file: one section, whose
// operations are the store's.
func TestAFileSetsThePolicyOfACassandraStore(t *testing.T) {
	in, _ := onScripted(t)
	if err := in.Update(service.Policies(service.Cassandra{}.Policy())); err != nil {
		t.Errorf("the service's own policies: %v", err)
	}
	file := filepath.Join(t.TempDir(), "policies.yaml")
	const text = `guards:
  event-store:
    bulkhead: {limit: 33}
    breaker: {}
    default: {timeout: 900ms}
    operations:
      schema: {timeout: 30s}
      append: {timeout: 700ms}
      write: {timeout: 900ms, attempt_timeout: 400ms, idempotent: true}
      read: {timeout: 900ms, attempt_timeout: ATTEMPT, idempotent: true}
      settle: {timeout: 900ms, idempotent: true}
      show: {timeout: 900ms, attempt_timeout: 400ms, idempotent: true}
`
	if err := os.WriteFile(file, []byte(strings.Replace(text, "ATTEMPT", "300ms", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	set, err := in.OpenPolicies(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := set.Close(); err != nil {
			t.Error(err)
		}
	})
	for i, g := range in.Guards()[:2] { // Both guards of the session.
		if limit := g.Snapshot().Limit; limit != 33 {
			t.Errorf("guard %d, %s, has the limit %d, want 33", i, g.Name(), limit)
		}
	}
	if got := in.Guards()[0].Policy().Operations[cassandra.ProfileRead].AttemptTimeout; got != 300*time.Millisecond {
		t.Errorf("an attempt of a read has %s", got)
	}
	for _, c := range []struct{ text, says string }{
		{strings.Replace(text, "read: {timeout: 900ms, attempt_timeout: ATTEMPT", "read: {timeout: 5s, attempt_timeout: 4s", 1), "would never see an attempt time out"},
		{"guards: {event-store: {bulkhead: {limit: 3}, default: {timeout: 1s}, operations: {load: {timeout: 1s}}}}\n", "append, read, schema, settle, show, write"},
		{"x-cassandra: {main: {profiles: {}}}\n", "guards.event-store"},
	} {
		if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if set, err := in.OpenPolicies(file); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("want %q, have %v", c.says, err)
			if err == nil {
				_ = set.Close() // The test has failed.
			}
		}
		if limit := in.Guards()[0].Snapshot().Limit; limit != 33 {
			t.Errorf("what was refused made the limit %d", limit)
		}
	}
}

// TestARefusedStorePolicyChangesNothing: a policy that the store refuses is found before another
// guard is changed, by Update and by a file.
func TestARefusedStorePolicyChangesNothing(t *testing.T) {
	in, _ := onScripted(t)
	policies := service.Policies(service.Cassandra{}.Policy())
	limit := func() int {
		for _, g := range in.Guards() {
			if g.Name() == upstream.Catalog {
				return g.Snapshot().Limit
			}
		}
		return -1
	}
	before := limit()
	catalog, store := policies[upstream.Catalog], policies[app.EventStore]
	catalog.Bulkhead.Limit = before + 1
	store.Operations[cassandra.ProfileRead] = resilience.OperationPolicy{Timeout: 5 * time.Second}
	if err := in.Update(map[string]resilience.Policy{upstream.Catalog: catalog, app.EventStore: store}); err == nil || !strings.Contains(err.Error(), "would never see an attempt time out") {
		t.Errorf("Update: %v", err)
	}
	if got := limit(); got != before {
		t.Errorf("a refused update changed the catalog's limit from %d to %d", before, got)
	}
}

// unmeasured is a store that can't say how large it is, and how it is.
type unmeasured struct{ eventstore.GuardedStore }

func (unmeasured) Stats(context.Context) (eventstore.Stats, error) {
	return eventstore.Stats{}, eventstore.ErrUnavailable
}

func (unmeasured) Health(context.Context) (eventstore.Health, error) {
	return eventstore.Health{}, eventstore.ErrUnavailable
}

type unmeasuredOpener struct{ service.SQLite }

func (o unmeasuredOpener) Open(ctx context.Context, with service.StoreSetup) (eventstore.GuardedStore, error) {
	s, err := o.SQLite.Open(ctx, with)
	return unmeasured{s}, err
}

// TestAServiceStartsWhileItsStoreCantBeMeasured, and says so.
func TestAServiceStartsWhileItsStoreCantBeMeasured(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	observed, err := observe.Start(ctx, "test", func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = observed.Shutdown(context.WithoutCancel(ctx)) })
	in, err := service.Start(ctx, service.Config{
		Listen: "127.0.0.1:0", Data: dir, Observed: observed, Log: slog.New(slog.DiscardHandler),
		Membership: "http://127.0.0.1:1", Catalog: "http://127.0.0.1:1", Keys: "http://127.0.0.1:1",
		Store: unmeasuredOpener{service.SQLite{Path: filepath.Join(dir, "events.db")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := in.Shutdown(context.WithoutCancel(ctx)); err != nil {
			t.Error(err)
		}
	}()
	defer http.DefaultClient.CloseIdleConnections()
	resp, err := http.Get(in.URL() + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || !strings.Contains(string(text), "the store can't be asked") {
		t.Errorf("%d, %v\n%s", resp.StatusCode, err, text)
	}
}

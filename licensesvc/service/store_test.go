package service_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/datastax/go-cassandra-native-protocol/datatype"

	client "github.com/backstay-go/backstay/clients/cassandra"
	"github.com/backstay-go/backstay/internal/cqltest"
	"github.com/backstay-go/backstay/internal/observe"
	"github.com/backstay-go/backstay/licensesvc/app"
	"github.com/backstay-go/backstay/licensesvc/eventstore/cassandra"
	"github.com/backstay-go/backstay/licensesvc/service"
	"github.com/backstay-go/backstay/licensesvc/upstream/server"
	"github.com/backstay-go/backstay/resilience"
)

// TestTheSessionsBreakerSeesASilentCluster sends requests to a service whose Cassandra
// cluster answers nothing any more. An outer guard with a shorter deadline would hide every
// hang from the breaker of the session.
func TestTheSessionsBreakerSeesASilentCluster(t *testing.T) {
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	cluster := cqltest.Start(t, cqltest.Config{})
	for _, cql := range cassandra.Schema() {
		cluster.On(cql, cqltest.Statement{Answer: (*cqltest.Request).Void})
	}
	cluster.On("SELECT epoch FROM stores WHERE store = ?", cqltest.Statement{Columns: []cqltest.Column{{Name: "epoch", Type: cqltest.Text}},
		Answer: func(r *cqltest.Request) { r.Rows([]any{"e"}) }})
	cluster.On("SELECT next, events FROM feed WHERE store = ? AND slice = ? AND page = ? LIMIT 1", cqltest.Statement{
		Params:  []cqltest.Column{{Name: "store", Type: cqltest.Text}, {Name: "slice", Type: datatype.Int}, {Name: "page", Type: datatype.Bigint}},
		Columns: []cqltest.Column{{Name: "next", Type: datatype.Bigint}, {Name: "events", Type: datatype.Bigint}}, Answer: func(r *cqltest.Request) { r.Rows() }})
	servers, err := server.Start(ctx, server.Config{})
	must(err)
	defer func() { must(servers.Shutdown(context.WithoutCancel(ctx))) }()
	observed, err := observe.Start(ctx, "test", func(string) string { return "" })
	must(err)
	defer func() { must(observed.Shutdown(context.WithoutCancel(ctx))) }()
	in, err := service.Start(ctx, service.Config{
		Listen: "127.0.0.1:0", Data: t.TempDir(), Observed: observed, Log: slog.New(slog.DiscardHandler),
		Membership: servers.URL("membership"), Catalog: servers.URL("catalog"), Keys: servers.URL("key-service"),
		Store: service.Cassandra{Client: client.Config{Hosts: cluster.Hosts(), Port: cluster.Port(), Keyspace: "ks", LocalDC: "dc1"}},
	})
	must(err)
	defer func() { must(in.Shutdown(context.WithoutCancel(ctx))) }()
	guard := in.Guards()[0]
	if guard.Name() != app.EventStore {
		t.Fatalf("the first guard is that of %s", guard.Name())
	}
	cluster.Silence(true)
	asking, stop := context.WithCancel(ctx)
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

//go:build linux

package cluster_test

import (
	"context"
	"testing"
	"time"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/cluster"
	"github.com/backstay-go/backstay/clients/cassandra"
	"github.com/backstay-go/backstay/resilience"
)

// eventually waits for a condition, up to five minutes: commands of a node are JVMs.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			t.Fatalf("not within five minutes: %s", what)
		case <-tick.C:
		}
	}
}

func session(t *testing.T, c *cluster.Cluster, user, password string) *cassandra.Session {
	t.Helper()
	return loggedIn(t, user, func() (*cassandra.Session, error) { return login(t, c.Hosts(), "", user, password) })
}

// sessionAt is a session with the nodes of one data centre.
func sessionAt(t *testing.T, n *cluster.Node) *cassandra.Session {
	t.Helper()
	return loggedIn(t, "nobody", func() (*cassandra.Session, error) { return login(t, []string{n.Host()}, n.DataCenter(), "", "") })
}

func loggedIn(t *testing.T, user string, login func() (*cassandra.Session, error)) *cassandra.Session {
	t.Helper()
	var s *cassandra.Session
	var err error
	// The first user is made some time after the node answers.
	eventually(t, "login of "+user, func() bool { s, err = login(); return err == nil })
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func login(t *testing.T, hosts []string, dc, user, password string) (*cassandra.Session, error) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	return cassandra.Connect(ctx, cassandra.Config{Hosts: hosts, LocalDC: dc, Username: user, Password: cassandra.Secret(password), Profiles: map[string]cassandra.Profile{
		"all": {OperationPolicy: resilience.OperationPolicy{Timeout: 20 * time.Second}, Consistency: cassandra.One},
	}})
}

// follow lets the cluster follow rules for as long as during takes, from when so many
// faults it was given. When it returns they are undone.
func follow(t *testing.T, ctx context.Context, c *cluster.Cluster, faults int, rules []chaos.Rule, during func(*chaos.Injector)) {
	t.Helper()
	reported := make(chan chaos.Event, 100)
	injector, err := chaos.New(chaos.Plan{Rules: rules}, chaos.Config{Listeners: []chaos.Listener{
		chaos.ListenerFunc(func(_ context.Context, e chaos.Event) { reported <- e })}})
	if err != nil {
		t.Fatal(err)
	}
	injector.Start()
	defer injector.Stop()
	following, end := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- c.Follow(following, injector, "cassandra") }()
	// Nodes that are harmed by a test that has failed would fail the next one.
	defer func() {
		end()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	for range faults {
		select {
		case e := <-reported:
			if e.Call.Dependency != "cassandra" || e.Call.Node == "" || e.Call.Protocol != chaos.Node {
				t.Errorf("got %+v", e)
			}
		case err := <-done:
			done <- nil
			t.Fatalf("it stopped following: %v", err)
		}
	}
	during(injector)
}

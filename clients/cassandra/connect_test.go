package cassandra_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/backstay-go/backstay/clients/cassandra"
	"github.com/backstay-go/backstay/internal/cqltest"
	"github.com/backstay-go/backstay/resilience"
)

// hang listens and never answers.
func hang(t *testing.T) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}

// TestConnectKeepsItsContext: whatever contact points and name servers do, Connect is back
// when its context ends, and a good contact point does not wait for those that hang
// (gocql#839, #62).
func TestConnectKeepsItsContext(t *testing.T) {
	resolve()
	cluster := cqltest.Start(t, cqltest.Config{})
	hosts := make([]string, 12)
	for i := range hosts {
		hosts[i] = hang(t)
	}
	silent := cqltest.Start(t, cqltest.Config{})
	silent.Node(0).Silence(true)
	config := func(hosts ...string) cassandra.Config {
		return cassandra.Config{Hosts: hosts, ConnectTimeout: patience, Profiles: scriptedProfiles(), DefaultProfile: "read"}
	}
	for name, c := range map[string]cassandra.Config{
		"all hang":      config(hosts...),
		"silent node":   config(silent.Node(0).Address()),
		"no such name":  config("nothing.test", hosts[0]),
		"hung on login": config(hosts[0], "nothing.test"),
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		begun := time.Now()
		_, err := cassandra.Connect(ctx, c)
		// The hosts alone would take their ConnectTimeout each.
		if took := time.Since(begun); took > patience/2 || !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, cassandra.ErrUnavailable) {
			t.Errorf("%s: after %v: %v", name, took, err)
		}
		cancel()
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := cassandra.Connect(over, config(hosts...)); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that is over: %v", err)
	}
	begun := time.Now()
	s, err := cassandra.Connect(t.Context(), config(append(slices.Clone(hosts), cluster.Node(0).Address())...))
	if err != nil || time.Since(begun) > patience/2 {
		t.Fatalf("a good host behind those that hang: after %v: %v", time.Since(begun), err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestConnectDoesNotHammer: what trying again can't change ends it with one login.
func TestConnectDoesNotHammer(t *testing.T) {
	for _, c := range []struct {
		name, refuse, says string
		config             cqltest.Config
	}{
		{name: "another password", says: "credentials", config: cqltest.Config{Username: "me", Password: "right"}},
		{name: "no right to log in", refuse: "me is not permitted to log in", says: "not permitted to log in", config: cqltest.Config{Username: "me", Password: "wrong"}},
		{name: "no password kept", refuse: "Password must not be null", says: "must not be null", config: cqltest.Config{Username: "me", Password: "wrong"}},
		{name: "another way to log in", says: `"org.example.Kerberos"; if it takes`, config: cqltest.Config{Username: "me", Password: "wrong", Authenticator: "org.example.Kerberos"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cluster := cqltest.Start(t, c.config)
			cluster.Refuse(c.refuse)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			_, err := cassandra.Connect(ctx, cassandra.Config{Hosts: cluster.Hosts(), Port: cluster.Port(), Username: "me", Password: "wrong", Profiles: scriptedProfiles(), DefaultProfile: "read"})
			if !errors.Is(err, cassandra.ErrInvalid) || !strings.Contains(err.Error(), c.says) || ctx.Err() != nil || strings.Contains(err.Error(), "Hosts and Port") {
				t.Errorf("%v", err)
			}
			if n := cluster.Node(0).Logins(); n > 2 {
				t.Errorf("%d logins", n)
			}
		})
	}
	named := cqltest.Start(t, cqltest.Config{Username: "me", Password: "right", Authenticator: "org.example.Passwords"})
	s, err := cassandra.Connect(t.Context(), cassandra.Config{Hosts: named.Hosts(), Port: named.Port(), Keyspace: `"ks"`, Username: "me", Password: "right",
		Authenticators: []string{"org.example.Passwords"}, Profiles: scriptedProfiles(), DefaultProfile: "read"})
	if err != nil {
		t.Fatalf("an authenticator that is allowed by name, and a keyspace in quotes: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestPasswordsRotate: a session whose password was changed says why it is out, does not
// hammer, and goes on once Credentials returns the new one (gocql#1238).
func TestPasswordsRotate(t *testing.T) {
	cluster := cqltest.Start(t, cqltest.Config{Username: "me", Password: "old"})
	cluster.On(selectV, selects)
	var secret atomic.Value
	secret.Store(cassandra.Secret("old"))
	s := scriptedSession(t, cluster, func(c *cassandra.Config) {
		c.Credentials = func(ctx context.Context) (string, cassandra.Secret, error) {
			return "me", secret.Load().(cassandra.Secret), ctx.Err()
		}
	})
	ask := func() error { return s.Query(selectV, "a").Profile("brief").Exec() }
	if err := ask(); err != nil {
		t.Fatal(err)
	}
	cluster.Login("me", "new")
	cluster.Node(0).Drop()
	before := cluster.Node(0).Logins()
	begun := time.Now()
	eventually(t, "callers learn why", func() bool {
		err := ask()
		return errors.Is(err, cassandra.ErrUnavailable) && strings.Contains(err.Error(), "credentials are refused")
	})
	if per := float64(cluster.Node(0).Logins()-before) / max(1, time.Since(begun).Seconds()); per > 6 {
		t.Errorf("%.1f logins per second", per)
	}
	secret.Store(cassandra.Secret("new"))
	eventually(t, "the new password is shown", func() bool { return ask() == nil })

	for name, bad := range map[string]func(context.Context) (string, cassandra.Secret, error){
		"error": func(context.Context) (string, cassandra.Secret, error) {
			return "", "", errors.New("the vault is shut")
		},
		"panic": func(context.Context) (string, cassandra.Secret, error) { panic(errors.New("hunter2")) },
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		_, err := cassandra.Connect(ctx, cassandra.Config{Hosts: cluster.Hosts(), Port: cluster.Port(), Credentials: bad, Profiles: scriptedProfiles(), DefaultProfile: "read"})
		if !errors.Is(err, cassandra.ErrUnavailable) || !strings.Contains(err.Error(), "credentials") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
	}
}

// TestOldProtocol: a node that speaks version 3 only, and closes what begins with another.
func TestOldProtocol(t *testing.T) {
	cluster, s := scripted(t, cqltest.Config{Nodes: 2, Version: 3}, func(c *cassandra.Config) {
		c.Payload = func(context.Context) map[string][]byte { return map[string][]byte{"a": {1}} }
	})
	cluster.On(selectV, selects)
	cluster.On(insertV, cqltest.Statement{Answer: (*cqltest.Request).Void})
	for range 4 {
		var v string
		if err := s.Query(selectV, "a").Scan(&v); err != nil || v != "x" {
			t.Fatalf("%q, %v", v, err)
		}
	}
	if err := s.NewBatch(cassandra.LoggedBatch).Query(insertV, "a", "b").Profile("write").Exec(); err != nil {
		t.Error(err)
	}
}

// TestConfigSaysWhatIsWrong before anything is asked of the network.
func TestConfigSaysWhatIsWrong(t *testing.T) {
	good := cassandra.Config{Hosts: []string{"10.0.0.1"}, Profiles: scriptedProfiles()}
	for name, c := range map[string]struct {
		change func(*cassandra.Config)
		says   string
	}{
		"a URL":            {func(c *cassandra.Config) { c.Hosts = []string{"cassandra://host"} }, "Hosts[0]"},
		"a list":           {func(c *cassandra.Config) { c.Hosts = []string{"a,b"} }, "Hosts[0]"},
		"a quote":          {func(c *cassandra.Config) { c.Keyspace = `a"b` }, "Keyspace"},
		"no password":      {func(c *cassandra.Config) { c.Username = "me" }, "Password"},
		"both credentials": {func(c *cassandra.Config) { c.Username, c.Password, c.Credentials = "me", "x", noCredentials }, "Credentials"},
	} {
		bad := good
		c.change(&bad)
		if err := bad.Check(); !errors.Is(err, cassandra.ErrConfig) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	for name, guard := range map[string]resilience.Policy{
		"none": {}, "a name": {Name: "orders"}, "a limit": {Name: "orders", Bulkhead: resilience.BulkheadPolicy{Limit: 7}},
	} {
		good.Guard = guard
		got := good.Policies()[0]
		if got.Breaker == nil || got.Budget == nil || got.Bulkhead.Limit == 0 || guard.Bulkhead.Limit > 0 && got.Bulkhead.Limit != 7 || guard.Name != "" && got.Name != guard.Name {
			t.Errorf("a guard with %s: %+v", name, got)
		}
	}
	var read struct{ Password cassandra.Secret }
	written, err := json.Marshal(struct{ Password cassandra.Secret }{"hunter2"})
	if err != nil || strings.Contains(string(written), "hunter2") {
		t.Errorf("%s, %v", written, err)
	}
	if err := json.Unmarshal(written, &read); err == nil || !strings.Contains(err.Error(), "put the secret itself") {
		t.Errorf("what was printed is read as %q: %v", read.Password, err)
	}
}

func noCredentials(context.Context) (string, cassandra.Secret, error) { return "", "", nil }

package cassandra_test

import (
	"context"
	"crypto/tls"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/datastax/go-cassandra-native-protocol/message"

	"github.com/backstay-go/backstay/clients/cassandra"
	"github.com/backstay-go/backstay/internal/cqltest"
)

// TestConnectNamesWhatIsWrong: an error that another try can't change ends Connect at once, and
// says what to change.
func TestConnectNamesWhatIsWrong(t *testing.T) {
	server, trust := certificate(t)
	secured := cqltest.Start(t, cqltest.Config{Username: user, Password: password, TLS: server})
	open := cqltest.Start(t, cqltest.Config{Nodes: 2, DCs: []string{"east", "west"}})
	for _, c := range []struct {
		name    string
		cluster *cqltest.Cluster
		change  func(*cassandra.Config)
		kind    error
		says    []string
	}{
		{"the right ones", secured, func(c *cassandra.Config) {}, nil, nil},
		{"another password", secured, func(c *cassandra.Config) { c.Password = "guess" }, cassandra.ErrInvalid, []string{"credentials", "Password"}},
		{"no credentials", secured, func(c *cassandra.Config) { c.Username, c.Password = "", "" }, cassandra.ErrInvalid, []string{"credentials", "Username"}},
		{"no trust", secured, func(c *cassandra.Config) { c.TLS = &tls.Config{} }, cassandra.ErrInvalid, []string{"check TLS.RootCAs", "certificate"}},
		{"another name", secured, func(c *cassandra.Config) { c.TLS = &tls.Config{RootCAs: trust, ServerName: "elsewhere.test"} }, cassandra.ErrInvalid, []string{"TLS.ServerName", "elsewhere.test"}},
		{"a keyspace that is missing", secured, func(c *cassandra.Config) { c.Keyspace = "nowhere" }, cassandra.ErrInvalid, []string{"nowhere", "does not exist"}},
		{"another data centre", open, func(c *cassandra.Config) { c.TLS, c.LocalDC = nil, "south" }, cassandra.ErrConfig, []string{"south", "east, west"}},
		{"TLS with a node that has none", open, func(c *cassandra.Config) { c.ConnectTimeout = 200 * time.Millisecond }, cassandra.ErrUnavailable, []string{"127.0.0.1", "Port"}},
		{"no TLS with a node that wants it", secured, func(c *cassandra.Config) { c.TLS, c.ConnectTimeout = nil, 200*time.Millisecond }, cassandra.ErrUnavailable, []string{"127.0.0.1", "whether the nodes want TLS"}},
		{"a port where nobody listens", secured, func(c *cassandra.Config) { c.Port = 1 }, cassandra.ErrUnavailable, []string{"127.0.0.1", "Port"}},
		{"a name that nothing resolves", secured, func(c *cassandra.Config) { c.Hosts = []string{"nothing.test"} }, cassandra.ErrUnavailable, []string{"nothing.test"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			resolve()
			cfg := cassandra.Config{Hosts: c.cluster.Hosts(), Port: c.cluster.Port(), Keyspace: "ks", Username: user, Password: password,
				TLS: &tls.Config{RootCAs: trust}, Profiles: scriptedProfiles(), DefaultProfile: "read"}
			c.change(&cfg)
			limit := patience
			if errors.Is(c.kind, cassandra.ErrUnavailable) {
				limit = 500 * time.Millisecond // it goes on trying until then
			}
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			s, err := cassandra.Connect(ctx, cfg)
			if err == nil {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}
			if !errors.Is(err, c.kind) || ctx.Err() != nil && !errors.Is(c.kind, cassandra.ErrUnavailable) {
				t.Fatalf("%v; want %v", err, c.kind)
			}
			for _, says := range c.says {
				if !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "unable to discover") {
					t.Errorf("%v: does not say %q, or more than that", err, says)
				}
			}
		})
	}
}

// TestWrongStatementsNeverLeave: what the text and the profile tell is refused before
// anything is sent.
func TestWrongStatementsNeverLeave(t *testing.T) {
	cluster, s := scripted(t, cqltest.Config{})
	for _, c := range []struct{ profile, cql, says string }{
		{"write", "UPDATE t SET n = n + 1 WHERE id = 'a'", "adds"},
		{"write", "UPDATE t SET n = n - ? WHERE id = 'a'", "adds a number"},
		{"write", "UPDATE t SET n += 1 WHERE id = 'a'", "adds"},
		{"write", "UPDATE t SET l = l + ['x'] WHERE id = 'a'", "adds"},
		{"write", "INSERT INTO t (id, v) VALUES (uuid(), ?)", "uuid()"},
		{"write", "INSERT INTO t (id, v) VALUES (now(), ?)", "now() makes another value each time; run it under a profile that is not"},
		{"write", "INSERT INTO t (id, v) VALUES ('a', ?) IF NOT EXISTS", "conditional"},
		{"cas", "INSERT INTO t (id, v) VALUES ('a', ?) IF NOT EXISTS", "CAS"},
		{"nobody", "SELECT v FROM t", "nobody"},
	} {
		cluster.On(c.cql, cqltest.Statement{Answer: (*cqltest.Request).Void})
		var args []any
		if strings.Contains(c.cql, "?") {
			args = []any{1}
		}
		for name, err := range map[string]error{
			"alone":      s.Query(c.cql, args...).Profile(c.profile).Exec(),
			"in a batch": s.NewBatch(cassandra.LoggedBatch).Query(c.cql, args...).Profile(c.profile).Exec(),
		} {
			if !errors.Is(err, cassandra.ErrInvalid) && !errors.Is(err, cassandra.ErrConfig) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s, %s: %v; want it to say %q", c.cql, name, err, c.says)
			}
		}
		if got := cluster.Count(c.cql); got != 0 {
			t.Errorf("%s: was sent %d times", c.cql, got)
		}
	}
	for name, run := range map[string]func() error{
		"CAS without IF":     func() error { _, err := s.Query(insertV, "a", "b").Profile("cas").CAS(); return err },
		"ScanCAS without IF": func() error { _, err := s.Query(insertV, "a", "b").Profile("cas").ScanCAS(); return err },
		"an empty batch":     func() error { return s.NewBatch(cassandra.LoggedBatch).Profile("write").Exec() },
		"no kind of batch":   func() error { return s.NewBatch(9).Query(insertV, "a", "b").Profile("write").Exec() },
		"too few values":     func() error { return s.Query(insertV, "a").Profile("write").Exec() },
	} {
		cluster.On(insertV, cqltest.Statement{Answer: (*cqltest.Request).Void})
		if err := run(); !errors.Is(err, cassandra.ErrInvalid) || cluster.Count(insertV) != 0 {
			t.Errorf("%s: %v, sent %d times", name, err, cluster.Count(insertV))
		}
	}
}

// TestPageSizeOfOneExecution: that of the profile, or its own.
func TestPageSizeOfOneExecution(t *testing.T) {
	cluster, s := scripted(t, cqltest.Config{}, func(c *cassandra.Config) {
		small := c.Profiles["read"]
		small.PageSize = 7
		c.Profiles["small"] = small
	})
	cluster.On(selectV, selects)
	for _, q := range []*cassandra.Query{
		s.Query(selectV, "a"), s.Query(selectV, "a").Profile("small"), s.Query(selectV, "a").Profile("small").PageSize(3), s.Query(selectV, "a").PageSize(3).Profile("small"),
	} {
		if err := q.Exec(); err != nil {
			t.Fatal(err)
		}
	}
	var sizes []int
	for _, r := range cluster.Received(selectV) {
		sizes = append(sizes, r.PageSize)
	}
	if want := []int{1000, 7, 3, 3}; !slices.Equal(sizes, want) {
		t.Errorf("asked for pages of %v rows, want %v", sizes, want)
	}
}

// TestConditionalWritesInGocqlsForm: ScanCAS and MapScanCAS.
func TestConditionalWritesInGocqlsForm(t *testing.T) {
	cluster, s := scripted(t, cqltest.Config{})
	now := cqltest.Columns("[applied] boolean, v text")
	cluster.On(casV, cqltest.Statement{Answer: func(r *cqltest.Request) {
		if r.Nth%2 == 1 {
			r.Applied()
			return
		}
		r.RowsOf(now, []any{false, "theirs"})
	}})
	q := func() *cassandra.Query { return s.Query(casV, "a", "b", "c").Profile("cas") }
	var v string
	if applied, err := q().ScanCAS(&v); !applied || err != nil || v != "" {
		t.Errorf("applied: %v %q %v", applied, v, err)
	}
	if applied, err := q().ScanCAS(&v); applied || err != nil || v != "theirs" {
		t.Errorf("not applied: %v %q %v", applied, v, err)
	}
	m := map[string]any{}
	if applied, err := q().MapScanCAS(m); !applied || err != nil || len(m) != 0 {
		t.Errorf("applied: %v %v %v", applied, m, err)
	}
	if applied, err := q().MapScanCAS(m); applied || err != nil || m["v"] != "theirs" {
		t.Errorf("not applied: %v %v %v", applied, m, err)
	}
	if got := cluster.Received(casV)[0]; got.Serial != uint16(cassandra.LocalSerial) || got.Consistency != uint16(cassandra.LocalQuorum) {
		t.Errorf("sent at %+v", got)
	}
	for name, answer := range map[string]message.Message{"nothing": &message.VoidResult{}} {
		cluster.On(casV, cqltest.Statement{Answer: func(r *cqltest.Request) { r.Send(answer) }})
		if res, err := q().CAS(); res.Outcome != cassandra.Unknown || !errors.Is(err, cassandra.ErrOutcomeUnknown) {
			t.Errorf("answered %s: %v, %v", name, res.Outcome, err)
		}
	}
}

// TestUpdateSwapsProfiles, but for what only a new session can have.
func TestUpdateSwapsProfiles(t *testing.T) {
	cluster, s := scripted(t, cqltest.Config{})
	cluster.On(selectV, selects)
	guard := cassandra.DefaultGuard()
	profiles := scriptedProfiles()
	p := profiles["read"]
	p.Consistency = cassandra.One
	profiles["read"] = p
	if err := errors.Join(s.Update(profiles, guard), s.Query(selectV, "a").Exec()); err != nil {
		t.Fatal(err)
	}
	if got := cluster.Received(selectV)[0].Consistency; got != uint16(cassandra.One) {
		t.Errorf("asked at %v", cassandra.Consistency(got))
	}
	p.Timeout = time.Hour
	profiles["read"] = p
	if err := s.Update(profiles, guard); !errors.Is(err, cassandra.ErrConfig) || !strings.Contains(err.Error(), "1h0m0s") || !strings.Contains(err.Error(), "new session") {
		t.Errorf("a timeout that the driver was not made for: %v", err)
	}
	p.Consistency = 0
	profiles["read"] = p
	if err := s.Update(profiles, guard); !errors.Is(err, cassandra.ErrConfig) || !strings.Contains(err.Error(), "Consistency") {
		t.Errorf("no level: %v", err)
	}
	if err := s.Query(selectV, "a").Exec(); err != nil {
		t.Errorf("after refused updates: %v", err)
	}
	bad := cassandra.Config{Hosts: []string{"127.0.0.1"}, Profiles: scriptedProfiles(), OrphanLimit: 20000}
	if err := bad.Check(); !errors.Is(err, cassandra.ErrConfig) || !strings.Contains(err.Error(), "OrphanLimit") {
		t.Errorf("more orphans than streams: %v", err)
	}
}

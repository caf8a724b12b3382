package cassandra_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/backstay-go/backstay/clients/cassandra"
	"github.com/backstay-go/backstay/internal/cassandratest"
	"github.com/backstay-go/backstay/resilience"
)

func TestMain(m *testing.M) {
	resolveHere()
	goleak.VerifyTestMain(m)
}

// profiles are those of the tests on real nodes.
func profiles() map[string]cassandra.Profile {
	op := resilience.OperationPolicy{Timeout: 20 * time.Second, AttemptTimeout: 15 * time.Second}
	idempotent := op
	idempotent.Idempotent = true
	return map[string]cassandra.Profile{
		"schema": {OperationPolicy: op, Consistency: cassandra.Quorum},
		"write":  {OperationPolicy: idempotent, Consistency: cassandra.LocalQuorum},
		"add":    {OperationPolicy: op, Consistency: cassandra.LocalQuorum},
		"cas":    {OperationPolicy: op, Consistency: cassandra.LocalQuorum, SerialConsistency: cassandra.LocalSerial},
		"read":   {OperationPolicy: idempotent, Consistency: cassandra.LocalQuorum},
		"decide": {OperationPolicy: idempotent, Consistency: cassandra.LocalSerial, Decision: true},
	}
}

func connect(t *testing.T, hosts []string, keyspace string) *cassandra.Session {
	t.Helper()
	s, err := cassandra.Connect(t.Context(), cassandra.Config{Hosts: hosts, Keyspace: keyspace, LocalDC: "dc1", Profiles: profiles(), DefaultProfile: "read"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// table makes a table of counters of all kinds in a separate keyspace.
func table(t *testing.T) *cassandra.Session {
	t.Helper()
	hosts, keyspace := cassandratest.Keyspace(t)
	s := connect(t, hosts, keyspace)
	for _, cql := range []string{
		"CREATE TABLE streams (id text, version int, head int static, data blob, tags set<text>, at timestamp, PRIMARY KEY (id, version))",
		"CREATE TABLE counts (id text PRIMARY KEY, n counter)",
	} {
		if err := s.Query(cql).Profile("schema").Exec(); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	s := table(t)
	at := time.Now().UTC().Truncate(time.Millisecond)
	for v := 1; v <= 25; v++ {
		err := s.Query("INSERT INTO streams (id, version, data, tags, at) VALUES (?, ?, ?, ?, ?)", "a", v, []byte{byte(v)}, []string{"x", "y"}, at).Profile("write").Exec()
		if err != nil {
			t.Fatal(err)
		}
	}
	var data []byte
	var tags []string
	var when time.Time
	q := s.Query("SELECT data, tags, at FROM streams WHERE id = ? AND version = ?", "a", 7)
	if err := q.Scan(&data, &tags, &when); err != nil || len(data) != 1 || data[0] != 7 || strings.Join(tags, " ") != "x y" || !when.Equal(at) {
		t.Errorf("%v %v %v, %v", data, tags, when, err)
	}
	if info := q.Info(); info.Coordinator == "" || info.Attempts != 1 || info.Source != resilience.Live || info.Profile != "read" || info.Consistency != cassandra.LocalQuorum {
		t.Errorf("info %+v", info)
	}
	it := s.Query("SELECT version FROM streams WHERE id = ?", "a").PageSize(10).Iter()
	var got []int
	for v := 0; it.Scan(&v); {
		got = append(got, v)
	}
	if err := it.Close(); err != nil || len(got) != 25 || got[24] != 25 {
		t.Errorf("pages: %v, %v", got, err)
	}
	row := map[string]any{}
	if err := s.Query("SELECT version, tags FROM streams WHERE id = ? LIMIT 1", "a").MapScan(row); err != nil || row["version"] != 1 {
		t.Errorf("row %v, %v", row, err)
	}
	if err := s.Query("SELECT data FROM streams WHERE id = ? AND version = ?", "nobody", 1).Scan(&data); !errors.Is(err, cassandra.ErrNotFound) || !cassandra.IsNotFound(err) {
		t.Errorf("no row: %v", err)
	}
}

func TestConditionalWritesHaveThreeOutcomes(t *testing.T) {
	s := table(t)
	first := s.NewBatch(cassandra.LoggedBatch).Profile("cas").
		Query("UPDATE streams SET head = ? WHERE id = ? IF head = ?", 2, "b", nil).
		Query("INSERT INTO streams (id, version, data) VALUES (?, ?, ?)", "b", 1, []byte("one")).
		Query("INSERT INTO streams (id, version, data) VALUES (?, ?, ?)", "b", 2, []byte("two"))
	res, err := first.CAS()
	if err != nil || res.Outcome != cassandra.Applied || !res.Applied() {
		t.Fatalf("first: %+v, %v", res, err)
	}
	res, err = s.NewBatch(cassandra.LoggedBatch).Profile("cas").
		Query("UPDATE streams SET head = ? WHERE id = ? IF head = ?", 3, "b", 1).
		Query("INSERT INTO streams (id, version) VALUES (?, ?)", "b", 3).CAS()
	if err != nil || res.Outcome != cassandra.NotApplied || len(res.Current) == 0 || res.Current[0]["head"] != 2 {
		t.Errorf("rival: %+v, %v", res, err)
	}
	var n int
	if err := s.Query("SELECT count(*) FROM streams WHERE id = ?", "b").Profile("decide").Scan(&n); err != nil || n != 2 {
		t.Errorf("%d rows at LOCAL_SERIAL, want 2: %v", n, err)
	}
	current := map[string]any{}
	applied, err := s.Query("UPDATE streams SET head = 9 WHERE id = ? IF head = ?", "b", 7).Profile("cas").MapScanCAS(current)
	if err != nil || applied || current["head"] != 2 {
		t.Errorf("single: %v %v, %v", applied, current, err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for range 8 {
		wg.Go(func() {
			res, err := s.Query("UPDATE streams SET head = 1 WHERE id = ? IF head = ?", "race", nil).Profile("cas").CAS()
			mu.Lock()
			defer mu.Unlock()
			switch {
			case res.Outcome == cassandra.Unknown && errors.Is(err, cassandra.ErrOutcomeUnknown):
			case err != nil:
				t.Error(err)
			case res.Applied():
				won++
			}
		})
	}
	wg.Wait()
	if won > 1 {
		t.Errorf("%d of 8 rivals won", won)
	}
}

func TestWrongRequestsSaySo(t *testing.T) {
	s := table(t)
	for _, c := range []struct {
		name string
		run  func() error
		says string
	}{
		{"syntax", func() error { return s.Query("SELEKT 1").Exec() }, "SELEKT"},
		{"no such table", func() error { return s.Query("SELECT a FROM nothing").Exec() }, "nothing"},
		{"too few values", func() error { return s.Query("SELECT version FROM streams WHERE id = ?").Exec() }, "value"},
		{"too many values", func() error { return s.Query("SELECT version FROM streams WHERE id = ?", "a", "b").Exec() }, "value"},
		{"a value of another type", func() error { return s.Query("SELECT data FROM streams WHERE id = ? AND version = ?", "a", "b").Exec() }, ""},
		{"no such profile", func() error { return s.Query("SELECT version FROM streams").Profile("fast").Exec() }, "fast"},
		{"counter, idempotent", func() error { return s.Query("UPDATE counts SET n = n + 1 WHERE id = 'a'").Profile("write").Exec() }, "idempotent"},
		{"now(), idempotent", func() error {
			return s.Query("INSERT INTO streams (id, version, at) VALUES ('a', 1, toTimestamp(now()))").Profile("write").Exec()
		}, "now()"},
		{"conditional by Exec", func() error {
			return s.Query("UPDATE streams SET head = 1 WHERE id = 'x' IF head = null").Profile("cas").Exec()
		}, "CAS"},
		{"CAS without IF", func() error {
			_, err := s.Query("UPDATE streams SET head = 1 WHERE id = 'x'").Profile("cas").CAS()
			return err
		}, "IF"},
		{"conditional under a profile without serial level", func() error {
			_, err := s.Query("UPDATE streams SET head = 1 WHERE id = 'x' IF head = null").Profile("add").CAS()
			return err
		}, "SerialConsistency"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.run()
			if !errors.Is(err, cassandra.ErrInvalid) && !errors.Is(err, cassandra.ErrConfig) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v; want ErrInvalid saying %q", err, c.says)
			}
			if errors.Is(err, cassandra.ErrOutcomeUnknown) {
				t.Errorf("a wrong request has a known outcome: %v", err)
			}
		})
	}
	if err := s.Query("UPDATE counts SET n = n + 1 WHERE id = 'a'").Profile("add").Exec(); err != nil {
		t.Errorf("a counter: %v", err)
	}
	if got := s.Guard().Snapshot().Failures; got != 0 {
		t.Errorf("wrong requests count as %d failures of the cluster", got)
	}
}

func TestCallersThatGoAndSessionsThatClose(t *testing.T) {
	s := table(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Query("SELECT version FROM streams").WithContext(ctx).Exec(); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Query("SELECT version FROM streams").Exec(); !errors.Is(err, cassandra.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestConnectSaysWhatIsWrong(t *testing.T) {
	hosts := cassandratest.Hosts(t)
	base := cassandra.Config{Hosts: hosts, Profiles: profiles(), DefaultProfile: "read"}
	for _, c := range []struct {
		name   string
		change func(*cassandra.Config)
		want   error
		says   string
	}{
		{"data centre", func(c *cassandra.Config) { c.LocalDC = "dc9" }, cassandra.ErrConfig, "dc1"},
		{"keyspace", func(c *cassandra.Config) { c.Keyspace = "nowhere" }, cassandra.ErrInvalid, "nowhere"},
		{"no hosts", func(c *cassandra.Config) { c.Hosts = nil }, cassandra.ErrConfig, "Hosts"},
		{"both serial levels", func(c *cassandra.Config) {
			c.Profiles["other"] = cassandra.Profile{OperationPolicy: c.Profiles["cas"].OperationPolicy, Consistency: cassandra.Quorum, SerialConsistency: cassandra.Serial}
		}, cassandra.ErrConfig, "do not see each other"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := base
			cfg.Profiles = profiles()
			c.change(&cfg)
			s, err := cassandra.Connect(t.Context(), cfg)
			if err == nil {
				_ = s.Close()
			}
			if !errors.Is(err, c.want) || !strings.Contains(fmt.Sprint(err), c.says) {
				t.Errorf("%v; want %v saying %q", err, c.want, c.says)
			}
		})
	}
}

func TestNobodyThere(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := cassandra.Connect(ctx, cassandra.Config{Hosts: []string{"127.0.0.1"}, Port: 1, Profiles: profiles(), DefaultProfile: "read"})
	if !errors.Is(err, cassandra.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "127.0.0.1") {
		t.Errorf("got %v", err)
	}
}

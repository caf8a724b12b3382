package driverv2test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/backstay-go/backstay/clients/cassandra"
	"github.com/backstay-go/backstay/clients/cassandra/internal/driver"
	"github.com/backstay-go/backstay/clients/cassandra/internal/gocqldriver"
	"github.com/backstay-go/backstay/internal/cassandratest"
	"github.com/backstay-go/backstay/resilience"
)

// The protocol's codes of the levels that the suite uses.
const (
	localQuorum = 0x06
	localSerial = 0x09
)

// TestBothDrivers runs the suite over both drivers, on the same nodes.
func TestBothDrivers(t *testing.T) {
	hosts, keyspace := cassandratest.Keyspace(t)
	// The tables are created by a session: it waits until all nodes have the schema, and the drivers
	// below it do not.
	session, err := cassandra.Connect(t.Context(), cassandra.Config{Hosts: hosts, Keyspace: keyspace, Profiles: map[string]cassandra.Profile{
		"schema": {OperationPolicy: resilience.OperationPolicy{Timeout: time.Minute}, Consistency: cassandra.LocalQuorum},
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"gocql", "apache"} {
		q := session.Query("CREATE TABLE " + table + " (id text, version int, head int static, data blob, PRIMARY KEY (id, version))").WithContext(t.Context()).Profile("schema")
		if err := errors.Join(q.Exec(), session.AwaitSchemaAgreement(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
	if err := session.Close(); err != nil {
		t.Fatal(err)
	}
	for _, d := range []struct {
		name    string
		connect func(driver.Config) (driver.Session, error)
	}{
		{"gocql", func(c driver.Config) (driver.Session, error) { return gocqldriver.Connect(t.Context(), c, nil) }},
		{"apache", Connect},
	} {
		t.Run(d.name, func(t *testing.T) {
			s, err := d.connect(driver.Config{Hosts: hosts, Port: 9042, Keyspace: keyspace, LocalDC: "dc1", Connections: 1,
				ConnectTimeout: 10 * time.Second, RequestTimeout: 20 * time.Second, Nodes: driver.NewNodes(driver.Limits{})})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			u := &suite{s: s, table: d.name}
			t.Run("pages", u.pages)
			t.Run("conditional statement", u.conditional)
			t.Run("conditional batch", u.batch)
			t.Run("failures", u.failures)
			s.Close()
			u.fails(t, t.Context(), u.request("SELECT head FROM "+u.table), driver.Closed, -1)
		})
	}
}

type suite struct {
	s     driver.Session
	table string
}

func (u *suite) request(cql string, args ...any) *driver.Request {
	return &driver.Request{Statements: []driver.Statement{{CQL: cql, Args: args}}, Consistency: localQuorum, PageSize: 100}
}

func (u *suite) do(t *testing.T, r *driver.Request) driver.Page {
	t.Helper()
	call := &driver.Call{}
	page, err := u.s.Do(t.Context(), r, call)
	if err != nil {
		t.Fatalf("%s: %v", r.Statements[0].CQL, err)
	}
	if !call.Sent() || page.Coordinator() == "" {
		t.Errorf("%s: sent %v, coordinator %q", r.Statements[0].CQL, call.Sent(), page.Coordinator())
	}
	return page
}

func (u *suite) fails(t *testing.T, ctx context.Context, r *driver.Request, cause driver.Cause, code int) *driver.Failure {
	t.Helper()
	_, err := u.s.Do(ctx, r, &driver.Call{})
	var f *driver.Failure
	if !errors.As(err, &f) || f.Cause != cause || f.Code != code {
		t.Fatalf("%s: %#v; want %v with code %#x", r.Statements[0].CQL, err, cause, code)
	}
	return f
}

// pages: what is written is read, page after page, each asked for by itself.
func (u *suite) pages(t *testing.T) {
	for v := range 25 {
		u.do(t, u.request("INSERT INTO "+u.table+" (id, version, data) VALUES (?, ?, ?)", "p", v, []byte{byte(v)}))
	}
	r := u.request("SELECT version, data FROM "+u.table+" WHERE id = ?", "p")
	r.PageSize = 10
	var got, sizes []int
	for {
		page := u.do(t, r)
		sizes = append(sizes, page.Rows())
		var version int
		var data []byte
		for page.Next(&version, &data) {
			got = append(got, version+100*int(data[0]))
		}
		if err := page.Err(); err != nil {
			t.Fatal(err)
		}
		if len(page.State()) == 0 {
			break
		}
		r.PageState = page.State()
	}
	if len(got) != 25 || got[24] != 2424 || !slices.Equal(sizes, []int{10, 10, 5}) {
		t.Errorf("rows %v in pages of %v", got, sizes)
	}
}

func (u *suite) conditional(t *testing.T) {
	insert := u.request("INSERT INTO "+u.table+" (id, version, data) VALUES (?, ?, ?) IF NOT EXISTS", "c", 1, []byte("x"))
	insert.Conditional, insert.Serial = true, localSerial
	for _, want := range []bool{true, false} {
		row, ok := u.do(t, insert).Row()
		if !ok || row["[applied]"] != want || !want && fmt.Sprint(row["data"]) != "[120]" {
			t.Errorf("applied %v: %v, %v", want, row, ok)
		}
	}
	read := u.request("SELECT version FROM "+u.table+" WHERE id = ?", "c")
	read.Consistency = localSerial
	row := map[string]any{}
	if page := u.do(t, read); !page.NextMap(row) || row["version"] != 1 || page.NextMap(row) {
		t.Errorf("at LOCAL_SERIAL: %v", row)
	}
}

func (u *suite) batch(t *testing.T) {
	move := func(head int, from any) *driver.Request {
		return &driver.Request{Batch: driver.Logged, Conditional: true, Consistency: localQuorum, Serial: localSerial, Statements: []driver.Statement{
			{CQL: "UPDATE " + u.table + " SET head = ? WHERE id = ? IF head = ?", Args: []any{head, "b", from}},
			{CQL: "INSERT INTO " + u.table + " (id, version) VALUES (?, ?)", Args: []any{"b", head}},
		}}
	}
	for _, c := range []struct {
		head    int
		from    any
		applied bool
	}{{1, nil, true}, {2, nil, false}, {2, 1, true}} {
		row, ok := u.do(t, move(c.head, c.from)).Row()
		if !ok || row["[applied]"] != c.applied || !c.applied && row["head"] != 1 {
			t.Errorf("%d from %v: %v, %v", c.head, c.from, row, ok)
		}
	}
	plain := &driver.Request{Batch: driver.Unlogged, Consistency: localQuorum, Timestamp: 1234567890, Statements: []driver.Statement{
		{CQL: "INSERT INTO " + u.table + " (id, version, data) VALUES (?, ?, ?)", Args: []any{"w", 1, []byte("x")}}}}
	u.do(t, plain)
	var at int64
	if page := u.do(t, u.request("SELECT writetime(data) FROM "+u.table+" WHERE id = ?", "w")); !page.Next(&at) || at != 1234567890 {
		t.Errorf("written at %d, %v", at, page.Err())
	}
}

func (u *suite) failures(t *testing.T) {
	u.fails(t, t.Context(), u.request("SELEKT 1"), driver.Syntax, 0x2000)
	u.fails(t, t.Context(), u.request("SELECT nothing FROM "+u.table), driver.Invalid, 0x2200)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if f := u.fails(t, over, u.request("SELECT head FROM "+u.table), driver.Canceled, -1); f.Sent || !errors.Is(f, context.Canceled) {
		t.Errorf("canceled before it was sent: %+v", f)
	}
}

package cassandra_test

import (
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/backstay-go/backstay/clients/cassandra"
	"github.com/backstay-go/backstay/clients/cassandra/cqltype"
	"github.com/backstay-go/backstay/internal/cassandratest"
)

// otherUUID is one as UUID libraries have it.
type otherUUID [16]byte

type address struct {
	Street  string
	ZipCode int
	Phones  []string
}

type pair struct {
	N int
	S *string
}

func ddl(t *testing.T, s *cassandra.Session, statements ...string) {
	t.Helper()
	for _, cql := range statements {
		if err := s.Query(cql).Profile("schema").Exec(); err != nil {
			t.Fatalf("%s: %v", cql, err)
		}
	}
}

// TestEachTypeGoesThereAndBack binds a value of each type of CQL, scans it into its Go
// type and into its pointer, reads it as a map, and does the same with null.
func TestEachTypeGoesThereAndBack(t *testing.T) {
	s := table(t)
	ddl(t, s, "CREATE TYPE address (street text, zip_code int, phones frozen<list<text>>)")
	uuid := cqltype.UUID{0: 1, 6: 0x10, 8: 0x80, 15: 9}
	text := "x"
	old := time.Date(1960, 5, 5, 23, 0, 0, 0, time.UTC)
	huge, _ := new(big.Int).SetString("123456789012345678901234567890", 10)
	home := address{"Main", 12345, []string{"1", "2"}}
	homeMap := map[string]any{"street": "Main", "zip_code": 12345, "phones": []string{"1", "2"}}
	all := []struct {
		cql       string
		bind      any
		want      any // as its Go type; nil: bind
		asMap     any // nil: want
		otherwise []any
	}{
		{cql: "text", bind: "it's"},
		{cql: "ascii", bind: ""},
		{cql: "blob", bind: []byte{1, 0}},
		{cql: "blob", bind: []byte{}},
		{cql: "boolean", bind: true},
		{cql: "tinyint", bind: int8(-3)},
		{cql: "smallint", bind: int16(-3)},
		{cql: "int", bind: -3},
		{cql: "bigint", bind: int64(1) << 40},
		{cql: "float", bind: float32(1.5)},
		{cql: "double", bind: 2.5},
		{cql: "varint", bind: huge},
		{cql: "decimal", bind: cqltype.Decimal{Unscaled: big.NewInt(-1250), Scale: 2}},
		{cql: "timestamp", bind: time.UnixMilli(1234567890123).UTC()},
		{cql: "date", bind: old, want: old.Truncate(24 * time.Hour)},
		{cql: "time", bind: 3 * time.Hour},
		{cql: "duration", bind: cqltype.Duration{Months: 1, Days: 2, Nanoseconds: 3}},
		{cql: "uuid", bind: uuid, otherwise: []any{otherUUID(uuid), [16]byte(uuid), uuid.String()}},
		{cql: "timeuuid", bind: uuid, otherwise: []any{otherUUID(uuid)}},
		{cql: "inet", bind: netip.MustParseAddr("10.1.2.3"), asMap: "10.1.2.3", otherwise: []any{net.IPv4(10, 1, 2, 3).To4(), "10.1.2.3"}},
		{cql: "inet", bind: netip.MustParseAddr("2001:db8::1"), asMap: "2001:db8::1"},
		{cql: "list<int>", bind: []int{3, 1}},
		{cql: "set<text>", bind: []string{"a", "b"}, otherwise: []any{map[string]struct{}{"a": {}, "b": {}}}},
		{cql: "map<text, int>", bind: map[string]int{"a": 1}},
		{cql: "map<uuid, inet>", bind: map[cqltype.UUID]string{uuid: "10.1.2.3"}, otherwise: []any{map[otherUUID]netip.Addr{otherUUID(uuid): netip.MustParseAddr("10.1.2.3")}}},
		{cql: "map<blob, int>", bind: map[string]int{"\x01": 1}},
		{cql: "map<frozen<list<int>>, text>", bind: []cqltype.Entry{{Key: []int{1, 2}, Value: "x"}}},
		{cql: "tuple<int, text>", bind: pair{7, &text}, asMap: []any{7, "x"}, otherwise: []any{[]any{7, "x"}}},
		{cql: "tuple<int, text>", bind: pair{7, nil}, asMap: []any{7, nil}},
		{cql: "list<frozen<tuple<int, text>>>", bind: []pair{{7, &text}}, asMap: [][]any{{7, "x"}}},
		{cql: "frozen<address>", bind: home, asMap: homeMap, otherwise: []any{homeMap}},
		{cql: "address", bind: &home, want: home, asMap: homeMap},
		{cql: "list<frozen<address>>", bind: []address{home}, asMap: []map[string]any{homeMap}},
		{cql: "map<text, frozen<address>>", bind: map[string]address{"home": home}, asMap: map[string]map[string]any{"home": homeMap}},
		{cql: "vector<float, 3>", bind: []float32{1, 2, 3}, otherwise: []any{[3]float32{1, 2, 3}}},
		{cql: "vector<text, 2>", bind: []string{"a", strings.Repeat("b", 300)}},
		{cql: "vector<smallint, 2>", bind: []int16{1, -1}},
		{cql: "vector<date, 1>", bind: []time.Time{old.Truncate(24 * time.Hour)}},
		{cql: "vector<time, 1>", bind: []time.Duration{3}},
		{cql: "vector<boolean, 2>", bind: []bool{true, false}},
		{cql: "vector<uuid, 1>", bind: []cqltype.UUID{uuid}},
		{cql: "vector<varint, 2>", bind: []*big.Int{huge, big.NewInt(1)}},
		{cql: "vector<frozen<list<int>>, 2>", bind: [][]int{{1}, {2, 3}}},
		{cql: "vector<frozen<vector<int, 2>>, 2>", bind: [][]int{{1, 2}, {3, 4}}},
	}
	create := "CREATE TABLE types (id int PRIMARY KEY, z text"
	for i, c := range all {
		create += fmt.Sprintf(", v%d %s", i, c.cql)
	}
	ddl(t, s, create+")")
	for i, c := range all {
		if c.want == nil {
			c.want = c.bind
		}
		if c.asMap == nil {
			c.asMap = c.want
		}
		name := fmt.Sprintf("v%d", i)
		insert, read, scan := "INSERT INTO types (id, "+name+", z) VALUES (?, ?, 'end')", "SELECT * FROM types WHERE id = ?", "SELECT "+name+" FROM types WHERE id = ?"
		for k, bind := range append([]any{c.bind}, c.otherwise...) {
			if err := s.Query(insert, k, bind).Profile("write").Exec(); err != nil {
				t.Errorf("%s: bind %T: %v", c.cql, bind, err)
				continue
			}
			want := reflect.ValueOf(bind)
			if k == 0 {
				want = reflect.ValueOf(c.want)
			}
			into := reflect.New(want.Type())
			if err := s.Query(scan, k).Scan(into.Interface()); err != nil || !reflect.DeepEqual(into.Elem().Interface(), want.Interface()) {
				t.Errorf("%s: scanned %v, want %v: %v", c.cql, into.Elem(), want, err)
			}
			row := map[string]any{}
			if err := s.Query(read, k).MapScan(row); err != nil || !reflect.DeepEqual(row[name], c.asMap) || row["z"] != "end" {
				t.Errorf("%s: the map has %#v, want %#v: %v", c.cql, row[name], c.asMap, err)
			}
		}
		batch := s.NewBatch(cassandra.LoggedBatch).Profile("write").Query(insert, 100, nil).Query(insert, 101, c.bind)
		if err := batch.Exec(); err != nil {
			t.Errorf("%s: null and a value in a batch: %v", c.cql, err)
			continue
		}
		pointer := reflect.New(reflect.PointerTo(reflect.TypeOf(c.want)))
		pointer.Elem().Set(reflect.New(reflect.TypeOf(c.want)))
		row := map[string]any{}
		err := errors.Join(s.Query(scan, 100).Scan(pointer.Interface()), s.Query(read, 100).MapScan(row))
		// The driver can't write a null tuple: its elements are null.
		null := strings.HasPrefix(c.cql, "tuple")
		if err != nil || row[name] != nil && !null || !pointer.Elem().IsNil() && !null {
			t.Errorf("%s: null is %v and %v: %v", c.cql, row[name], pointer.Elem(), err)
		}
		for r := range s.Query(read, 100).Rows() {
			if r.Get(name) != nil && !null {
				t.Errorf("%s: Get has %v for null", c.cql, r.Get(name))
			}
		}
		res, err := s.Query("INSERT INTO types (id, "+name+") VALUES (101, ?) IF NOT EXISTS", c.bind).Profile("cas").CAS()
		if err != nil || res.Outcome != cassandra.NotApplied || len(res.Current) != 1 || !reflect.DeepEqual(res.Current[0][name], c.asMap) {
			t.Errorf("%s: a conditional write: %+v, %v", c.cql, res, err)
		}
		res, err = s.NewBatch(cassandra.LoggedBatch).Query("INSERT INTO types (id, "+name+") VALUES (101, ?) IF NOT EXISTS", c.bind).Profile("cas").CAS()
		if err != nil || res.Outcome != cassandra.NotApplied || len(res.Current) != 1 || !reflect.DeepEqual(res.Current[0][name], c.asMap) {
			t.Errorf("%s: a conditional batch: %+v, %v", c.cql, res, err)
		}
	}
}

// TestNoFieldIsLost: one rule for the fields of rows and of user-defined types, both
// ways, and an error for what has no place (gocql#515, #957).
func TestNoFieldIsLost(t *testing.T) {
	s := table(t)
	ddl(t, s, "CREATE TYPE address (street text, zip_code int, phones frozen<list<text>>)",
		"CREATE TABLE people (id int PRIMARY KEY, home frozen<address>, all_homes list<frozen<address>>, by_name map<text, frozen<address>>)")
	const insert = "INSERT INTO people (id, home, all_homes, by_name) VALUES (:id, :home, :all_homes, :by_name)"
	type person struct {
		ID       int
		Home     *address
		AllHomes []address
		ByName   map[string]address
	}
	at := address{"Main", 12345, nil}
	want := person{1, &at, []address{at}, map[string]address{"x": at}}
	if err := s.Query(insert).BindStruct(want).Profile("write").Exec(); err != nil {
		t.Fatal(err)
	}
	got, err := cassandra.Get[person](s.Query("SELECT * FROM people WHERE id = 1"))
	if err != nil || !reflect.DeepEqual(got.Value, want) {
		t.Errorf("got %+v, %v", got.Value, err)
	}
	type short struct{ Street string }
	type long struct {
		Street, ZipCode, Phones *string
		Floor                   int
	}
	for name, c := range map[string]struct {
		home any
		says string
	}{
		"a field that is missing":  {short{"Main"}, `"zip_code"`},
		"a field without a place":  {long{}, `"floor"`},
		"a misspelt key":           {map[string]any{"street": "Main", "zipcode": 1}, `"zipcode"`},
		"a value of another type":  {map[string]any{"street": 7.5}, `"street"`},
		"a list where there is no": {[]string{"x"}, "address"},
	} {
		for _, run := range []func() error{
			s.Query("INSERT INTO people (id, home) VALUES (?, ?)", 2, c.home).Profile("write").Exec,
			s.NewBatch(cassandra.LoggedBatch).Query("INSERT INTO people (id, home) VALUES (?, ?)", 2, c.home).Profile("write").Exec,
		} {
			if err := run(); !errors.Is(err, cassandra.ErrInvalid) || errors.Is(err, cassandra.ErrOutcomeUnknown) || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), `"home"`) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	var home short
	if err := s.Query("SELECT home FROM people WHERE id = 1").Scan(&home); !errors.Is(err, cassandra.ErrInvalid) || !strings.Contains(err.Error(), `"zip_code"`) {
		t.Errorf("a field that is not read: %v", err)
	}
}

// TestColumnsAreThoseOfTheAnswer: another client alters the table, and a statement that
// was prepared before reads it right (gocql#1056, CASSANDRA-10786).
func TestColumnsAreThoseOfTheAnswer(t *testing.T) {
	hosts, keyspace := cassandratest.Keyspace(t)
	s, other := connect(t, hosts, keyspace), connect(t, hosts, keyspace)
	ddl(t, s, "CREATE TABLE altered (id int PRIMARY KEY, a text, c text, d int)")
	const read = "SELECT * FROM altered WHERE id = 1"
	exec(t, s, "INSERT INTO altered (id, a, c, d) VALUES (1, 'aaa', 'ccc', 7)")
	rows := func(s *cassandra.Session) []map[string]any {
		var all []map[string]any
		for range 6 { // each node
			row := map[string]any{}
			if err := s.Query(read).MapScan(row); err != nil {
				t.Fatal(err)
			}
			all = append(all, row)
		}
		return all
	}
	rows(s)
	ddl(t, other, "ALTER TABLE altered ADD b text")
	exec(t, other, "UPDATE altered SET b = 'bbb' WHERE id = 1")
	rows(other)
	for _, row := range rows(s) {
		if row["a"] != "aaa" || row["b"] != "bbb" || row["c"] != "ccc" || row["d"] != 7 {
			t.Errorf("after ADD: %v", row)
		}
	}
	ddl(t, other, "ALTER TABLE altered DROP a")
	rows(other)
	for _, row := range rows(s) {
		if _, there := row["a"]; there || row["b"] != "bbb" || row["c"] != "ccc" || row["d"] != 7 {
			t.Errorf("after DROP: %v", row)
		}
	}
}

func exec(t *testing.T, s *cassandra.Session, cql string, args ...any) {
	t.Helper()
	if err := s.Query(cql, args...).Profile("add").Exec(); err != nil {
		t.Fatalf("%s: %v", cql, err)
	}
}

// TestWhatMayNotRunTwiceIsRefused: under an idempotent profile, on a node's own word of
// what the columns are. Nothing of it is done.
func TestWhatMayNotRunTwiceIsRefused(t *testing.T) {
	s := table(t)
	ddl(t, s, "CREATE TABLE marks (id int PRIMARY KEY, l list<text>, s set<text>, m map<int, text>)")
	exec(t, s, "INSERT INTO marks (id, l, s, m) VALUES (1, ['a', 'b'], {'a'}, {0: 'x'})")
	exec(t, s, "UPDATE counts SET n = n + 1 WHERE id = 'a'")
	one := int64(1)
	type inc struct{ Inc, L any }
	for name, run := range map[string]*cassandra.Query{
		"counter, pointer":       s.Query("UPDATE counts SET n = n + ? WHERE id = 'a'", &one),
		"counter, text":          s.Query("UPDATE counts SET n = n + ? WHERE id = 'a'", "1"),
		"counter, -=":            s.Query("UPDATE counts SET n -= ? WHERE id = 'a'", 1),
		"counter, quoted":        s.Query(`UPDATE counts SET n = "n" + ? WHERE id = 'a'`, 1),
		"counter, by name":       s.Query("UPDATE counts SET n = n + :inc WHERE id = 'a'").BindStruct(inc{Inc: 1}),
		"counter, literal":       s.Query("UPDATE counts SET n = n - -1 WHERE id = 'a'"),
		"list, slice":            s.Query("UPDATE marks SET l = l + ? WHERE id = 1", []string{"x"}),
		"list, +=":               s.Query("UPDATE marks SET l += ? WHERE id = 1", []string{"x"}),
		"list, before":           s.Query("UPDATE marks SET l = ? + l WHERE id = 1", []string{"x"}),
		"list, by name":          s.Query("UPDATE marks SET l = l + :l WHERE id = 1").BindStruct(inc{L: []string{"x"}}),
		"list, element":          s.Query("DELETE l[0] FROM marks WHERE id = 1"),
		"list, bound element":    s.Query("DELETE l[?] FROM marks WHERE id = 1", 0),
		"list, element is set":   s.Query("UPDATE marks SET l[?] = 'x' WHERE id = 1", 0),
		"counter, batch as text": s.Query("BEGIN COUNTER BATCH UPDATE counts SET n = n + ? WHERE id = 'a' APPLY BATCH", 1),
		"list, batch as text":    s.Query("BEGIN BATCH UPDATE marks SET l = l + ? WHERE id = 1 APPLY BATCH", []string{"x"}),
	} {
		for range 2 { // not prepared, then prepared
			if err := run.Profile("write").Exec(); !errors.Is(err, cassandra.ErrInvalid) || !strings.Contains(err.Error(), "is idempotent, and the statement is not") {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	batch := s.NewBatch(cassandra.LoggedBatch).Profile("write").Query("INSERT INTO marks (id) VALUES (?)", 9).Query("UPDATE marks SET l = l + ? WHERE id = ?", []string{"x"}, 1)
	if err := batch.Exec(); !errors.Is(err, cassandra.ErrInvalid) {
		t.Errorf("a batch: %v", err)
	}
	for _, fine := range []*cassandra.Query{
		s.Query("UPDATE marks SET s = s + ? WHERE id = 1", []string{"b"}),
		s.Query("UPDATE marks SET m[?] = ? WHERE id = 1", 1, "y"),
		s.Query("UPDATE marks SET m = m + ? WHERE id = 1", map[int]string{2: "z"}),
		s.Query("DELETE m[?] FROM marks WHERE id = 1", 0),
		s.Query("UPDATE marks SET l = l - ? WHERE id = 1", []string{"b"}),
	} {
		if err := fine.Profile("write").Exec(); err != nil {
			t.Error(err)
		}
	}
	var n int64
	var l []string
	err := errors.Join(s.Query("SELECT n FROM counts WHERE id = 'a'").Scan(&n), s.Query("SELECT l FROM marks WHERE id = 1").Scan(&l))
	if err != nil || n != 1 || len(l) != 1 || l[0] != "a" {
		t.Errorf("counter %d, list %v, %v", n, l, err)
	}
}

// TestBadRequestsOpenNoBreaker: what callers get wrong is theirs: forged tokens, levels that are
// none, values that the server refuses (stargate#947, scylladb#2812).
func TestBadRequestsOpenNoBreaker(t *testing.T) {
	s := table(t)
	exec(t, s, "INSERT INTO streams (id, version) VALUES ('a', 1)")
	const read = "SELECT version FROM streams WHERE id = ?"
	for range 40 {
		for name, err := range map[string]error{
			"a forged token":        s.Query(read, "a").PageState([]byte("garbage")).Iter().Close(),
			"a longer forged token": s.Query(read, "a").PageState([]byte{0, 4, 0, 0, 0, 1, 0xf0, 0x7f, 0xff, 0xff, 0xff, 0xf0, 0x7f, 0xff, 0xff, 0xfd, 0}).Iter().Close(),
			"no level":              s.Query(read, "a").Consistency(77).Exec(),
			"a key that is too big": s.Query(read, strings.Repeat("x", 70000)).Exec(),
		} {
			if err != nil && !errors.Is(err, cassandra.ErrInvalid) {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
	if n := s.Guard().Snapshot().Failures; n != 0 {
		t.Errorf("%d failures", n)
	}
}

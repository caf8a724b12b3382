package cassandra_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/datastax/go-cassandra-native-protocol/message"

	"github.com/backstay-go/backstay/clients/cassandra"
	"github.com/backstay-go/backstay/internal/cqltest"
	"github.com/backstay-go/backstay/resilience"
)

type plan struct {
	MemberID string
	Screens  int
	Note     *string `cql:"remark"`
	Local    string  `cql:"-"`
}

const selectPlan = "SELECT member_id, screens, remark FROM plans WHERE member_id = ?"

// paged answers with three rows on two pages.
func paged(r *cqltest.Request) {
	if len(r.PageState) == 0 {
		r.Page([]byte("more"), []any{"a", 1, "first"}, []any{"b", 2, nil})
		return
	}
	r.Rows([]any{"c", 3, nil})
}

var plans = cqltest.Statement{Columns: cqltest.Columns("member_id text, screens int, remark text"), Answer: paged}

func TestSelectYieldsStructsMapsAndValues(t *testing.T) {
	cluster, s := scripted(t, cqltest.Config{})
	cluster.On(selectPlan, plans)
	var got []string
	for p, err := range cassandra.Select[plan](s.Query(selectPlan, "x")) {
		if err != nil {
			t.Fatal(err)
		}
		note := "null"
		if p.Note != nil {
			note = *p.Note
		}
		got = append(got, fmt.Sprint(p.MemberID, p.Screens, note))
	}
	if want := []string{"a1first", "b2null", "c3null"}; !slices.Equal(got, want) {
		t.Errorf("structs: %v, want %v", got, want)
	}
	rows := 0
	for m, err := range cassandra.Select[map[string]any](s.Query(selectPlan, "x")) {
		if rows++; err != nil || m["screens"] != rows {
			t.Errorf("map %d: %v, %v", rows, m, err)
		}
	}
	all, err := s.Query(selectPlan, "x").Iter().SliceMap()
	if err != nil || rows != 3 || len(all) != 3 || all[2]["member_id"] != "c" {
		t.Errorf("%d maps, %v, %v", rows, all, err)
	}
	cluster.On("SELECT n FROM t", cqltest.Statement{Columns: cqltest.Columns("n int"), Answer: func(r *cqltest.Request) { r.Rows([]any{1}, []any{2}) }})
	sum := 0
	for n, err := range cassandra.Select[int](s.Query("SELECT n FROM t")) {
		if err != nil {
			t.Fatal(err)
		}
		sum += n
	}
	if sum != 3 {
		t.Errorf("values sum up to %d", sum)
	}
	for range cassandra.Select[plan](s.Query(selectPlan, "x")) {
		break // leaving early is fine
	}
}

func TestSelectTellsErrorsLast(t *testing.T) {
	cluster, s := scripted(t, cqltest.Config{})
	cluster.On(selectPlan, cqltest.Statement{Columns: plans.Columns, Answer: func(r *cqltest.Request) {
		if len(r.PageState) > 0 {
			r.Send(&message.Invalid{ErrorMessage: "the page state is stale"})
			return
		}
		paged(r)
	}})
	rows := 0
	var last error
	for _, err := range cassandra.Select[plan](s.Query(selectPlan, "x")) {
		if last = err; err == nil {
			rows++
		}
	}
	if rows != 2 || !errors.Is(last, cassandra.ErrInvalid) {
		t.Errorf("%d rows, then %v", rows, last)
	}
	type narrow struct{ MemberID string }
	for _, err := range cassandra.Select[narrow](s.Query(selectPlan, "x")) {
		last = err
	}
	if !errors.Is(last, cassandra.ErrInvalid) || !strings.Contains(last.Error(), `no field for column "screens"`) {
		t.Errorf("a column without a field: %v", last)
	}
	type wrong struct {
		MemberID, Screens time.Time
		Remark            string
	}
	for _, err := range cassandra.Select[wrong](s.Query(selectPlan, "x")) {
		last = err
	}
	if !errors.Is(last, cassandra.ErrInvalid) {
		t.Errorf("values that do not fit: %v", last)
	}
}

func TestGetSaysWhereItsValueCameFrom(t *testing.T) {
	cluster, s := scripted(t, cqltest.Config{Nodes: 3}, func(c *cassandra.Config) {
		stale := c.Profiles["brief"]
		stale.Stale = &resilience.StalePolicy{MaxAge: time.Hour}
		c.Profiles["stale"] = stale
		low := c.Profiles["brief"]
		low.Degraded = cassandra.LocalOne
		c.Profiles["low"] = low
	})
	cluster.On(selectPlan, plans)
	last := resilience.NewLastGood[plan](10)
	get := func(profile string) (cassandra.Result[plan], error) {
		q := s.Query(selectPlan, "a").Profile(profile)
		if profile != "stale" { // A memory needs a policy that says how old its values may be.
			return cassandra.Get[plan](q)
		}
		return cassandra.Get(q, last.For("a"))
	}
	res, err := get("stale")
	if err != nil || res.Value.MemberID != "a" || res.Source != resilience.Live || res.Coordinator == "" || res.Attempts != 1 || res.Consistency != cassandra.LocalQuorum {
		t.Errorf("live: %+v, %v", res, err)
	}
	unavailable := &message.Unavailable{ErrorMessage: "alone", Consistency: 6, Required: 2, Alive: 1}
	cluster.On(selectPlan, cqltest.Statement{Columns: plans.Columns, Answer: func(r *cqltest.Request) {
		if r.Consistency == uint16(cassandra.LocalOne) {
			paged(r)
			return
		}
		r.Send(unavailable)
	}})
	res, err = get("stale")
	if err != nil || res.Value.Screens != 1 || res.Source != resilience.Stale || res.Age <= 0 || !errors.Is(res.Cause, cassandra.ErrUnavailable) || res.Coordinator != "" {
		t.Errorf("stale: %+v, %v", res, err)
	}
	res, err = get("low")
	if err != nil || res.Value.Screens != 1 || !res.Degraded || res.Consistency != cassandra.LocalOne || !errors.Is(res.Cause, cassandra.ErrUnavailable) || res.Coordinator == "" {
		t.Errorf("degraded: %+v, %v", res, err)
	}
	if _, err = get("brief"); !errors.Is(err, cassandra.ErrUnavailable) {
		t.Errorf("neither: %v", err)
	}
	// The first page may be empty, and another follow.
	cluster.On(selectPlan, cqltest.Statement{Columns: plans.Columns, Answer: func(r *cqltest.Request) {
		if len(r.PageState) == 0 {
			r.Page([]byte("more"))
			return
		}
		paged(r)
	}})
	if res, err = get("brief"); err != nil || res.Value.MemberID != "c" {
		t.Errorf("on the second page: %+v, %v", res, err)
	}
	cluster.On(selectPlan, cqltest.Statement{Columns: plans.Columns, Answer: func(r *cqltest.Request) { r.Rows() }})
	if _, err = get("brief"); !errors.Is(err, cassandra.ErrNotFound) {
		t.Errorf("no row: %v", err)
	}
	if _, err := cassandra.Get[plan](s.Query(insertV, "a", "b")); !errors.Is(err, cassandra.ErrInvalid) {
		t.Errorf("a write: %v", err)
	}
}

func TestValuesComeFromStructs(t *testing.T) {
	cluster, s := scripted(t, cqltest.Config{})
	const insert = "INSERT INTO plans (member_id, screens) VALUES (?, ?)"
	cluster.On(insert, cqltest.Statement{Params: cqltest.Columns("member_id text, screens int"), Answer: (*cqltest.Request).Void})
	p := plan{MemberID: "m", Screens: 4}
	for range 2 { // not prepared, then prepared
		if err := s.Query(insert).BindStruct(&p).Profile("write").Exec(); err != nil {
			t.Fatal(err)
		}
		if err := s.NewBatch(cassandra.LoggedBatch).QueryStruct(insert, p).QueryStruct(insert, p).Profile("write").Exec(); err != nil {
			t.Fatal(err)
		}
	}
	got := cluster.Received(insert)
	if len(got) != 4 || string(got[2].Values[0]) != "m" || got[2].Values[1][3] != 4 || got[3].Statements != 2 {
		t.Errorf("received %+v", got)
	}
	for name, err := range map[string]error{
		"no field":      s.Query(insert).BindStruct(struct{ MemberID string }{"m"}).Exec(),
		"not a struct":  s.Query(insert).BindStruct(7).Exec(),
		"nil pointer":   s.Query(insert).BindStruct((*plan)(nil)).Exec(),
		"in a batch":    s.NewBatch(cassandra.LoggedBatch).QueryStruct(insert, 7).Exec(),
		"another type":  s.Query(insert).BindStruct(struct{ MemberID, Screens string }{"m", "n"}).Exec(),
		"too few by ?":  s.Query(insert, "m").Exec(),
		"too many by ?": s.Query(insert, "m", 1, 2).Exec(),
	} {
		if !errors.Is(err, cassandra.ErrInvalid) || errors.Is(err, cassandra.ErrOutcomeUnknown) {
			t.Errorf("%s: %v", name, err)
		}
	}
	const count = "UPDATE counts SET n = n + ? WHERE id = ?"
	cluster.On(count, cqltest.Statement{Params: cqltest.Columns("n counter, id text"), Key: []uint16{1}, Answer: (*cqltest.Request).Void})
	c := struct {
		N  int64
		ID string
	}{1, "a"}
	if err := s.Query(count).BindStruct(c).Profile("write").Exec(); !errors.Is(err, cassandra.ErrInvalid) || !strings.Contains(err.Error(), "idempotent") {
		t.Errorf("a counter under an idempotent profile: %v", err)
	}
	if err := s.Query(count).BindStruct(c).Profile("once").Exec(); err != nil {
		t.Error(err)
	}
}

func TestTracesAndWarningsReachTheCaller(t *testing.T) {
	cluster, s := scripted(t, cqltest.Config{})
	cluster.On(insertV, cqltest.Statement{Answer: func(r *cqltest.Request) { r.SendWith(&message.VoidResult{}, "large batch") }})
	q := s.Query(insertV, "a", "b").Profile("write").Trace()
	if err := q.Exec(); err != nil {
		t.Fatal(err)
	}
	if info := q.Info(); len(info.TraceID) != 16 || len(info.Warnings) != 1 || info.Warnings[0] != "large batch" {
		t.Errorf("%+v", info)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Query(insertV, "a", "b").Profile("write").WithContext(ctx).Exec(); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled before: %v", err)
	}
}

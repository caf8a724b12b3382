package cassandra_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/backstay-go/backstay/clients/cassandra"
	"github.com/backstay-go/backstay/resilience"
)

// Device is a row of a table; its fields have the columns' names.
type Device struct {
	ID        string
	Downloads int
	LastSeen  *string `cql:"seen"` // nil for null
}

func ExampleSelect() {
	devices := func(ctx context.Context, session *cassandra.Session, member string) error {
		q := session.Query("SELECT id, downloads, seen FROM devices WHERE member = ?", member).WithContext(ctx).Profile("read")
		for d, err := range cassandra.Select[Device](q) {
			if err != nil {
				return err
			}
			fmt.Println(d.ID, d.Downloads)
		}
		return nil
	}
	_ = devices // it needs a cluster
}

func ExampleGet() {
	last := resilience.NewLastGood[Device](10_000)
	device := func(ctx context.Context, session *cassandra.Session, id string) (Device, error) {
		q := session.Query("SELECT id, downloads, seen FROM devices_by_id WHERE id = ?", id).WithContext(ctx).Profile("read")
		res, err := cassandra.Get(q, last.For(id))
		switch {
		case errors.Is(err, cassandra.ErrNotFound):
			fmt.Println("no such device")
		case err == nil && res.Source == resilience.Stale:
			fmt.Println("the cluster does not answer:", res.Cause, "; as it was", res.Age, "ago:", res.Value.Downloads)
		}
		return res.Value, err
	}
	_ = device // it needs a cluster
}

func ExampleQuery_CAS() {
	move := func(ctx context.Context, session *cassandra.Session, id string, from, to int) (moved bool, err error) {
		res, err := session.Query("UPDATE streams SET head = ? WHERE id = ? IF head = ?", to, id, from).WithContext(ctx).Profile("append").CAS()
		switch res.Outcome {
		case cassandra.Applied:
			return true, nil
		case cassandra.NotApplied:
			fmt.Println("another was first; the head is", res.Current[0]["head"])
			return false, nil
		case cassandra.Unknown:
			fmt.Println("it may have been done: read at a serial level to find out")
		}
		return false, err
	}
	_ = move // it needs a cluster
}

func ExampleConnect() {
	connect := func(ctx context.Context) (*cassandra.Session, error) {
		// It tries until a contact point answers, or ctx ends. Close the session at the end.
		return cassandra.Connect(ctx, cassandra.Config{
			Hosts: []string{"node1.example.com", "node2.example.com"}, Keyspace: "licenses", LocalDC: "eu",
			Profiles: map[string]cassandra.Profile{"read": {
				Consistency:     cassandra.LocalOne,
				OperationPolicy: resilience.OperationPolicy{Timeout: 200 * time.Millisecond, Idempotent: true},
			}},
			DefaultProfile: "read",
		})
	}
	_ = connect // it needs a cluster
}

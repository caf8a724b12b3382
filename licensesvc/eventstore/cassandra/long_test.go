package cassandra_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	client "github.com/backstay-go/backstay/clients/cassandra"
	"github.com/backstay-go/backstay/internal/cassandratest"
	"github.com/backstay-go/backstay/licensesvc/eventstore"
)

// counter counts the requests of a session.
type counter struct{ n atomic.Int64 }

func (c *counter) RequestStarted(context.Context, *client.Request) context.Context {
	c.n.Add(1)
	return nil
}

func (*counter) RequestEnded(context.Context, *client.Request, *client.Answer) {}

// of returns the requests that f makes.
func (c *counter) of(f func()) int64 {
	before := c.n.Load()
	f()
	return c.n.Load() - before
}

// TestAnAppendToALongStreamCostsNoMore requests than one to a new stream, although the commit's
// id is looked up in the whole stream.
func TestAnAppendToALongStreamCostsNoMore(t *testing.T) {
	hosts, keyspace := cassandratest.Keyspace(t)
	requests := &counter{}
	session := connect(t, hosts, keyspace, requests)
	const bucket, buckets, appends = 100, 50, 40
	s := open(t, session, "long", bucket)
	add := func(s eventstore.Store, stream, id string, expected int64, n int) {
		t.Helper()
		c := commit(id, expected)
		c.Stream = stream
		for len(c.Events) < n {
			c.Events = append(c.Events, c.Events[0])
		}
		if a, err := s.Append(t.Context(), c); err != nil || a.Outcome != eventstore.Applied || a.Repeated {
			t.Fatalf("%s to %s: %+v, %v", id, stream, a.Outcome, err)
		}
	}
	for b := range int64(buckets) {
		add(s, "old", fmt.Sprint("c", b), b*bucket, bucket)
	}
	var took [2]time.Duration
	fresh := requests.of(func() {
		began := time.Now()
		for i := range appends {
			add(s, fmt.Sprint("new-", i), "c", 0, 1)
		}
		took[0] = time.Since(began)
	})
	// The first append of a process reads the buckets, and this one opens a bucket.
	if first := requests.of(func() { add(s, "old", "first", bucket*buckets, 1) }); first > fresh/appends+6 {
		t.Errorf("the first append made %d requests", first)
	}
	old := requests.of(func() {
		began := time.Now()
		for i := range int64(appends) {
			add(s, "old", fmt.Sprint("d", i), bucket*buckets+1+i, 1)
		}
		took[1] = time.Since(began)
	})
	if float64(old) > 1.2*float64(fresh) {
		t.Errorf("%d appends to a stream of %d buckets made %d requests, to new streams %d", appends, buckets, old, fresh)
	}
	t.Logf("%d appends: new streams %d requests, %s; %d buckets %d requests, %s", appends, fresh, took[0], buckets, old, took[1])
	// A process that has just started reads the whole stream's buckets at once.
	again := open(t, session, "long", bucket)
	if n := requests.of(func() {
		if page, err := again.Load(t.Context(), eventstore.Query{Stream: "old", After: bucket*buckets + 1}); err != nil || len(page.Events) != appends {
			t.Errorf("%d events, %v", len(page.Events), err)
		}
	}); n > 4 {
		t.Errorf("the first load made %d requests", n)
	}
	// Each old commit is found, whichever bucket it is in.
	for b := range int64(buckets) {
		c := commit(fmt.Sprint("c", b), bucket*buckets+1+appends)
		c.Stream = "old"
		for len(c.Events) < bucket {
			c.Events = append(c.Events, c.Events[0])
		}
		if a, err := again.Append(t.Context(), c); err != nil || !a.Repeated || a.Version != (b+1)*bucket {
			t.Errorf("c%d again: %v, version %d, %v", b, a.Outcome, a.Version, err)
		}
	}
}

// TestAFenceHoldsInLaterBuckets settles a commit, seals its bucket and others, and sends the
// commit again for the version that is free: it is refused, by the process that settled it and by
// one that starts anew.
func TestAFenceHoldsInLaterBuckets(t *testing.T) {
	hosts, keyspace := cassandratest.Keyspace(t)
	session := connect(t, hosts, keyspace)
	s := open(t, session, "fence", 3)
	version := int64(0)
	grow := func(n int) {
		t.Helper()
		for range n {
			if a, err := s.Append(t.Context(), commit(fmt.Sprint("c", version), version)); err != nil || a.Outcome != eventstore.Applied {
				t.Fatalf("%v, %v", a.Outcome, err)
			}
			version++
		}
	}
	for n := range 4 { // in an empty bucket, in one with an event, in one with two, and again in one that is not open
		fenced := fmt.Sprint("fenced", n)
		if a, err := s.Resolve(t.Context(), "m-1", fenced); err != nil || a.Outcome != eventstore.Rejected {
			t.Fatalf("%v, %v", a.Outcome, err)
		}
		grow(1)
	}
	grow(5)
	for n := range 4 {
		for _, store := range []eventstore.Store{s, open(t, session, "fence", 3)} {
			if a, err := store.Append(t.Context(), commit(fmt.Sprint("fenced", n), version)); !errors.Is(err, eventstore.ErrFenced) || a.Outcome != eventstore.Rejected {
				t.Errorf("fenced%d at version %d: %v, %v", n, version, a.Outcome, err)
			}
			if a, err := store.Resolve(t.Context(), "m-1", fmt.Sprint("fenced", n)); err != nil || a.Outcome != eventstore.Rejected {
				t.Errorf("fenced%d settled again: %v, %v", n, a.Outcome, err)
			}
		}
	}
}

package gocqldriver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/backstay-go/backstay/clients/cassandra/internal/driver"
	"github.com/gocql/gocql"
)

type candidate struct{ *gocql.HostInfo }

func (c candidate) Info() *gocql.HostInfo { return c.HostInfo }
func (candidate) Mark(error)              {}

// TestATrialIsTakenByTheRequestThatMakesIt: a suspect node that stands behind a good
// one keeps its turn for a request that really goes there.
func TestATrialIsTakenByTheRequestThatMakesIt(t *testing.T) {
	nodes := driver.NewNodes(driver.Limits{Suspect: 1, SuspectFor: time.Nanosecond})
	hs := &hosts{nodes: nodes}
	var all []gocql.SelectedHost
	for i := range 3 {
		h := (&gocql.HostInfo{}).SetConnectAddress(net.ParseIP(fmt.Sprintf("10.0.0.%d", i+1)))
		all = append(all, candidate{h})
	}
	suspects := hs.node(all[1].Info())
	fail := &driver.Attempt{Call: &driver.Call{}}
	fail.Chosen(suspects)
	fail.Left(&driver.Failure{Cause: driver.TimedOut, Code: -1})
	if !suspects.Suspect() {
		t.Fatal("one failure does not make the node suspect")
	}
	order := func(call *driver.Call, first ...int) gocql.NextHost {
		i := 0
		a := &attempt{routed: routed{beyond: true}}
		a.Call = call
		a.choice = &choice{hosts: hs, attempt: a, steer: true, next: func() gocql.SelectedHost {
			if i == len(first) {
				return nil
			}
			i++
			return all[first[i-1]]
		}}
		return a.choice.pick
	}
	call := &driver.Call{Repeatable: true}
	if h := order(call, 0, 1, 2)(); h != all[0] {
		t.Errorf("chose %v", h.Info())
	}
	if h := order(call, 1, 0, 2)(); h != all[1] {
		t.Errorf("the turn was lost on a request that went elsewhere: chose %v", h.Info())
	}
	nodes2 := driver.NewNodes(driver.Limits{Suspect: 1, SuspectFor: time.Hour})
	*hs = hosts{nodes: nodes2}
	suspects = hs.node(all[1].Info())
	fail.Chosen(suspects)
	fail.Left(&driver.Failure{Cause: driver.TimedOut, Code: -1})
	next := order(call, 1, 0, 2)
	for _, want := range []int{0, 2, 1} {
		if h := next(); h != all[want] {
			t.Errorf("chose %v, want number %d: suspect nodes come last", h.Info(), want)
		}
	}
	if next() != nil {
		t.Error("there is a fourth of three")
	}
}

// TestACancelThatNobodyAskedFor: preparing ends with its connection's context, which
// is not the caller's.
func TestACancelThatNobodyAskedFor(t *testing.T) {
	s := &session{hosts: &hosts{nodes: driver.NewNodes(driver.Limits{})}}
	for _, gone := range []bool{false, true} {
		ctx, cancel := context.WithCancel(t.Context())
		if gone {
			cancel()
		}
		a := &attempt{}
		a.begin(ctx, s, &driver.Request{}, &driver.Call{})
		var f *driver.Failure
		want := driver.Disconnected
		if gone {
			want = driver.Canceled
		}
		if err := s.failed(context.Canceled, a, nil); !errors.As(err, &f) || f.Cause != want || f.Sent {
			t.Errorf("the caller has gone: %v; %v", gone, err)
		}
		cancel()
	}
}

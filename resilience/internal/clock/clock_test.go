package clock_test

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/backstay-go/backstay/resilience/internal/clock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var began = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// TestBothClocksAgree runs one program in real time (of a bubble) and in virtual
// time, and compares what happened when.
func TestBothClocksAgree(t *testing.T) {
	program := func(c *clock.Clock, ctx context.Context, say func(string)) {
		numbers := make(chan int, 2)
		c.Go(func() {
			clock.Recv[int](ctx, c, nil, 10*time.Millisecond)
			clock.Send(c, numbers, 1)
		})
		timer := c.AfterFunc(time.Hour, func() { say("fired") })
		n, err := clock.Recv(ctx, c, numbers, time.Second)
		say(fmt.Sprint("received ", n, err))
		_, err = clock.Recv(ctx, c, numbers, 20*time.Millisecond)
		say(fmt.Sprint("nothing came: ", err))
		say(fmt.Sprint("was pending: ", timer.Reset(5*time.Millisecond)))
		clock.Recv[int](ctx, c, nil, 7*time.Millisecond)
		say(fmt.Sprint("was pending: ", timer.Stop()))

		outer, end := c.WithDeadline(ctx, c.Now().Add(30*time.Millisecond))
		inner, endInner := c.WithDeadline(outer, c.Now().Add(time.Hour))
		d, ok := inner.Deadline()
		say(fmt.Sprint("deadline in ", d.Sub(c.Now()), ok, inner.Err()))
		_, err = clock.Recv(inner, c, numbers, time.Minute)
		say(fmt.Sprint("the outer ended: ", err, inner.Err(), outer.Err()))
		end()
		endInner()

		outer, end = c.WithDeadline(ctx, c.Now().Add(time.Hour))
		inner, endInner = c.WithDeadline(outer, c.Now().Add(time.Minute))
		c.AfterFunc(time.Millisecond, end)
		_, err = clock.Recv(inner, c, numbers, time.Second)
		say(fmt.Sprint("cancelled from outside: ", err, inner.Err()))
		_, err = clock.Recv(inner, c, numbers, time.Second)
		say(fmt.Sprint("still: ", err))
		endInner()
		late, endLate := c.WithDeadline(inner, c.Now().Add(time.Second))
		say(fmt.Sprint("begun too late: ", late.Err()))
		endLate()
	}
	var real, virtual []string
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var mu sync.Mutex
		program(nil, t.Context(), func(s string) {
			mu.Lock()
			defer mu.Unlock()
			real = append(real, fmt.Sprint(time.Since(start), " ", s))
		})
		synctest.Wait()
	})
	c := clock.New(began, 1)
	c.Go(func() {
		program(c, context.WithoutCancel(t.Context()), func(s string) { virtual = append(virtual, fmt.Sprint(c.Since(began), " ", s)) })
	})
	c.Run()
	if !reflect.DeepEqual(real, virtual) || len(real) < 10 {
		t.Errorf("real:\n%s\nvirtual:\n%s", strings.Join(real, "\n"), strings.Join(virtual, "\n"))
	}
}

// TestOrderIsFixed: of what is due at once, what was planned first runs first.
func TestOrderIsFixed(t *testing.T) {
	run := func() (got []int, chance float64) {
		c := clock.New(began, 7)
		for i := range 100 {
			c.Go(func() {
				clock.Recv[int](t.Context(), c, nil, time.Duration(i%3)*time.Second)
				got = append(got, i)
			})
		}
		c.Run()
		return got, c.Float64()
	}
	first, chance := run()
	for range 5 {
		if again, sameChance := run(); !reflect.DeepEqual(first, again) || chance != sameChance {
			t.Fatalf("%v, then %v", first, again)
		}
	}
	if first[0] != 0 || first[34] != 1 || len(first) != 100 {
		t.Errorf("order %v", first)
	}
	if other := clock.New(began, 8).Float64(); other == chance {
		t.Error("another seed draws the same")
	}
}

// TestVirtualTimeCostsNothing: a year passes, and never at once.
func TestVirtualTimeCostsNothing(t *testing.T) {
	c := clock.New(began, 1)
	days := 0
	c.Go(func() {
		for range 365 {
			if _, err := clock.Recv[int](t.Context(), c, nil, 24*time.Hour); err != clock.ErrExpired {
				t.Error(err)
			}
			days++
		}
	})
	never := c.AfterFunc(1<<62, func() {})
	c.AfterFunc(time.Hour, func() { never.Stop() })
	c.Run()
	if got := c.Since(began); got != 365*24*time.Hour || days != 365 {
		t.Errorf("%v passed in %d days", got, days)
	}
}

package repository

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// turns lets commands of one stream pass, each of which takes a while, and returns the order.
type turns struct {
	q  *queues
	mu sync.Mutex
	in []int
}

func (x *turns) pass(ctx context.Context, n int, takes time.Duration) error {
	turn, err := x.q.enter(ctx, "m")
	if err != nil {
		return err
	}
	defer x.q.leave(turn)
	x.mu.Lock()
	x.in = append(x.in, n)
	x.mu.Unlock()
	time.Sleep(takes)
	return nil
}

func (x *turns) empty(t *testing.T) {
	t.Helper()
	if len(x.q.byStream) != 0 {
		t.Errorf("%d queues are left", len(x.q.byStream))
	}
}

func TestTurnsComeInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := &turns{q: newQueues(100)}
		var wg sync.WaitGroup
		for n := range 30 {
			wg.Go(func() {
				if err := x.pass(t.Context(), n, 10*time.Millisecond); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		begin := time.Now()
		wg.Wait()
		if took := time.Since(begin); took > 300*time.Millisecond || !slices.IsSorted(x.in) || len(x.in) != 30 {
			t.Errorf("%s, in the order %v", took, x.in)
		}
		x.empty(t)
	})
}

// TestAWaitThatIsInVain is refused at once, and one that ends does not keep the others up.
func TestAWaitThatIsInVain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := &turns{q: newQueues(100)}
		var wg sync.WaitGroup
		for n := range 10 {
			wg.Go(func() { _ = x.pass(t.Context(), n, 100*time.Millisecond) })
			synctest.Wait()
		}
		time.Sleep(250 * time.Millisecond) // Two turns have ended, seven commands wait.
		short, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		begin := time.Now()
		if err := x.pass(short, 100, 0); !errors.Is(err, ErrBusy) || time.Since(begin) != 0 {
			t.Errorf("after %s: %v", time.Since(begin), err)
		}
		enough, cancel := context.WithTimeout(t.Context(), 900*time.Millisecond)
		defer cancel()
		wg.Go(func() {
			if err := x.pass(enough, 101, 0); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		gone, leave := context.WithCancel(t.Context())
		wg.Go(func() {
			if err := x.pass(gone, 102, time.Hour); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
		synctest.Wait()
		leave()
		wg.Wait()
		if !slices.Equal(x.in, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 101}) {
			t.Errorf("%v", x.in)
		}
		x.empty(t)
	})
}

// TestAQueueIsBounded, and a stream's queue is its own.
func TestAQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := &turns{q: newQueues(3)}
		var wg sync.WaitGroup
		for n := range 4 {
			wg.Go(func() { _ = x.pass(t.Context(), n, time.Second) })
			synctest.Wait()
		}
		if err := x.pass(t.Context(), 4, 0); !errors.Is(err, ErrBusy) {
			t.Error(err)
		}
		turn, err := x.q.enter(t.Context(), "another")
		if err != nil {
			t.Fatal(err)
		}
		x.q.leave(turn)
		wg.Wait()
		x.empty(t)
	})
}

// TestAHungTurnIsNotBusy: if no turn ends, the reason is what keeps the command that has it, and
// the caller may look for another way.
func TestAHungTurnIsNotBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := &turns{q: newQueues(3)}
		var wg sync.WaitGroup
		wg.Go(func() { _ = x.pass(t.Context(), 0, time.Minute) })
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := x.pass(ctx, 1, 0); errors.Is(err, ErrBusy) || !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		wg.Wait()
		x.empty(t)
	})
}

// TestAPanicEndsTheTurn of the command that panicked.
func TestAPanicEndsTheTurn(t *testing.T) {
	x := &turns{q: newQueues(3)}
	func() {
		defer func() { _ = recover() }()
		turn, _ := x.q.enter(t.Context(), "m")
		defer x.q.leave(turn)
		panic("decide")
	}()
	if err := x.pass(t.Context(), 1, 0); err != nil {
		t.Error(err)
	}
	x.empty(t)
}

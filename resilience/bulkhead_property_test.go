package resilience_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backstay-go/backstay/resilience"
	"pgregory.net/rapid"
)

// queueStep is one operation on a bulkhead: a call of a class comes, one that runs
// ends, one that waits goes, or the limit changes.
type queueStep struct {
	kind  string
	which int
}

const queueLength = 4

// queueModel is a bulkhead as a list of those who run and a list of those who wait.
type queueModel struct {
	limit   int
	running []int
	waiting []queued // in the order they came
	out     []int    // evicted or refused
}

type queued struct{ id, class int }

func (m *queueModel) come(id, class int) {
	switch {
	case len(m.running) < m.limit && len(m.waiting) == 0:
		m.running = append(m.running, id)
	case len(m.waiting) < queueLength:
		m.waiting = append(m.waiting, queued{id, class})
	default:
		victim := -1 // the newest of the lowest class below this one
		for i, w := range m.waiting {
			if w.class < class && (victim < 0 || w.class <= m.waiting[victim].class) {
				victim = i
			}
		}
		if victim < 0 {
			m.out = append(m.out, id)
			return
		}
		m.out = append(m.out, m.waiting[victim].id)
		m.waiting = append(slices.Delete(m.waiting, victim, victim+1), queued{id, class})
	}
}

func (m *queueModel) handOver() {
	for len(m.running) < m.limit && len(m.waiting) > 0 {
		next := 0 // the oldest of the highest class
		for i, w := range m.waiting {
			if w.class > m.waiting[next].class {
				next = i
			}
		}
		m.running = append(m.running, m.waiting[next].id)
		m.waiting = slices.Delete(m.waiting, next, next+1)
	}
}

// TestBulkheadQueueAgreesWithTheModel compares who runs, who waits and who was
// refused after each step.
func TestBulkheadQueueAgreesWithTheModel(t *testing.T) {
	gen := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) queueStep {
		return queueStep{
			kind:  rapid.SampledFrom([]string{"come", "come", "come", "end", "go", "limit"}).Draw(t, "kind"),
			which: rapid.IntRange(0, 9).Draw(t, "which"),
		}
	}), 1, 80)
	rapid.Check(t, func(rt *rapid.T) {
		ops := gen.Draw(rt, "steps")
		var problem string
		synctest.Test(t, func(t *testing.T) { problem = queueAgainstModel(t, ops) })
		if problem != "" {
			rt.Fatal(problem)
		}
	})
}

func queueAgainstModel(t *testing.T, ops []queueStep) string {
	p := queueing(2, queueLength)
	p.Operations["plus"] = resilience.OperationPolicy{Timeout: time.Minute, Criticality: resilience.SheddablePlus}
	g := mustNew(t, p)
	names := []string{"batch", "plus", "default", "vital"} // by class
	m := queueModel{limit: 2}

	var mu sync.Mutex
	var running, out []int
	cancels, ends := map[int]context.CancelFunc{}, map[int]chan struct{}{}
	var all sync.WaitGroup
	defer all.Wait()
	defer func() {
		for id, cancel := range cancels {
			cancel()
			close(ends[id])
		}
	}()
	for i, s := range ops {
		switch s.kind {
		case "come":
			class := s.which % len(names)
			m.come(i, class)
			ctx, cancel := context.WithCancel(t.Context())
			end := make(chan struct{})
			cancels[i], ends[i] = cancel, end
			all.Go(func() {
				_, err := resilience.Do(ctx, g.Operation(names[class]), func(context.Context) (int, error) {
					mu.Lock()
					running = append(running, i)
					mu.Unlock()
					<-end
					mu.Lock()
					running = slices.DeleteFunc(running, func(id int) bool { return id == i })
					mu.Unlock()
					return 0, nil
				})
				if errors.Is(err, resilience.ErrFull) {
					mu.Lock()
					out = append(out, i)
					mu.Unlock()
				}
			})
		case "end":
			if len(m.running) == 0 {
				continue
			}
			id := m.running[s.which%len(m.running)]
			m.running = slices.DeleteFunc(m.running, func(r int) bool { return r == id })
			m.handOver()
			close(ends[id])
			delete(cancels, id)
		case "go":
			if len(m.waiting) == 0 {
				continue
			}
			w := s.which % len(m.waiting)
			cancels[m.waiting[w].id]()
			m.waiting = slices.Delete(m.waiting, w, w+1)
		case "limit":
			m.limit = 1 + s.which%4
			p.Bulkhead.Limit = m.limit
			if err := g.Update(p); err != nil {
				return err.Error()
			}
			m.handOver()
		}
		synctest.Wait()
		snap := g.Snapshot()
		mu.Lock()
		r, o := slices.Clone(running), slices.Clone(out)
		mu.Unlock()
		slices.Sort(r)
		slices.Sort(o)
		mr, mo := slices.Clone(m.running), slices.Clone(m.out)
		slices.Sort(mr)
		slices.Sort(mo)
		if !slices.Equal(r, mr) || !slices.Equal(o, mo) || snap.InFlight != len(mr) || snap.Waiting != len(m.waiting) {
			return fmt.Sprintf("step %d of %v\nrunning %v, want %v\nout %v, want %v\nin flight %d, waiting %d, want %d", i, ops[:i+1], r, mr, o, mo, snap.InFlight, snap.Waiting, len(m.waiting))
		}
	}
	return ""
}

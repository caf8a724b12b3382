package resilience

// waiter is one call in a queue. Its fields are guarded by the bulkhead's mu.
type waiter struct {
	next, prev *waiter
	class      int
	key, share string
	since      int64
	// answer receives one value: true with the permit, false if the waiter was evicted.
	answer chan bool
	// gone is set once the waiter is in no queue any more.
	gone bool
}

// waiters is a doubly linked list, oldest first.
type waiters struct {
	first, last *waiter
	len         int
}

func (q *waiters) push(w *waiter) {
	w.prev = q.last
	if q.last == nil {
		q.first = w
	} else {
		q.last.next = w
	}
	q.last = w
	q.len++
}

func (q *waiters) remove(w *waiter) {
	if w.prev == nil {
		q.first = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		q.last = w.prev
	} else {
		w.next.prev = w.prev
	}
	w.next, w.prev = nil, nil
	q.len--
}

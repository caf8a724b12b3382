package chaostest

import (
	"context"
	"net/http"
	"sync"

	"github.com/backstay-go/backstay/chaos"
	client "github.com/backstay-go/backstay/clients/cassandra"
	"github.com/backstay-go/backstay/licensesvc/app"
	"github.com/backstay-go/backstay/licensesvc/eventstore"
)

// recorder records, below every guard, which dependencies answered each request. Answers that
// claim to use live data are checked against it. It is safe for concurrent use.
type recorder struct {
	mu    sync.Mutex
	seen  map[string]map[string]int
	calls map[string]uint64
	// denied holds the requests to which a dependency answered that there is no such thing.
	denied map[string]bool
}

func newRecorder() *recorder {
	return &recorder{seen: map[string]map[string]int{}, calls: map[string]uint64{}, denied: map[string]bool{}}
}

// called records an attempt.
func (w *recorder) called(dependency string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls[dependency]++
}

// answered records that the dependency answered an attempt of the request.
func (w *recorder) answered(ctx context.Context, dependency string) {
	request := chaos.RequestOf(ctx)
	w.mu.Lock()
	defer w.mu.Unlock()
	m := w.seen[request]
	if m == nil {
		m = map[string]int{}
		w.seen[request] = m
	}
	m[dependency]++
}

// saw reports whether the dependency answered an attempt of the request.
func (w *recorder) saw(request, dependency string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen[request][dependency] > 0
}

// deny records that a dependency answered that there is no such thing.
func (w *recorder) deny(ctx context.Context, dependency string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.denied[chaos.RequestOf(ctx)+" "+dependency] = true
}

// sawDenied reports whether a dependency answered the request that there is no such thing.
func (w *recorder) sawDenied(request, dependency string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.denied[request+" "+dependency]
}

// attempts returns the number of calls that were sent to the dependency.
func (w *recorder) attempts(dependency string) uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.calls[dependency]
}

// recordedTransport is a transport that reports its requests to the recorder.
type recordedTransport struct {
	*http.Transport
	recorder   *recorder
	dependency string
}

func (t *recordedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	t.recorder.called(t.dependency)
	resp, err := t.Transport.RoundTrip(r)
	if err == nil && resp.StatusCode < http.StatusInternalServerError {
		t.recorder.answered(r.Context(), t.dependency)
	}
	if err == nil && resp.StatusCode == http.StatusNotFound {
		t.recorder.deny(r.Context(), t.dependency)
	}
	return resp, err
}

// faultyStore puts the plan's faults in front of a store. The recorder sees the calls that pass
// them.
type faultyStore struct {
	eventstore.LoadAppender
	recorder *recorder
	points   map[string]*chaos.Point
}

func newFaultyStore(store eventstore.LoadAppender, w *recorder, injector *chaos.Injector) *faultyStore {
	h := &faultyStore{LoadAppender: store, recorder: w, points: map[string]*chaos.Point{}}
	for _, op := range []string{"load", "append", "resolve"} {
		h.points[op] = injector.Point(app.EventStore, op, storeErrors())
	}
	return h
}

// Load implements eventstore.Store.
func (h *faultyStore) Load(ctx context.Context, q eventstore.Query) (eventstore.Page, error) {
	h.recorder.called(app.EventStore)
	return chaos.Do(ctx, h.points["load"], func(ctx context.Context) (eventstore.Page, error) {
		p, err := h.LoadAppender.Load(ctx, q)
		if err == nil {
			h.recorder.answered(ctx, app.EventStore)
		}
		return p, err
	})
}

// Append implements eventstore.Store. A fault that acts before the store was called is a
// rejection.
func (h *faultyStore) Append(ctx context.Context, c eventstore.Commit) (eventstore.Appended, error) {
	return h.write(ctx, "append", func(ctx context.Context) (eventstore.Appended, error) { return h.LoadAppender.Append(ctx, c) })
}

// Resolve implements eventstore.Store.
func (h *faultyStore) Resolve(ctx context.Context, stream, commit string) (eventstore.Appended, error) {
	return h.write(ctx, "resolve", func(ctx context.Context) (eventstore.Appended, error) {
		return h.LoadAppender.Resolve(ctx, stream, commit)
	})
}

func (h *faultyStore) write(ctx context.Context, op string, call func(context.Context) (eventstore.Appended, error)) (eventstore.Appended, error) {
	h.recorder.called(app.EventStore)
	asked := false
	a, err := chaos.Do(ctx, h.points[op], func(ctx context.Context) (eventstore.Appended, error) {
		asked = true
		a, err := call(ctx)
		if err == nil {
			h.recorder.answered(ctx, app.EventStore)
		}
		return a, err
	})
	switch {
	case err == nil:
	case !asked && op == "append":
		a.Outcome = eventstore.Rejected
	case !asked:
		a.Outcome = eventstore.Unknown
	}
	return a, err
}

// recordedStore is a store that reports its answers to the recorder.
type recordedStore struct {
	eventstore.GuardedStore
	recorder *recorder
}

// Load implements eventstore.Store.
func (s *recordedStore) Load(ctx context.Context, q eventstore.Query) (eventstore.Page, error) {
	p, err := s.GuardedStore.Load(ctx, q)
	s.record(ctx, err)
	return p, err
}

// Append implements eventstore.Store.
func (s *recordedStore) Append(ctx context.Context, c eventstore.Commit) (eventstore.Appended, error) {
	a, err := s.GuardedStore.Append(ctx, c)
	s.record(ctx, err)
	return a, err
}

// Resolve implements eventstore.Store.
func (s *recordedStore) Resolve(ctx context.Context, stream, commit string) (eventstore.Appended, error) {
	a, err := s.GuardedStore.Resolve(ctx, stream, commit)
	s.record(ctx, err)
	return a, err
}

func (s *recordedStore) record(ctx context.Context, err error) {
	if err == nil {
		s.recorder.answered(ctx, app.EventStore)
	}
}

// recordedRequests counts the requests that a Cassandra session sends.
type recordedRequests struct{ recorder *recorder }

// RequestStarted implements cassandra.Observer.
func (r recordedRequests) RequestStarted(context.Context, *client.Request) context.Context {
	r.recorder.called(app.EventStore)
	return nil
}

// RequestEnded implements cassandra.Observer.
func (recordedRequests) RequestEnded(context.Context, *client.Request, *client.Answer) {}

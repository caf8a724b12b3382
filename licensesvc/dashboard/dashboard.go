package dashboard

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"sync"
	"time"

	"github.com/backstay-go/backstay/resilience"
)

// tick is the interval at which the page receives the state.
const tick = 500 * time.Millisecond

// history is the number of seconds that the page shows.
const history = 90

// maxWatchers bounds the number of streams that are open at once.
const maxWatchers = 64

// maxPerCaller bounds the number of streams that one caller has open at once.
const maxPerCaller = 8

// again is the time after which a page that lost its place connects again.
const again = 10 * time.Second

//go:embed page
var files embed.FS

// Dependency is what the page shows of one dependency in addition to its guard.
type Dependency struct {
	// Name is the name of the dependency's guard.
	Name string
	// Fallback says in a few words what is used when the dependency fails.
	Fallback string
	// Snapshot returns the guard's current snapshot.
	Snapshot func() resilience.Snapshot
}

// Fault is an injected fault: a past, a current or a planned one.
type Fault struct {
	Target string    `json:"target"`
	What   string    `json:"what"`
	From   time.Time `json:"from"`
	// To is the zero time while the fault's end is not known.
	To time.Time `json:"to,omitzero"`
}

// Button is a fault that a person may inject.
type Button struct {
	ID     string `json:"id"`
	Target string `json:"target"`
	Label  string `json:"label"`
	Active bool   `json:"active"`
}

// Faults injects faults. Its methods are called from several goroutines.
type Faults interface {
	// Timeline returns the faults of the last minutes, now and to come.
	Timeline() []Fault
	// Buttons returns what a person may inject.
	Buttons() []Button
	// Toggle begins or ends a button's fault. The fault also ends automatically after a time.
	Toggle(id string) error
}

// ErrUnknownFault is returned if no button has the given id.
var ErrUnknownFault = errors.New("dashboard: unknown fault")

// Config is what the page shows. A part whose function or interface is nil is left out.
type Config struct {
	// Title heads the page. Default: License service.
	Title string
	// Dependencies are shown in this order.
	Dependencies []Dependency
	// Recorder listens to the guards of the same dependencies. Required.
	Recorder *Recorder
	// Traffic returns the service's answers by second, for the same seconds as Recorder.History.
	Traffic func(now time.Time, seconds int) []Traffic
	// Outcomes are the words that Traffic and Recent use, with their tones, in the order in which
	// the page shows them.
	Outcomes []Value
	// Status returns the state of the service. Capacity returns how long its disk will last.
	Status   func() Status
	Capacity func() Capacity
	// Recent returns the latest decisions, the newest first.
	Recent func() []Decision
	// Faults are shown on the page and can be injected from it. Nil: no buttons and no timeline.
	Faults Faults
	// TraceURL is the address at which a trace is shown, with {trace} for its id, for example
	// "http://localhost:16686/trace/{trace}". The page then links traces. Default: no links.
	TraceURL string
	// Caller names the caller of a request, for the bound on the streams of one caller. Nil:
	// the remote address.
	Caller func(*http.Request) string
	_      struct{}
}

// Traffic counts the service's answers in one second.
type Traffic struct {
	At       int64          `json:"at"`
	Outcomes map[string]int `json:"outcomes,omitempty"`
	P50ms    float64        `json:"p50_ms"`
	P99ms    float64        `json:"p99_ms"`
}

// Status is the state of the service.
type Status struct {
	Ready bool `json:"ready"`
	// Note says why the service is not ready, or what else an operator should know.
	Note string `json:"note,omitempty"`
	// Provisional is the number of promises that are not yet in the event store.
	Provisional int `json:"provisional"`
}

// Capacity says how long the disk will last.
type Capacity struct {
	EventBytes    float64 `json:"bytes_per_event"`
	EventsPerHour float64 `json:"events_per_hour"`
	FreeBytes     int64   `json:"free_bytes"`
	StoreBytes    int64   `json:"store_bytes"`
	// DaysLeft is negative while it is unknown.
	DaysLeft float64 `json:"days_left"`
	// State is ok, alarm or full.
	State string `json:"state"`
	Note  string `json:"note,omitempty"`
}

// Decision is one decision. A click on it opens the license's story.
type Decision struct {
	At      time.Time `json:"at"`
	Member  string    `json:"member"`
	License string    `json:"license"`
	Title   string    `json:"title"`
	Kind    string    `json:"kind"`
	Outcome string    `json:"outcome"`
	// On names the data that the decision used, unless it was live.
	On []string `json:"on,omitempty"`
}

// Dashboard serves the page below /dashboard. It is safe for concurrent use. The caller
// that made it must close it.
type Dashboard struct {
	cfg      Config
	mux      *http.ServeMux
	quit     chan struct{}
	close    sync.Once
	watchers watchers
}

// New returns the handler of the page.
func New(cfg Config) (*Dashboard, error) {
	if cfg.Recorder == nil {
		return nil, errors.New("dashboard: Recorder is nil: give the one that listens to the guards")
	}
	for i, d := range cfg.Dependencies {
		if d.Name == "" || d.Snapshot == nil {
			return nil, fmt.Errorf("dashboard: Dependencies[%d] lacks a name or a snapshot", i)
		}
	}
	if cfg.Caller == nil {
		cfg.Caller = remoteHost
	}
	if cfg.Title == "" {
		cfg.Title = "License service"
	}
	page, err := fs.Sub(files, "page")
	if err != nil {
		return nil, err
	}
	d := &Dashboard{cfg: cfg, mux: http.NewServeMux(), quit: make(chan struct{})}
	d.mux.Handle("GET /dashboard/", secure(http.StripPrefix("/dashboard/", http.FileServerFS(page))))
	d.mux.HandleFunc("GET /dashboard/events", d.events)
	d.mux.HandleFunc("POST /dashboard/faults/{id}", d.toggle)
	return d, nil
}

// ServeHTTP serves the page, its stream and its buttons.
func (d *Dashboard) ServeHTTP(w http.ResponseWriter, r *http.Request) { d.mux.ServeHTTP(w, r) }

// Close ends every stream, so that a server can shut down.
func (d *Dashboard) Close() error {
	d.close.Do(func() { close(d.quit) })
	return nil
}

// secure sets headers by which browsers refuse to load anything from elsewhere.
func secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-cache")
		next.ServeHTTP(w, r)
	})
}

type state struct {
	Title        string            `json:"title"`
	Now          time.Time         `json:"now"`
	Status       *Status           `json:"status,omitempty"`
	Outcomes     []Value           `json:"outcomes,omitempty"`
	Sources      []Value           `json:"sources"`
	Dependencies []dependencyState `json:"dependencies"`
	Traffic      []Traffic         `json:"traffic,omitempty"`
	Changes      []Change          `json:"changes"`
	Faults       []Fault           `json:"faults,omitempty"`
	Buttons      []Button          `json:"buttons,omitempty"`
	Capacity     *Capacity         `json:"capacity,omitempty"`
	Recent       []Decision        `json:"recent,omitempty"`
	TraceURL     string            `json:"trace_url,omitempty"`
}

type dependencyState struct {
	resilience.Snapshot
	Fallback string   `json:"fallback"`
	History  []Moment `json:"history"`
}

func (d *Dashboard) state(now time.Time) state {
	s := state{Title: d.cfg.Title, Now: now, Outcomes: d.cfg.Outcomes, Sources: sources, TraceURL: d.cfg.TraceURL}
	for _, dep := range d.cfg.Dependencies {
		s.Dependencies = append(s.Dependencies, dependencyState{
			Snapshot: dep.Snapshot(), Fallback: dep.Fallback, History: d.cfg.Recorder.History(dep.Name, now, history),
		})
	}
	changes, _ := d.cfg.Recorder.Changes()
	for _, c := range changes {
		if now.Sub(c.At) < (history+30)*time.Second {
			s.Changes = append(s.Changes, c)
		}
	}
	if d.cfg.Traffic != nil {
		s.Traffic = d.cfg.Traffic(now, history)
	}
	if d.cfg.Status != nil {
		status := d.cfg.Status()
		s.Status = &status
	}
	if d.cfg.Capacity != nil {
		capacity := d.cfg.Capacity()
		s.Capacity = &capacity
	}
	if d.cfg.Recent != nil {
		s.Recent = d.cfg.Recent()
	}
	if d.cfg.Faults != nil {
		s.Faults, s.Buttons = d.cfg.Faults.Timeline(), d.cfg.Faults.Buttons()
	}
	return s
}

// events streams the state as server-sent events.
func (d *Dashboard) events(w http.ResponseWriter, r *http.Request) {
	own := d.watchers.add(d.cfg.Caller(r))
	defer d.watchers.remove(own)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-cache")
	stream := http.NewResponseController(w)
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		if d.send(w, stream) != nil {
			return
		}
		select {
		case <-ticker.C:
		case <-r.Context().Done():
			return
		case <-own.displaced:
			// The page says why, and waits before it connects again, so that two pages do not
			// take turns.
			fmt.Fprintf(w, "retry: %d\nevent: displaced\ndata: {\"watchers\":%d,\"per_caller\":%d,\"again_s\":%g}\n\n",
				again.Milliseconds(), maxWatchers, maxPerCaller, again.Seconds())
			return
		case <-d.quit:
			return
		}
	}
}

// send writes one event. An error means that the page has disconnected.
func (d *Dashboard) send(w http.ResponseWriter, stream *http.ResponseController) error {
	b, err := json.Marshal(d.state(time.Now()))
	if err != nil {
		return err
	}
	// A page that has stopped reading must not hold the stream for ever. A writer without
	// deadlines, as in a test, is accepted.
	if err := stream.SetWriteDeadline(time.Now().Add(10 * tick)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if _, err := fmt.Fprintf(w, "data: %s\n\n", b); err != nil {
		return err
	}
	return stream.Flush()
}

// toggle presses a button. Whether the request comes from the page itself is checked by what
// stands before the dashboard.
func (d *Dashboard) toggle(w http.ResponseWriter, r *http.Request) {
	if d.cfg.Faults == nil {
		http.Error(w, "no faults can be injected here; run: licensesvc demo", http.StatusNotFound)
		return
	}
	switch err := d.cfg.Faults.Toggle(r.PathValue("id")); {
	case errors.Is(err, ErrUnknownFault):
		http.Error(w, err.Error(), http.StatusNotFound)
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

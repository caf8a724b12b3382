package resilience

import (
	"encoding/json"
	"errors"
	"time"
)

// Source says where a result's value came from.
type Source uint8

// The sources of a value, from best to least.
const (
	// Live is the answer of the dependency to this call.
	Live Source = iota
	// Hedge is the answer of the dependency to a hedge of this call.
	Hedge
	// Cache is a remembered value that is fresh by policy; no call was needed.
	Cache
	// Stale is a remembered value served because the call failed.
	Stale
	// Static is a value or the outcome of a function that stands in for the
	// dependency because the call failed.
	Static
)

// String returns the source in lower case: live, hedge, cache, stale, static.
func (s Source) String() string {
	switch s {
	case Live:
		return "live"
	case Hedge:
		return "hedge"
	case Cache:
		return "cache"
	case Stale:
		return "stale"
	case Static:
		return "static"
	}
	return "unknown"
}

// MarshalText makes a source readable in JSON and YAML.
func (s Source) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (s *Source) UnmarshalText(text []byte) error {
	return unmarshalName(s, text, "source", Live, Hedge, Cache, Stale, Static)
}

// Result is the outcome of a guarded call: the value, and where it came from. It is a
// value; copies are independent as far as T is.
type Result[T any] struct {
	// Value is the zero value if Do returned an error.
	Value T
	// Source says where Value came from.
	Source Source
	// Age is how old a Cache or Stale value is; zero for the others.
	Age time.Duration
	// Cause is why the value is not live: the error that a fallback stood in for.
	// Nil for Live, Hedge and Cache.
	Cause error
	// Attempts is the number of times the call was started, hedges included. It is zero
	// if the call was refused or a remembered value was fresh. For a coalesced call it
	// is the number of attempts that the shared call had started by then.
	Attempts int
}

// resultJSON is the JSON form of a Result. A cause is written as its text.
type resultJSON[T any] struct {
	Value    T             `json:"value"`
	Source   Source        `json:"source"`
	Age      time.Duration `json:"age_ns,omitempty"`
	Cause    string        `json:"cause,omitempty"`
	Attempts int           `json:"attempts"`
}

// MarshalJSON writes the cause as its text.
func (r Result[T]) MarshalJSON() ([]byte, error) {
	out := resultJSON[T]{Value: r.Value, Source: r.Source, Age: r.Age, Attempts: r.Attempts}
	if r.Cause != nil {
		out.Cause = r.Cause.Error()
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads what MarshalJSON writes. The cause becomes an error with the same
// text.
func (r *Result[T]) UnmarshalJSON(text []byte) error {
	var in resultJSON[T]
	if err := json.Unmarshal(text, &in); err != nil {
		return err
	}
	*r = Result[T]{Value: in.Value, Source: in.Source, Age: in.Age, Attempts: in.Attempts}
	if in.Cause != "" {
		r.Cause = errors.New(in.Cause)
	}
	return nil
}

package routes

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// Table maps patterns of http.ServeMux, such as "GET /v1/members/{id}", to values. The zero
// value is an empty table. Find is safe for concurrent use once the last Add has returned.
type Table[T any] struct{ mux *http.ServeMux } // mux is nil while the table is empty

// entry is one line of a table. ServeMux finds handlers, so an entry is one.
type entry[T any] struct{ value T }

// ServeHTTP is never called.
func (*entry[T]) ServeHTTP(http.ResponseWriter, *http.Request) {}

// Add adds a pattern. The error says what is wrong with it, or which earlier pattern it
// conflicts with.
func (t *Table[T]) Add(pattern string, value T) (err error) {
	if t.mux == nil {
		t.mux = http.NewServeMux()
	}
	// ServeMux panics over a pattern that it does not take.
	defer func() {
		if v := recover(); v != nil {
			err = errors.New(strings.TrimSpace(fmt.Sprint(v)))
		}
	}()
	t.mux.Handle(pattern, &entry[T]{value})
	return nil
}

// Find returns the value of the most specific pattern that matches a request on a host. ok is
// false if none does.
func (t *Table[T]) Find(r *http.Request, host string) (value T, ok bool) {
	if t.mux == nil {
		return value, false
	}
	if r.Host != host {
		r = &http.Request{Method: r.Method, URL: r.URL, Host: host}
	}
	found, _ := t.mux.Handler(r)
	if e, ok := found.(*entry[T]); ok {
		return e.value, true
	}
	return value, false
}

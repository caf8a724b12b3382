package rest

import (
	"net/http/httptrace"
	"time"
)

// traceKey is the context key under which net/http looks for a trace. It is not exported,
// so it is found by watching which key net/http asks for.
var traceKey = func() any {
	var asked asking
	httptrace.ContextClientTrace(&asked)
	return asked.key
}()

// asking is a context that records for which key it was asked.
type asking struct {
	noContext
	key any
}

func (a *asking) Value(key any) any { a.key = key; return nil }

// noContext is a context that is empty.
type noContext struct{}

func (noContext) Deadline() (time.Time, bool) { return time.Time{}, false }
func (noContext) Done() <-chan struct{}       { return nil }
func (noContext) Err() error                  { return nil }
func (noContext) Value(any) any               { return nil }

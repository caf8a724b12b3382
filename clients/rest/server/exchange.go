package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/backstay-go/backstay/resilience"
)

// answered is a response that counts against the service, or not at all.
type answered struct {
	status  int
	verdict resilience.Verdict
}

// Error implements error.
func (e *answered) Error() string { return fmt.Sprintf("server: answered with status %d", e.status) }

// Verdict implements resilience.Judged.
func (e *answered) Verdict() resilience.Verdict { return e.verdict }

// unobserved is an outcome that counts neither as success nor as failure.
type unobserved struct{ what string }

func (e *unobserved) Error() string { return "server: " + e.what }

// Verdict implements resilience.Judged.
func (e *unobserved) Verdict() resilience.Verdict {
	return resilience.Verdict{Outcome: resilience.Ignored}
}

var (
	// errLate: less time is left than the operation takes at its fastest.
	errLate = &unobserved{"it can't be done in the time that is left"}
	// errSlowBody: the request's body did not arrive in time.
	errSlowBody = &unobserved{"the request's body did not arrive in time"}
	// errSlowReader: the caller did not read the response in time.
	errSlowReader = &unobserved{"the caller did not read the answer in time"}
	// errBodyFailed: the handler failed because the request's body did.
	errBodyFailed = &unobserved{"the request's body could not be read"}
	errTaken      = &unobserved{"the handler took the connection over"}
	errAborted    = &unobserved{"the handler aborted the answer"}
	errTwice      = &unobserved{"the handler runs or ran already"}
)

// exchange is one request on its way through the guard.
type exchange struct {
	handler   *Handler
	operation *operation
	request   *http.Request
	body      io.ReadCloser // nil: not read before the permit
	writer    writer
	// timed is the body if it was not read ahead. limit bounds writes.
	timed *timedBody
	limit writeLimit
	// probe: little time is left, and the request may run to find out whether it suffices.
	probe bool

	mu sync.Mutex // held while the handler runs
	// begun: the handler was called. aborted: it panicked with http.ErrAbortHandler.
	begun, aborted bool
}

// serve runs the handler under the guard, and answers if the handler was not called.
func (x *exchange) serve(ctx context.Context) {
	w := x.writer.ResponseWriter
	_, err := resilience.Do(ctx, x.operation.on, x.run)
	// Even if the policy was changed to one that detaches calls, the handler must not outlive
	// its connection.
	x.mu.Lock()
	defer x.mu.Unlock()
	begun := x.begun
	x.begun = true // it must not begin after the response
	switch {
	case x.aborted:
		panic(http.ErrAbortHandler)
	case !begun:
		x.handler.refuse(ctx, w, err)
		x.handler.onRefused(x.request)
	}
}

// run is the guarded call.
func (x *exchange) run(ctx context.Context) (none struct{}, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.begun {
		return none, errTwice
	}
	began := time.Now()
	if d, ok := ctx.Deadline(); ok && !x.probe {
		// The request may have waited for its permit since the first check.
		if ok, _ := x.operation.floor.admits(d.Sub(began), began); !ok {
			return none, errLate
		}
	}
	if x.body == nil {
		if x.body, err = readAhead(ctx, x.writer.ResponseWriter, x.request, x.handler.readAhead); err != nil {
			return none, err
		}
	}
	x.begun = true
	defer func() {
		switch v := recover(); v {
		case nil:
		case http.ErrAbortHandler:
			x.aborted, err = true, errAborted
		default:
			panic(v)
		}
	}()
	if upgrades(x.request) {
		x.untilTaken(ctx)
	} else {
		x.call(ctx)
	}
	if err := x.judge(ctx); err != nil {
		return none, err
	}
	now := time.Now()
	if s := x.writer.status; s < 400 && ctx.Err() == nil {
		x.operation.floor.saw(now.Sub(began), now)
	}
	return none, nil
}

// call calls the handler.
func (x *exchange) call(ctx context.Context) {
	r := x.request.WithContext(ctx)
	r.Header, r.Body = withoutHop(r.Header), x.body
	w := x.writer.ResponseWriter
	if _, x.writer.allRead = x.body.(*aheadBody); !x.writer.allRead && x.body != nil && x.body != http.NoBody {
		x.timed = timeBody(ctx, w, x.body)
		defer x.timed.finish()
		r.Body = x.timed
	}
	x.writer.limit = &x.limit
	defer x.limit.finish()
	defer context.AfterFunc(ctx, func() { x.limit.expire(w) })()
	// Middleware around the guard needs the pattern (otelhttp names its span by it), and the
	// standard server needs the form in order to remove its files.
	defer func() { x.request.Pattern, x.request.MultipartForm = r.Pattern, r.MultipartForm }()
	x.handler.next.ServeHTTP(x.writer.watch(r), r)
}

// untilTaken calls a handler that may hijack the connection. The deadline of the request
// applies only until then.
func (x *exchange) untilTaken(ctx context.Context) {
	own, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(context.Canceled)
	gone := x.request.Context()
	defer context.AfterFunc(gone, func() { cancel(context.Cause(gone)) })()
	free := context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })
	defer free()
	x.writer.taken = func() {
		free()
		x.limit.finish()
		if x.timed != nil {
			x.timed.finish()
		}
	}
	x.call(own)
}

// judge returns what the response means for the guard, as an error with a verdict.
func (x *exchange) judge(ctx context.Context) error {
	w := &x.writer
	late, failed := x.timed.state()
	switch {
	case w.hijacked:
		return errTaken
	case x.limit.wasCut():
		return errSlowReader
	case late:
		if w.status == 0 {
			x.handler.refusals.bodyLate.write(w.ResponseWriter, "Connection", "close")
			w.status = x.handler.refusals.bodyLate.status
		}
		return errSlowBody
	case failed && w.status >= 500:
		return errBodyFailed
	case w.status == 0 && ctx.Err() != nil:
		// There was no response, most likely because the context has ended.
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			x.handler.refusals.outOfTime.write(w.ResponseWriter)
			w.status = x.handler.refusals.outOfTime.status
			return ctx.Err()
		}
		if errors.Is(context.Cause(ctx), ErrDraining) {
			x.handler.refusals.outOfTime.write(w.ResponseWriter, "Connection", "close")
			w.status = x.handler.refusals.outOfTime.status
		}
		return ctx.Err()
	case w.status == http.StatusServiceUnavailable && get(w.Header(), "Retry-After") != "":
		// A dependency is overloaded, or the handler refused by itself.
		return &answered{w.status, resilience.Verdict{Outcome: resilience.Ignored, Repeat: resilience.RepeatNever}}
	case w.status >= 500 && w.status != http.StatusNotImplemented && w.status != http.StatusHTTPVersionNotSupported:
		return &answered{w.status, resilience.Verdict{Outcome: resilience.Failure, Repeat: resilience.RepeatNever}}
	}
	return nil
}

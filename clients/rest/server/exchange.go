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

// answered is an answer that counts against the service, or not at all.
type answered struct {
	status  int
	verdict resilience.Verdict
}

// Error says what was answered.
func (e *answered) Error() string { return fmt.Sprintf("server: answered with status %d", e.status) }

// Verdict implements resilience.Judged.
func (e *answered) Verdict() resilience.Verdict { return e.verdict }

// unobserved are outcomes that count neither way.
type unobserved struct{ what string }

func (e *unobserved) Error() string { return "server: " + e.what }

// Verdict implements resilience.Judged.
func (e *unobserved) Verdict() resilience.Verdict {
	return resilience.Verdict{Outcome: resilience.Ignored, Repeat: resilience.RepeatNever}
}

var (
	// errLate: what is left of the deadline is less than the operation takes at its best.
	errLate = &unobserved{"it can't be done in the time that is left"}
	// errSlowBody: a body did not arrive in time.
	errSlowBody = &unobserved{"the request's body did not arrive in time"}
	// errSlowReader: the caller did not read the answer in time.
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
	body      io.ReadCloser // nil: it is not read before there is a permit
	writer    writer
	// timed is the body if it was not read ahead; limit bounds the writing.
	timed *timedBody
	limit writeLimit
	// probe: it has little time left and is let through to find out.
	probe bool

	mu sync.Mutex // held while the handler runs
	// begun: the handler was called. aborted: it asked to cut the answer off.
	begun, aborted bool
}

// serve runs the handler under the guard and answers for it if it was not begun.
func (x *exchange) serve(ctx context.Context) {
	w := x.writer.ResponseWriter
	_, err := resilience.Do(ctx, x.operation.on, x.run)
	// A policy that was changed to one that detaches does not let the handler outlive
	// its connection.
	x.mu.Lock()
	defer x.mu.Unlock()
	begun := x.begun
	x.begun = true // or it would begin after the answer
	switch {
	case x.aborted:
		panic(http.ErrAbortHandler)
	case !begun:
		x.handler.refuse(ctx, w, err)
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
		// It may have waited for its permit since the first look.
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
	// Who is around the guard names its span by the route, as otelhttp does; and the
	// standard server removes the files of a form.
	defer func() { x.request.Pattern, x.request.MultipartForm = r.Pattern, r.MultipartForm }()
	x.handler.next.ServeHTTP(x.writer.watch(r), r)
}

// untilTaken calls a handler that may take the connection over: from then on, the
// deadline of the request is none of its business.
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

// judge says what the answer means for the guard.
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
			bodyLate.write(w.ResponseWriter, "Connection", "close")
			w.status = bodyLate.status
		}
		return errSlowBody
	case failed && w.status >= 500:
		return errBodyFailed
	case w.status == 0 && ctx.Err() != nil:
		// Nothing was answered, and the reason is likely the context's.
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			outOfTime.write(w.ResponseWriter)
			w.status = outOfTime.status
			return ctx.Err()
		}
		if errors.Is(context.Cause(ctx), ErrDraining) {
			outOfTime.write(w.ResponseWriter, "Connection", "close")
			w.status = outOfTime.status
		}
		return ctx.Err()
	case w.status == http.StatusServiceUnavailable && get(w.Header(), "Retry-After") != "":
		// Something below is overloaded, or the handler refused by itself.
		return &answered{w.status, resilience.Verdict{Outcome: resilience.Ignored, Repeat: resilience.RepeatNever}}
	case w.status >= 500 && w.status != http.StatusNotImplemented && w.status != http.StatusHTTPVersionNotSupported:
		return &answered{w.status, resilience.Verdict{Outcome: resilience.Failure, Repeat: resilience.RepeatNever}}
	}
	return nil
}

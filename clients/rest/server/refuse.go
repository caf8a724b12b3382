package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"time"

	"github.com/backstay-go/backstay/internal/headers"
	"github.com/backstay-go/backstay/resilience"
)

// ErrDraining is the cause of contexts that end because the server shuts down. It matches
// context.Canceled.
var ErrDraining = fmt.Errorf("server: draining: %w", context.Canceled)

// refusal is a prebuilt response to a request whose handler was not called. Refusing must be
// cheapest when load is highest.
type refusal struct {
	status int
	header http.Header
	body   []byte
}

// refusals are the refusals of one handler. The last three have no Backstay-Refused, because
// the request may have been processed, or can't be served elsewhere either.
type refusals struct {
	overload, limited, throttled, late, slow, draining refusal
	bodyLate, notSet, outOfTime                        refusal
}

// problemFunc is HandlerConfig.Problem.
type problemFunc func(status int, refused string) (kind string, fields map[string]any)

func makeRefusals(retryAfter time.Duration, problem problemFunc) (r refusals, err error) {
	if problem == nil {
		problem = func(int, string) (string, map[string]any) { return "about:blank", nil }
	}
	seconds := ceilSeconds(retryAfter)
	for _, one := range []struct {
		into    *refusal
		status  int
		why     headers.Reason
		seconds int
		detail  string
	}{
		{&r.overload, http.StatusServiceUnavailable, headers.Overload, seconds, "more requests than can be taken; send it again later, or elsewhere"},
		{&r.limited, http.StatusTooManyRequests, headers.Overload, seconds, "more requests per second than are allowed; send it again later"},
		{&r.throttled, http.StatusServiceUnavailable, headers.Overload, seconds, "a part of the requests is refused while others fail; send it again later, or elsewhere"},
		{&r.late, http.StatusServiceUnavailable, headers.Deadline, 0, "it could not be done in the time that is left; allow more time"},
		{&r.slow, http.StatusRequestTimeout, headers.Deadline, 0, "the body did not arrive in time; send it faster, or allow more time"},
		{&r.draining, http.StatusServiceUnavailable, headers.Draining, seconds, "the server is about to stop; send it again, elsewhere"},
		{&r.bodyLate, http.StatusRequestTimeout, "", 0, "the body did not arrive before the deadline; what had arrived may have been processed"},
		{&r.notSet, http.StatusInternalServerError, "", 0, "the service is not set up for this request; its log says why"},
		{&r.outOfTime, http.StatusServiceUnavailable, "", 0, "there was no answer before the deadline, or before the server stopped; it may have been processed"},
	} {
		if *one.into, err = makeRefusal(problem, one.status, one.why, one.seconds, one.detail); err != nil {
			return r, fmt.Errorf("server: Problem: %w", err)
		}
	}
	return r, nil
}

func makeRefusal(problem problemFunc, status int, why headers.Reason, seconds int, detail string) (refusal, error) {
	r := refusal{status: status, header: http.Header{
		"Content-Type":           {"application/problem+json"},
		"Cache-Control":          {"no-store"},
		"X-Content-Type-Options": {"nosniff"},
	}}
	kind, more := problem(status, string(why))
	fields := map[string]any{"title": http.StatusText(status)}
	maps.Copy(fields, more)
	fields["type"], fields["status"], fields["detail"] = kind, status, detail
	if why != "" {
		r.header[headers.Refused] = []string{string(why)}
		fields["refused"] = why
	}
	if seconds > 0 {
		r.header["Retry-After"] = []string{strconv.Itoa(seconds)}
		fields["retry_after_s"] = seconds
	}
	body, err := json.Marshal(fields)
	r.body = append(body, '\n')
	r.header["Content-Length"] = []string{strconv.Itoa(len(r.body))}
	return r, err
}

func ceilSeconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }

// write sends the response. The header's values are shared and must not be modified.
func (f *refusal) write(w http.ResponseWriter, with ...string) {
	h := w.Header()
	for name, values := range f.header {
		h[name] = values
	}
	for i := 0; i+1 < len(with); i += 2 {
		h.Set(with[i], with[i+1])
	}
	w.WriteHeader(f.status)
	// If this fails, the caller has gone.
	_, _ = w.Write(f.body)
}

// refuse answers a request whose handler was not called.
func (h *Handler) refuse(ctx context.Context, w http.ResponseWriter, err error) {
	var guards *resilience.Refusal
	switch known := errors.As(err, &guards); {
	case errors.Is(err, resilience.ErrPolicy):
		// The guard's policy was changed to one without the operation.
		logf(ctx, "server: %v", err)
		h.refusals.notSet.write(w)
	case errors.Is(err, resilience.ErrClosed), errors.Is(context.Cause(ctx), ErrDraining):
		h.refusals.draining.write(w, "Connection", "close")
	case errors.Is(err, errSlowBody):
		h.refusals.slow.write(w, "Connection", "close")
	case errors.Is(err, resilience.ErrRateLimited):
		h.refusals.limited.write(w)
	case errors.Is(err, resilience.ErrThrottled):
		h.refusals.throttled.write(w)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, errLate):
		h.refusals.late.write(w)
	case known && !guards.Until.IsZero():
		h.refusals.overload.write(w, "Retry-After", strconv.Itoa(max(1, ceilSeconds(time.Until(guards.Until)))))
	default: // no permit, or the caller has gone
		h.refusals.overload.write(w)
	}
}

// logf writes to the ErrorLog of the http.Server, if it has one.
func logf(ctx context.Context, format string, args ...any) {
	if s, ok := ctx.Value(http.ServerContextKey).(*http.Server); ok && s.ErrorLog != nil {
		s.ErrorLog.Printf(format, args...)
	}
}

package server

import (
	"context"
	"errors"
	"fmt"
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

// refusals are the refusals of one handler.
type refusals struct {
	overload, limited, throttled, late, slow, draining refusal
}

func makeRefusals(retryAfter time.Duration) refusals {
	seconds := ceilSeconds(retryAfter)
	return refusals{
		overload:  makeRefusal(http.StatusServiceUnavailable, headers.Overload, seconds, "more requests than can be taken; send it again later, or elsewhere"),
		limited:   makeRefusal(http.StatusTooManyRequests, headers.Overload, seconds, "more requests a second than are allowed; send it again later"),
		throttled: makeRefusal(http.StatusServiceUnavailable, headers.Overload, seconds, "a part of the requests is refused while others fail; send it again later, or elsewhere"),
		late:      makeRefusal(http.StatusServiceUnavailable, headers.Deadline, 0, "it could not be done in the time that is left; allow more time"),
		slow:      makeRefusal(http.StatusRequestTimeout, headers.Deadline, 0, "the body did not arrive in time; send it faster, or allow more time"),
		draining:  makeRefusal(http.StatusServiceUnavailable, headers.Draining, seconds, "the server is about to stop; send it again, elsewhere"),
	}
}

func makeRefusal(status int, why headers.Reason, seconds int, detail string) refusal {
	r := refusal{status: status, header: http.Header{
		headers.Refused:          {string(why)},
		"Content-Type":           {"application/problem+json"},
		"Cache-Control":          {"no-store"},
		"X-Content-Type-Options": {"nosniff"},
	}}
	more := ""
	if seconds > 0 {
		r.header["Retry-After"] = []string{strconv.Itoa(seconds)}
		more = fmt.Sprintf(`,"retry_after_s":%d`, seconds)
	}
	r.body = fmt.Appendf(nil, `{"type":"about:blank","title":%q,"status":%d,"detail":%q,"refused":%q%s}`+"\n", http.StatusText(status), status, detail, why, more)
	r.header["Content-Length"] = []string{strconv.Itoa(len(r.body))}
	return r
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
		notSet.write(w)
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

// notSet, outOfTime and bodyLate have no Backstay-Refused, because the request may have been
// processed, or can't be served elsewhere either.
var (
	bodyLate  = makeUnmarked(http.StatusRequestTimeout, "the body did not arrive before the deadline; what had arrived may have been processed")
	notSet    = makeUnmarked(http.StatusInternalServerError, "the service is not set up for this request; its log says why")
	outOfTime = makeUnmarked(http.StatusServiceUnavailable, "there was no answer before the deadline, or before the server stopped; it may have been processed")
)

func makeUnmarked(status int, detail string) refusal {
	r := makeRefusal(status, "", 0, detail)
	delete(r.header, headers.Refused)
	r.body = fmt.Appendf(nil, `{"type":"about:blank","title":%q,"status":%d,"detail":%q}`+"\n", http.StatusText(status), status, detail)
	r.header["Content-Length"] = []string{strconv.Itoa(len(r.body))}
	return r
}

// logf writes to the ErrorLog of the http.Server, if it has one.
func logf(ctx context.Context, format string, args ...any) {
	if s, ok := ctx.Value(http.ServerContextKey).(*http.Server); ok && s.ErrorLog != nil {
		s.ErrorLog.Printf(format, args...)
	}
}

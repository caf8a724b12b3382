package api

import (
	"context"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

type noteKey struct{}

// note returns the log of the request to which the context belongs.
func note(ctx context.Context) *RequestLog {
	if n, ok := ctx.Value(noteKey{}).(*RequestLog); ok {
		return n
	}
	return &RequestLog{}
}

// bound reports the outcome of a request. A panic ends only its request.
func (a *API) bound(h huma.API) func(huma.Context, func(huma.Context)) {
	return func(hc huma.Context, next func(huma.Context)) {
		began := time.Now()
		entry := &RequestLog{Kind: hc.Operation().OperationID, Member: hc.Param("member"), License: hc.Param("license")}
		ctx := hc.Context()
		defer func() {
			if v := recover(); v != nil {
				if v == http.ErrAbortHandler {
					panic(v)
				}
				a.log.ErrorContext(ctx, "panic", "operation", entry.Kind, "value", fmt.Sprint(v), "stack", string(debug.Stack()))
				entry.Outcome = OutcomeError
				a.write(h, hc, problemOf(KindError, http.StatusInternalServerError, "the service failed; its log says why"))
			}
			entry.Status, entry.Took = hc.Status(), time.Since(began)
			if entry.Outcome == "" {
				entry.Outcome = OutcomeInvalid
			}
			entry.mark(ctx, hc.Operation().Path)
			a.onRequest(*entry)
		}()
		ctx = context.WithValue(ctx, noteKey{}, entry)
		next(huma.WithContext(hc, ctx))
	}
}

func (a *API) write(h huma.API, hc huma.Context, p *Problem) {
	for name, values := range p.headers {
		for _, v := range values {
			hc.SetHeader(name, v)
		}
	}
	hc.SetHeader("Content-Type", problemType)
	hc.SetStatus(p.Status)
	if err := h.Marshal(hc.BodyWriter(), "application/json", p); err != nil {
		a.log.Error("write problem", "error", err)
	}
}

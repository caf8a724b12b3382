package api

import (
	"context"
	"fmt"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// The attributes of a request's span. They answer "show me promises", and "show me what was
// decided on stale data".
const (
	OutcomeKey = attribute.Key("licensesvc.outcome")
	// ReasonKey says why the rules refused, or which dependency failed.
	ReasonKey = attribute.Key("licensesvc.reason")
	// DecidedOnKey lists the data of the decision, such as "catalog stale 340 s".
	DecidedOnKey = attribute.Key("licensesvc.decided_on")
	LicenseKey   = attribute.Key("licensesvc.license")
	// messageKey is error.message of OpenTelemetry's conventions.
	messageKey = attribute.Key("error.message")
)

// failures are the outcomes that make a span an error.
var failures = []string{OutcomeUnavailable, OutcomeUnknown, OutcomeError}

// mark writes the outcome of a request to its span.
func (r *RequestLog) mark(ctx context.Context, route string) {
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() {
		return
	}
	span.SetAttributes(attribute.String("http.route", route), OutcomeKey.String(r.Outcome))
	if r.Code != "" {
		span.SetAttributes(ReasonKey.String(r.Code))
	}
	if r.License != "" {
		span.SetAttributes(LicenseKey.String(r.License))
	}
	if len(r.On) > 0 {
		on := make([]string, 0, len(r.On))
		for _, b := range r.On {
			text := b.Dependency + " " + b.Source
			if b.AgeSeconds > 0 {
				text += fmt.Sprintf(" %s", time.Duration(b.AgeSeconds)*time.Second)
			}
			on = append(on, text)
		}
		span.SetAttributes(DecidedOnKey.StringSlice(on))
	}
	if slices.Contains(failures, r.Outcome) {
		span.SetAttributes(attribute.String("error.type", r.Outcome))
		span.SetStatus(codes.Error, r.Outcome)
	}
}

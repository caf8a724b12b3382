package chaos

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/baggage"
)

// Baggage members by which a request tells the fault injectors about itself.
// They travel with the trace, so that every service on the way sees them.
const (
	// ScopeKey holds the scopes of a request, separated by spaces. Rules with a
	// Whom.Scope act only on requests that carry it.
	ScopeKey = "backstay.chaos"
	// RequestKey holds the request's identity. A request with the same identity gets the
	// same faults in each run with the same seed.
	RequestKey = "backstay.request"
)

// WithScope marks all work under the context as belonging to the scope. Scopes that the
// context has already are kept. The scope must not contain spaces.
func WithScope(ctx context.Context, scope string) (context.Context, error) {
	if scope == "" || strings.ContainsAny(scope, " \t\n") {
		return ctx, fmt.Errorf("chaos: scope %q: a scope is a word without spaces", scope)
	}
	scopes := ScopesOf(ctx)
	if slices.Contains(scopes, scope) {
		return ctx, nil
	}
	return withMember(ctx, ScopeKey, strings.Join(append(scopes, scope), " "))
}

// WithRequest names the request that the context belongs to.
func WithRequest(ctx context.Context, identity string) (context.Context, error) {
	return withMember(ctx, RequestKey, identity)
}

// ScopesOf lists the scopes in the context's baggage.
func ScopesOf(ctx context.Context) []string {
	return strings.Fields(baggage.FromContext(ctx).Member(ScopeKey).Value())
}

// RequestOf returns the request's identity in the context's baggage, or an empty text.
func RequestOf(ctx context.Context) string {
	return baggage.FromContext(ctx).Member(RequestKey).Value()
}

// FromBaggage adds the scopes and the identity of a W3C baggage header to the
// context. Members that it does not know and headers that it cannot read are
// ignored: a fault injector must not fail a request for its headers.
func FromBaggage(ctx context.Context, header string) context.Context {
	b, err := baggage.Parse(header)
	if err != nil {
		return ctx
	}
	for _, key := range []string{ScopeKey, RequestKey} {
		if v := b.Member(key).Value(); v != "" {
			if with, err := withMember(ctx, key, v); err == nil {
				ctx = with
			}
		}
	}
	return ctx
}

func withMember(ctx context.Context, key, value string) (context.Context, error) {
	m, err := baggage.NewMemberRaw(key, value)
	if err != nil {
		return ctx, fmt.Errorf("chaos: baggage member %s: %w", key, err)
	}
	b, err := baggage.FromContext(ctx).SetMember(m)
	if err != nil {
		return ctx, fmt.Errorf("chaos: baggage member %s: %w", key, err)
	}
	return baggage.ContextWithBaggage(ctx, b), nil
}

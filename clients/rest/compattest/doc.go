// Package compattest holds that other people's clients and wrappers work unchanged over
// the guarded transport and before the guarded server: a client that was generated from
// an OpenAPI text, resty, go-retryablehttp, httputil.ReverseProxy with WebSockets and
// trailers, and otelhttp on either side of either.
//
// It is a separate module, so that none of them becomes a dependency of Backstay, and
// has nothing but tests and generated code.
package compattest

// Package server is the server side of REST: a handler behind a guard, and a server that
// shuts down without losing a request.
//
//	guard, err := resilience.New(policy) // limit, queue, timeout: those of the service itself
//	api, err := server.NewHandler(mux, server.HandlerConfig{Guard: guard})
//	srv, err := server.NewServer(server.ServerConfig{HTTP: &http.Server{Handler: api}})
//	err = srv.Run(ctx, listener)         // until ctx ends, then drains
//
// # What this package may import
//
// The standard library, package resilience, internal/headers and internal/routes.
//
// # What it promises
//
//   - A request runs as a call of its guard, so that every handler has a permit and a
//     deadline. The permit is released when the handler returns, also after a panic, and
//     also if the caller has already gone.
//   - The deadline, class and attempt that arrive with a request, in the headers of
//     Backstay, gRPC, Envoy or Finagle, apply to every guard that the handler calls. They
//     are accepted from trusted peers only, and can only reduce: no header lengthens a
//     deadline or raises a class.
//   - A request that can't be served is refused before it begins, with Backstay-Refused, a
//     problem document and Retry-After. A response without Backstay-Refused comes from the
//     handler, or says that the request may have been processed.
//   - A slow caller holds no permit past the deadline, neither one whose body is late, nor
//     one that does not read the response.
//   - The context ends when the caller goes away, on HTTP/1.1 too, provided that the body
//     could be read ahead.
//   - Draining has a fixed order: the server reports that it is not ready; responses close
//     their connections; no new connections are accepted; running requests end; everything
//     else is closed. Callers on HTTP/2 get a GOAWAY first and lose no stream.
package server

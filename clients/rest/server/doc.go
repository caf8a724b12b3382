// Package server is the side of REST that answers: a handler behind a guard, and a
// server that ends without losing a request.
//
//	guard, err := resilience.New(policy) // limit, queue, timeout: those of the service itself
//	api, err := server.NewHandler(mux, server.HandlerConfig{Guard: guard})
//	srv, err := server.NewServer(server.ServerConfig{HTTP: &http.Server{Handler: api}})
//	err = srv.Run(ctx, listener)         // until ctx ends, then drains
//
// # What this package may import
//
// The standard library, package resilience and clients/rest/internal/wire.
//
// # What it promises
//
//   - A request runs as a call of its guard: no handler without a permit and a
//     deadline. The permit comes back when the handler ends, also after a panic, also
//     when the caller has long gone.
//   - Deadline, class and attempt that came with a request, in Backstay's headers or
//     those of gRPC, Envoy and Finagle, hold for every guard below it. They count from
//     trusted peers only, and only ever to make less: no header lengthens a deadline or
//     raises a class.
//   - What can't be done is refused before it begins: marked with Backstay-Refused, as
//     a problem document, with Retry-After. An answer without the mark comes from the
//     handler, or says that the request may have been processed.
//   - A slow caller holds no permit past the deadline: neither one whose body is late, nor
//     one that does not read its answer.
//   - A caller that goes away ends the context, also on HTTP/1.1 while a body was not
//     read, as far as the body could be read ahead.
//   - Draining: not ready, then answers that close their connections, then no new
//     connections, then the requests that were begun end, then everything else. Callers
//     on HTTP/2 are told first and lose no stream.
package server

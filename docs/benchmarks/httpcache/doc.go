// Command httpcache runs the suite of github.com/http-tests/cache-tests against the cache
// of clients/rest, below a reverse proxy, and prints a table of the results, with those
// that the suite's own folder has of other caches.
//
//	git clone https://github.com/http-tests/cache-tests && (cd cache-tests && npm install)
//	go run ./httpcache cache-tests
//
// It needs Node.js. Nothing of the suite is part of this repository.
package main

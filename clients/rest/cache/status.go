package cache

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Status says how a response was obtained, as in the Cache-Status field (RFC 9211) of this
// cache.
type Status struct {
	// Hit: the response came from the cache.
	Hit bool
	// Stale: the response is no longer fresh. Detail says why it was served: if-error (the
	// server failed), while-revalidate (it is being refreshed), max-stale (the request
	// accepts it).
	Stale  bool
	Detail string
	// Forward is why the request went to the server: uri-miss, vary-miss, stale, request,
	// method or bypass. Empty for a hit.
	Forward string
	// ForwardStatus is the status of the server's response. Zero if there was none.
	ForwardStatus int
	// Stored: the response was stored. It is false while the body is still to come, because
	// that is not known yet.
	Stored bool
	// Collapsed: the response came from the fetch of another request.
	Collapsed bool
	// TTL is how long the response stays fresh, in whole seconds. It is negative if the
	// response is stale.
	TTL time.Duration
	// Age is how old the response is, in whole seconds.
	Age time.Duration
}

// cacheName identifies this cache in Cache-Status.
const cacheName = "Backstay"

// write adds the status to a response's header.
func (s Status) write(h http.Header) {
	text := cacheName
	if s.Hit {
		text += "; hit"
	}
	if s.Forward != "" {
		text += "; fwd=" + s.Forward
	}
	if s.ForwardStatus != 0 {
		text += "; fwd-status=" + strconv.Itoa(s.ForwardStatus)
	}
	if s.Hit || s.TTL != 0 {
		text += "; ttl=" + strconv.FormatInt(int64(s.TTL/time.Second), 10)
	}
	if s.Stored {
		text += "; stored"
	}
	if s.Collapsed {
		text += "; collapsed"
	}
	if s.Detail != "" {
		text += "; detail=" + s.Detail
	}
	// The list begins with the cache that is closest to the origin.
	if before := strings.Join(h["Cache-Status"], ", "); before != "" {
		text = before + ", " + text
	}
	h["Cache-Status"] = []string{text}
}

// Of reads the status of a response. ok is false if the response did not come through a
// cache of this package.
func Of(r *http.Response) (s Status, ok bool) {
	lines := r.Header["Cache-Status"]
	if len(lines) == 0 {
		return s, false
	}
	text := lines[len(lines)-1]
	text = strings.TrimSpace(text[strings.LastIndex(text, ",")+1:])
	name, parameters, _ := strings.Cut(text, ";")
	if strings.TrimSpace(name) != cacheName {
		return s, false
	}
	for parameter := range strings.SplitSeq(parameters, ";") {
		key, value, _ := strings.Cut(strings.TrimSpace(parameter), "=")
		number, _ := strconv.Atoi(value) // zero if it is absent
		switch key {
		case "hit":
			s.Hit = true
		case "fwd":
			s.Forward = value
		case "fwd-status":
			s.ForwardStatus = number
		case "ttl":
			s.TTL = time.Duration(number) * time.Second
		case "stored":
			s.Stored = true
		case "collapsed":
			s.Collapsed = true
		case "detail":
			s.Detail, s.Stale = value, true
		}
	}
	s.Age = seconds(r.Header.Get("Age"))
	return s, true
}

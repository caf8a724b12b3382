package cache

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Status says how an answer was come by: what Cache-Status (RFC 9211) tells of this
// cache.
type Status struct {
	// Hit: it came from the cache, without asking the server now.
	Hit bool
	// Stale: it is older than it should be, because the server failed, is being asked,
	// or the request took it. Detail says which: if-error, while-revalidate, max-stale.
	Stale  bool
	Detail string
	// Forward is why the server was asked: uri-miss, vary-miss, stale, request, method
	// or bypass. Empty for a hit.
	Forward string
	// ForwardStatus is what the server answered. Zero: nothing, or it was not asked.
	ForwardStatus int
	// Stored: the answer is being kept.
	Stored bool
	// Collapsed: another request fetched it at the same time.
	Collapsed bool
	// TTL is how long the answer stays fresh, in seconds; below zero it is stale. Told of
	// hits.
	TTL time.Duration
	// Age is how old the answer is. Zero if it is the server's own.
	Age time.Duration
}

// cacheName is what the cache calls itself.
const cacheName = "Backstay"

// write adds the status to an answer.
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
	// The list begins with the cache that is nearest to the origin.
	if before := strings.Join(h["Cache-Status"], ", "); before != "" {
		text = before + ", " + text
	}
	h["Cache-Status"] = []string{text}
}

// Of reads how an answer was come by. It is false for an answer that did not come
// through a cache of this package.
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
		number, _ := strconv.Atoi(value) // zero is what is not there
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

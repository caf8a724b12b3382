package cache

import (
	"net/http"
	"strings"
)

// isConditional says whether a request asks for a response only if it differs from the one
// that the caller has.
func isConditional(r *http.Request) bool {
	return len(r.Header["If-None-Match"]) > 0 || len(r.Header["If-Modified-Since"]) > 0
}

// unconditional returns a request without its conditions. The cache adds its own, and
// evaluates the caller's against the response.
func unconditional(r *http.Request) *http.Request {
	if !isConditional(r) {
		return r
	}
	out := r.WithContext(r.Context())
	out.Header = r.Header.Clone()
	out.Header.Del("If-None-Match")
	out.Header.Del("If-Modified-Since")
	return out
}

// confirmed says whether the caller already has the entry (RFC 9110, section 13.2.2).
func (e *entry) confirmed(r *http.Request) bool {
	if e.status != http.StatusOK {
		return false
	}
	if lines := r.Header["If-None-Match"]; len(lines) > 0 {
		own := e.header.Get("Etag")
		for _, line := range lines {
			for line != "" {
				var tag string
				if tag, line = nextTag(line); tag == "*" || tag != "" && own != "" && sameTag(tag, own) {
					return true
				}
			}
		}
		return false
	}
	since, ok := parseDate(r.Header.Get("If-Modified-Since"))
	if !ok {
		return false
	}
	modified, ok := parseDate(e.header.Get("Last-Modified"))
	if !ok {
		modified = e.dated
	}
	return !modified.After(since)
}

// nextTag cuts the first entity tag off a list. A quoted one may have commas.
func nextTag(list string) (tag, rest string) {
	list = strings.TrimLeft(list, " \t,")
	open := strings.IndexByte(list, '"')
	comma := strings.IndexByte(list, ',')
	if open < 0 || comma >= 0 && comma < open {
		tag, rest, _ = strings.Cut(list, ",")
		return strings.TrimSpace(tag), rest
	}
	length := strings.IndexByte(list[open+1:], '"')
	if length < 0 {
		return "", ""
	}
	end := open + length + 2
	return list[:end], list[end:]
}

// notModified turns a response into a 304.
func notModified(resp *http.Response) {
	resp.Status, resp.StatusCode = "304 Not Modified", http.StatusNotModified
	resp.Body, resp.ContentLength, resp.Uncompressed = http.NoBody, 0, false
	for _, name := range []string{"Content-Length", "Content-Encoding", "Content-Type", "Content-Language", "Content-Range"} {
		resp.Header.Del(name)
	}
}

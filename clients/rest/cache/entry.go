package cache

import (
	"bytes"
	"crypto/tls"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// entry is a stored response. It is immutable; validation makes a new entry.
type entry struct {
	key string
	// vary holds the names of the request fields that selected the response, values the
	// content of those fields in its request.
	vary   []string
	values string

	status       int
	text, proto  string
	major, minor int
	header       http.Header
	body         []byte
	uncompressed bool

	directives directives
	// sent is when the request was sent, responseAt when the response came, dated its Date.
	// age is how old it was when it came, lifetime the age up to which it is fresh.
	sent, responseAt, dated time.Time
	age, lifetime           time.Duration
	size                    int64
	tls                     *tls.ConnectionState // of the connection on which it came
}

// newer says whether an entry is newer than another one. It is if its request was sent after
// the other response had come. If both were under way at the same time, Date decides.
func (e *entry) newer(than *entry) bool {
	switch {
	case !e.sent.Before(than.responseAt):
		return true
	case !than.sent.Before(e.responseAt):
		return false
	case !e.dated.Equal(than.dated):
		return e.dated.After(than.dated)
	}
	return e.sent.After(than.sent)
}

const (
	// overhead is what an entry takes in addition to its texts, in bytes.
	overhead = 768
	// ofConnection is an estimate for the state of its TLS connection, which it shares with
	// other entries.
	ofConnection = 2 << 10
)

// statuses are the status codes that are stored without an explicit freshness lifetime (RFC
// 9110, section 15.1, without partial content).
var statuses = []int{200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501}

// keeps says whether a response may be stored.
func (c *Cache) keeps(r *http.Request, resp *http.Response, d directives) bool {
	h := resp.Header
	switch {
	case resp.StatusCode < 200, resp.StatusCode == http.StatusPartialContent, resp.StatusCode == http.StatusNotModified,
		d.noStore && !c.over("no-store"),
		d.private,
		len(h["Set-Cookie"]) > 0,
		c.credentialed(r) && !d.shared(),
		slices.Contains(varies(h), "*"):
		return false
	case lifetime(h, d, c.now()) > 0:
		return true
	case !slices.Contains(statuses, resp.StatusCode):
		return false
	}
	return h.Get("Etag") != "" || h.Get("Last-Modified") != "" ||
		resp.StatusCode == http.StatusOK && (c.cfg.StaleIfError > 0 || d.staleIfError > 0)
}

// shared says whether a response to one user may be served to another (RFC 9111, section 3.5).
func (d *directives) shared() bool { return d.public || d.sMaxage >= 0 || d.mustRevalidate }

// credentialed says whether a request identifies its user.
func (c *Cache) credentialed(r *http.Request) bool {
	return slices.ContainsFunc(c.credentials, func(name string) bool { return len(r.Header[name]) > 0 })
}

// varies returns the names in Vary, in canonical form, sorted.
func varies(h http.Header) []string {
	var names []string
	for _, line := range h["Vary"] {
		for name := range strings.SplitSeq(line, ",") {
			if name = strings.TrimSpace(name); name != "" {
				names = append(names, http.CanonicalHeaderKey(name))
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// valuesOf returns the content of some request fields as one unambiguous text.
func valuesOf(r *http.Request, names []string) string {
	if len(names) == 0 {
		return ""
	}
	var b strings.Builder
	for _, name := range names {
		for i, line := range r.Header[name] {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(strings.TrimSpace(line))
		}
		b.WriteByte(0) // a field can't contain it
	}
	return b.String()
}

// matches says whether an entry answers a request for its address.
func (e *entry) matches(r *http.Request) bool { return valuesOf(r, e.vary) == e.values }

// chosenBy returns the request fields that selected a response: those in Vary, and
// Accept-Encoding if the response is encoded, which servers forget to list.
func chosenBy(resp *http.Response) []string {
	names := varies(resp.Header)
	if encoding := resp.Header.Get("Content-Encoding"); encoding == "" || strings.EqualFold(encoding, "identity") {
		return names
	}
	if i, found := slices.BinarySearch(names, "Accept-Encoding"); !found {
		names = slices.Insert(names, i, "Accept-Encoding")
	}
	return names
}

// lifetime returns how long a response is fresh (RFC 9111, section 4.2.1), without the
// heuristics based on Last-Modified.
func lifetime(h http.Header, d directives, now time.Time) time.Duration {
	switch {
	case d.noStore:
		return 0 // stored because of an override, to replace failures only
	case d.sMaxage >= 0:
		return d.sMaxage
	case d.maxAge >= 0:
		return d.maxAge
	}
	lines := h["Expires"]
	if len(lines) == 0 {
		return 0
	}
	expires, ok := parseDate(lines[0])
	for _, other := range lines[1:] {
		ok = ok && other == lines[0]
	}
	if !ok {
		return 0
	}
	return max(0, expires.Sub(dateOf(h, now)))
}

func dateOf(h http.Header, now time.Time) time.Time {
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		return date
	}
	return now
}

// dates are the three forms of a date (RFC 9110, section 5.6.7).
var dates = []string{http.TimeFormat, "Monday, 02-Jan-06 15:04:05 GMT", time.ANSIC}

// parseDate reads a date by the grammar, in any case. time.Parse alone accepts sloppy
// forms, which must count as stale.
func parseDate(text string) (time.Time, bool) {
	if n := len(text) - 3; n > 0 && strings.EqualFold(text[n:], "GMT") {
		text = text[:n] + "GMT"
	}
	for _, layout := range dates {
		if t, err := time.Parse(layout, text); err == nil {
			return t, strings.EqualFold(afterWeekday(t.Format(layout)), afterWeekday(text))
		}
	}
	return time.Time{}, false
}

// afterWeekday returns a date without its weekday, which servers get wrong.
func afterWeekday(text string) string {
	return strings.TrimLeftFunc(text, unicode.IsLetter)
}

// initialAge returns how old a response is when it arrives (RFC 9111, section 4.2.3).
func initialAge(h http.Header, requestAt, responseAt time.Time) time.Duration {
	apparent := max(0, responseAt.Sub(dateOf(h, responseAt)))
	said, _, _ := strings.Cut(h.Get("Age"), ",") // of several the first counts
	return max(apparent, seconds(strings.TrimSpace(said))+max(0, responseAt.Sub(requestAt)))
}

// hops are fields of one connection, which are not stored (RFC 9110, section 7.6.1).
var hops = []string{"Connection", "Proxy-Connection", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
	"Proxy-Authenticate", "Proxy-Authentication-Info", "Proxy-Authorization", "Age", "Cache-Status"}

// kept returns a copy of the fields that are stored.
func kept(h http.Header) http.Header {
	out := h.Clone()
	for _, line := range h["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			out.Del(strings.TrimSpace(name))
		}
	}
	for _, name := range hops {
		delete(out, name)
	}
	return out
}

// newEntry makes an entry from a response, without its body.
func newEntry(key string, r *http.Request, resp *http.Response, d directives, requestAt, responseAt time.Time) *entry {
	e := &entry{
		key: key, vary: chosenBy(resp), tls: resp.TLS, status: resp.StatusCode, text: resp.Status, proto: resp.Proto,
		major: resp.ProtoMajor, minor: resp.ProtoMinor, header: kept(resp.Header), uncompressed: resp.Uncompressed,
	}
	e.values = valuesOf(r, e.vary)
	e.date(d, resp.Header, requestAt, responseAt)
	return e
}

// date sets what depends on the time of the response and on its fields.
func (e *entry) date(d directives, came http.Header, requestAt, responseAt time.Time) {
	if e.header.Get("Date") == "" {
		e.header.Set("Date", responseAt.UTC().Format(http.TimeFormat))
	}
	e.directives, e.sent, e.responseAt, e.dated = d, requestAt, responseAt, dateOf(e.header, responseAt)
	e.age, e.lifetime = initialAge(came, requestAt, responseAt), lifetime(e.header, d, responseAt)
}

// with adds the body, and computes the size.
func (e *entry) with(body []byte) *entry {
	e.body = body
	e.size = overhead + int64(cap(body)) + int64(2*len(e.key)+2*len(e.values))
	for _, name := range e.vary {
		e.size += int64(len(name))
	}
	if e.tls != nil {
		e.size += ofConnection
	}
	for name, values := range e.header {
		for _, v := range values {
			e.size += int64(len(name) + len(v) + 40)
		}
	}
	return e
}

// validated returns the entry after a 304 (RFC 9111, section 3.2 and 4.3.4).
func (e *entry) validated(h http.Header, requestAt, responseAt time.Time) *entry {
	v := *e
	v.header = e.header.Clone()
	for name, values := range kept(h) {
		switch name {
		case "Content-Length", "Content-Encoding", "Content-Type", "Content-Range", "Etag":
			continue // they describe the body, which stays
		}
		v.header[name] = values
	}
	if h.Get("Date") == "" {
		v.header.Del("Date")
	}
	v.date(directivesOf(v.header, v.status), h, requestAt, responseAt)
	return v.with(e.body)
}

// sameTag says whether two entity tags name the same version, weak ones included.
func sameTag(a, b string) bool {
	return strings.TrimPrefix(strings.TrimSpace(a), "W/") == strings.TrimPrefix(strings.TrimSpace(b), "W/")
}

// ageAt returns how old the entry is at a time.
func (e *entry) ageAt(now time.Time) time.Duration {
	return e.age + max(0, now.Sub(e.responseAt))
}

// response makes a response from the entry.
func (e *entry) response(r *http.Request, now time.Time) *http.Response {
	h := e.header.Clone()
	h["Age"] = []string{strconv.FormatInt(int64(e.ageAt(now)/time.Second), 10)}
	body := io.ReadCloser(http.NoBody)
	if len(e.body) > 0 {
		body = io.NopCloser(bytes.NewReader(e.body))
	}
	return &http.Response{
		Status: e.text, StatusCode: e.status, Proto: e.proto, ProtoMajor: e.major, ProtoMinor: e.minor,
		Header: h, Body: body, ContentLength: int64(len(e.body)), Uncompressed: e.uncompressed, Request: r, TLS: e.tls,
	}
}

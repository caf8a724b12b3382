package cache

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// directives are the Cache-Control directives of a message. A negative duration means that
// the directive is absent.
type directives struct {
	noStore, noCache, private, public               bool
	mustRevalidate, proxyRevalidate, mustUnderstand bool
	onlyIfCached                                    bool
	maxAge, sMaxage, maxStale, minFresh             time.Duration
	staleWhileRevalidate, staleIfError              time.Duration
}

// anyStale is max-stale without a value.
const anyStale = time.Duration(math.MaxInt64)

// parse reads Cache-Control. If a directive occurs twice, the stricter one counts. A time
// that can't be read is zero, so that the response is stale. Pragma: no-cache counts only
// if there is no Cache-Control.
func parse(h http.Header) directives {
	d := directives{maxAge: -1, sMaxage: -1, maxStale: -1, minFresh: -1, staleWhileRevalidate: -1, staleIfError: -1}
	lines := h["Cache-Control"]
	if len(lines) == 0 {
		d.noCache = strings.Contains(strings.ToLower(h.Get("Pragma")), "no-cache")
		return d
	}
	for _, line := range lines {
		for line != "" {
			var name, value string
			name, value, line = next(line)
			d.set(strings.ToLower(name), value)
		}
	}
	return d
}

// directivesOf reads the directives of a response. With must-understand, no-store applies
// to caches that don't know the status (RFC 9111, section 5.2.2.3).
func directivesOf(h http.Header, status int) directives {
	d := parse(h)
	if d.mustUnderstand {
		d.noStore = http.StatusText(status) == ""
	}
	return d
}

func (d *directives) set(name, value string) {
	switch name {
	case "no-store":
		d.noStore = true
	case "no-cache": // with a list of fields too: the stricter reading
		d.noCache = true
	case "private":
		d.private = true
	case "public":
		d.public = true
	case "must-revalidate":
		d.mustRevalidate = true
	case "proxy-revalidate":
		d.proxyRevalidate = true
	case "must-understand":
		d.mustUnderstand = true
	case "only-if-cached":
		d.onlyIfCached = true
	case "max-age":
		shorter(&d.maxAge, value)
	case "s-maxage":
		shorter(&d.sMaxage, value)
	case "max-stale":
		if value == "" {
			d.maxStale = anyStale
		} else {
			shorter(&d.maxStale, value)
		}
	case "min-fresh":
		if s := seconds(value); s > d.minFresh {
			d.minFresh = s
		}
	case "stale-while-revalidate":
		shorter(&d.staleWhileRevalidate, value)
	case "stale-if-error":
		shorter(&d.staleIfError, value)
	}
}

func shorter(d *time.Duration, value string) {
	if s := seconds(value); *d < 0 || s < *d {
		*d = s
	}
}

// seconds reads delta-seconds. It returns zero if the text is no number, and at most
// about 68 years.
func seconds(text string) time.Duration {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		// Too many digits are still a number.
		if text == "" || strings.Trim(text, "0123456789") != "" {
			return 0
		}
		n = math.MaxInt32
	}
	return time.Duration(min(n, math.MaxInt32)) * time.Second
}

// next cuts the first directive off a list. A value may be quoted.
func next(list string) (name, value, rest string) {
	list = strings.TrimLeft(list, " \t,")
	end := strings.IndexAny(list, "=,")
	if end < 0 {
		return strings.TrimSpace(list), "", ""
	}
	name = strings.TrimSpace(list[:end])
	if list[end] == ',' {
		return name, "", list[end+1:]
	}
	list = strings.TrimLeft(list[end+1:], " \t")
	if !strings.HasPrefix(list, `"`) {
		value, rest, _ = strings.Cut(list, ",")
		return name, strings.TrimSpace(value), rest
	}
	var text strings.Builder
	for i := 1; i < len(list); i++ {
		switch c := list[i]; {
		case c == '\\' && i+1 < len(list):
			i++
			text.WriteByte(list[i])
		case c == '"':
			_, rest, _ = strings.Cut(list[i+1:], ",")
			return name, text.String(), rest
		default:
			text.WriteByte(c)
		}
	}
	return name, text.String(), "" // the quotes are never closed: the rest belongs to the value
}

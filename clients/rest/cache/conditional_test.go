package cache_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backstay-go/backstay/clients/rest/cache"
)

// TestConditionsAreAnsweredFromWhatIsKept.
func TestConditionsAreAnsweredFromWhatIsKept(t *testing.T) {
	const modified = "Mon, 02 Jan 2006 15:04:05 GMT"
	kept := made(t, cache.Config{})
	o := numbered("Cache-Control", "max-age=60", "Etag", `"a,b"`, "Last-Modified", modified, "Content-Type", "text/plain")
	ask(t, kept, o)
	for _, c := range []struct {
		field, value string
		want         int
	}{
		{"If-None-Match", `"a,b"`, 304},
		{"If-None-Match", `W/"a,b"`, 304},
		{"If-None-Match", `"x", "a,b"`, 304},
		{"If-None-Match", `W/"x",W/"a,b" , "y"`, 304},
		{"If-None-Match", `*`, 304},
		{"If-None-Match", `"x"`, 200},
		{"If-None-Match", `"a`, 200},
		{"If-None-Match", `a,b`, 200},
		{"If-Modified-Since", modified, 304},
		{"If-Modified-Since", "Tue, 03 Jan 2006 15:04:05 GMT", 304},
		{"If-Modified-Since", "Sun, 01 Jan 2006 15:04:05 GMT", 200},
		{"If-Modified-Since", "yesterday", 200},
	} {
		resp, body := ask(t, kept, o, c.field, c.value)
		if resp.StatusCode != c.want || (body == "") != (c.want == 304) || resp.Header.Get("Age") == "" {
			t.Errorf("%s: %s: %d %q", c.field, c.value, resp.StatusCode, body)
		}
		if c.want == 304 && (resp.Header.Get("Content-Type") != "" || resp.Header.Get("Etag") == "") {
			t.Errorf("%s: %s: %v", c.field, c.value, resp.Header)
		}
	}
	if o.requests.Load() != 1 {
		t.Errorf("%d requests", o.requests.Load())
	}
}

// TestConditionsAreTheServersBusiness while nothing is kept.
func TestConditionsAreTheServersBusiness(t *testing.T) {
	kept := made(t, cache.Config{})
	o := &origin{answer: func(r *http.Request) (*http.Response, error) {
		if r.Header.Get("If-None-Match") != `"1"` {
			t.Error("the condition was lost")
		}
		return say(304, ""), nil
	}}
	if resp, _ := ask(t, kept, o, "If-None-Match", `"1"`); resp.StatusCode != 304 || kept.Bytes() != 0 {
		t.Errorf("%d, %d bytes kept", resp.StatusCode, kept.Bytes())
	}
}

// TestConditionsOverAStaleAnswer: the server is asked about what is kept, and what the
// caller has is compared with what comes of it.
func TestConditionsOverAStaleAnswer(t *testing.T) {
	for _, c := range []struct {
		server, has string
		want        int
	}{
		{"confirms", `"1"`, 304}, {"confirms", `"0"`, 200}, {"changed", `"1"`, 200}, {"fails", `"1"`, 304}, {"fails", `"0"`, 200},
	} {
		synctest.Test(t, func(t *testing.T) {
			kept := made(t, cache.Config{StaleIfError: time.Hour})
			o := numbered("Cache-Control", "max-age=1", "Etag", `"1"`)
			ask(t, kept, o)
			time.Sleep(2 * time.Second)
			o.answer = func(r *http.Request) (*http.Response, error) {
				switch {
				case r.Header.Get("If-None-Match") != `"1"`:
					t.Errorf("asked about %q", r.Header.Get("If-None-Match"))
				case c.server == "confirms":
					return say(304, "", "Cache-Control", "max-age=1", "Etag", `"1"`), nil
				case c.server == "changed":
					return say(200, "2", "Cache-Control", "max-age=1", "Etag", `"2"`), nil
				}
				return nil, errors.New("down")
			}
			if resp, _ := ask(t, kept, o, "If-None-Match", c.has); resp.StatusCode != c.want {
				t.Errorf("%+v: %d", c, resp.StatusCode)
			}
		})
	}
}

// TestAStatusIsKeptIfItSaysForHowLong, whatever it is; else those only of which the RFC
// says so. What must be understood is, if HTTP has such a status.
func TestAStatusIsKeptIfItSaysForHowLong(t *testing.T) {
	for _, status := range []int{200, 203, 204, 299, 301, 302, 303, 307, 308, 400, 404, 429, 499, 500, 503, 599} {
		for fields, want := range map[string]bool{
			"max-age=60": true, "": false, "no-store": false, "private": false,
			"max-age=60, no-store, must-understand": http.StatusText(status) != "",
		} {
			kept := made(t, cache.Config{})
			o := &origin{answer: func(*http.Request) (*http.Response, error) {
				return say(status, "", "Cache-Control", fields), nil
			}}
			ask(t, kept, o)
			if resp, _ := ask(t, kept, o); resp.StatusCode != status || (resp.Header.Get("Age") != "") != want {
				t.Errorf("%d with %q: kept %t", status, fields, !want)
			}
		}
	}
}

// TestAFailureStandsInForNothing: one that said for how long it is fresh is no better
// than the next.
func TestAFailureStandsInForNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := made(t, cache.Config{StaleIfError: time.Hour})
		o := &origin{answer: func(*http.Request) (*http.Response, error) { return say(503, "", "Cache-Control", "max-age=1"), nil }}
		ask(t, kept, o)
		time.Sleep(2 * time.Second)
		o.answer = func(*http.Request) (*http.Response, error) { return nil, errors.New("down") }
		if _, _, err := try(t, kept, o, "GET", address); err == nil {
			t.Error("an old failure stands in")
		}
	})
}

// TestSloppyDatesAreStale, and the case of a date does not matter.
func TestSloppyDatesAreStale(t *testing.T) {
	for text, want := range map[string]bool{
		"Thu, 18 Aug 2050 02:01:18 GMT":    true,
		"THU, 18 aug 2050 02:01:18 gmt":    true,
		"Thursday, 18-Aug-50 02:01:18 GMT": true,
		"Thu Aug 18 02:01:18 2050":         true,
		"Fri, 18 Aug 2050 02:01:18 GMT":    true,
		"Thu Aug  8 02:01:18 2050":         true,
		"Thu, 18  Aug  2050 02:01:18 GMT":  false,
		"Thu, 18 Aug 2050 2:01:18 GMT":     false,
		"Thu, 18 Aug 2050 02:01:18 CET":    false,
		"0":                                false,
		"":                                 false,
	} {
		kept, o := made(t, cache.Config{}), numbered("Expires", text)
		ask(t, kept, o)
		if resp, _ := ask(t, kept, o); (resp.Header.Get("Age") != "") != want {
			t.Errorf("%q: kept %t", text, !want)
		}
	}
	kept, o := made(t, cache.Config{}), numbered("Expires", "Thu, 18 Aug 2050 02:01:18 GMT", "Expires", "0")
	ask(t, kept, o)
	if resp, _ := ask(t, kept, o); resp.Header.Get("Age") != "" {
		t.Error("of two dates one is bad, and it is kept")
	}
}

// TestOfSeveralAgesTheFirstCounts.
func TestOfSeveralAgesTheFirstCounts(t *testing.T) {
	for text, want := range map[string]bool{"7200, 0": false, "0, 7200": true, "old": true, "-1": true, "7200.0": true, "2147483649": false} {
		kept, o := made(t, cache.Config{}), numbered("Cache-Control", "max-age=3600", "Age", text)
		ask(t, kept, o)
		if _, body := ask(t, kept, o); (body == "1") != want {
			t.Errorf("Age %s: fresh %t", text, !want)
		}
	}
}

func FuzzIfNoneMatch(f *testing.F) {
	for _, s := range []string{`"a"`, `W/"a", "b"`, `*`, `"`, `,,,`, `"a,b"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, list string) {
		kept, o := made(t, cache.Config{}), numbered("Cache-Control", "max-age=60", "Etag", `"1"`)
		ask(t, kept, o)
		r := fmt.Sprintf(`"1", %s`, list)
		if resp, _ := ask(t, kept, o, "If-None-Match", r); resp.StatusCode != 304 {
			t.Errorf("%s: %d", r, resp.StatusCode)
		}
	})
}

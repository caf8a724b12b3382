package rest

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// FuzzRetryAfter: whatever a server writes, the pause is from zero to a year, and the
// longest of several values counts.
func FuzzRetryAfter(f *testing.F) {
	for _, text := range []string{"120", "1.5", "3600, 3600", "99999999999999999999", "Fri, 31 Dec 9999 23:59:59 GMT", "-1", "NaN", "1e9", "", "."} {
		f.Add(text, "Mon, 01 Jan 2024 00:00:00 GMT")
	}
	f.Fuzz(func(t *testing.T, text, date string) {
		h := http.Header{"Retry-After": {text}, "Date": {date}}
		one := retryAfter(h, time.Unix(0, 0))
		if one < 0 || one > maxRetryAfter {
			t.Errorf("%q is %v", text, one)
		}
		h["Retry-After"] = append(h["Retry-After"], "7")
		if two := retryAfter(h, time.Unix(0, 0)); two != max(one, 7*time.Second) {
			t.Errorf("%q with 7 is %v", text, two)
		}
		if v := judge(http.StatusServiceUnavailable, h, true); v.After < 0 || v.After > maxRetryAfter+maxRetryAfter/5+1 {
			t.Errorf("%q is spread to %v", text, v.After)
		}
	})
}

// FuzzExpand: an argument stays within its segment of the path, whatever it is.
func FuzzExpand(f *testing.F) {
	for _, argument := range []string{"m-1", "../admin", "a?b=c", "a#b", "%2e%2e", "ä", "\xff", "a b", ";v=1", "."} {
		f.Add(argument)
	}
	f.Fuzz(func(t *testing.T, argument string) {
		path, template, err := expand("/v1/members/{id}/plan", []any{argument})
		if err != nil {
			return
		}
		if template != "/v1/members/{id}/plan" || strings.Count(path, "/") != 4 || strings.ContainsAny(path, "?# ") {
			t.Errorf("%q becomes %q of %q", argument, path, template)
		}
		u, err := url.Parse("http://host" + path)
		if err != nil || u.Path != "/v1/members/"+argument+"/plan" || u.RawQuery != "" || u.Fragment != "" {
			t.Errorf("%q becomes %q: %+v, %v", argument, path, u, err)
		}
	})
}

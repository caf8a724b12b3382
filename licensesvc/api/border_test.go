package api_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
)

// TestABodyIsReadExactly: names are spelled exactly and appear once, and no answer repeats
// what was sent.
func TestABodyIsReadExactly(t *testing.T) {
	h := build(t, nil)
	const secret = "what-was-sent"
	for name, c := range map[string]struct {
		body   string
		status int
	}{
		"twice":           {`{"device":"a","device":"` + secret + `","title":"capstan-002"}`, 400},
		"in another case": {`{"device":"a","Device":"` + secret + `","title":"capstan-002"}`, 400},
		"only so":         {`{"Device":"` + secret + `","title":"capstan-002"}`, 422},
		"nested":          {`{"device":{"a":1,"a":2},"title":"` + secret + `"}`, 400},
		"not only ASCII":  {`{"device":"tab\u200b","title":"` + secret + `"}`, 422},
		"of another type": {`{"device":5,"title":"` + secret + `"}`, 422},
		"no JSON":         {`{"device":"` + secret, 400},
	} {
		got := h.call("POST", "/v1/members/m-00001/licenses", c.body, key, "k")
		if got.status != c.status || got.Outcome != "invalid" || strings.Contains(got.raw, secret) {
			t.Errorf("%s: %d, want %d: %s", name, got.status, c.status, got.raw)
		}
	}
	if got := h.call("POST", "/v1/members/m-00001/licenses/l/revocation", `{"reason":" \t"}`, key, "k"); got.status != 422 {
		t.Errorf("a blank reason: %d %s", got.status, got.raw)
	}
}

// TestABrokenChunkIsTheCallersFault: a body that ends in nonsense is answered with 400.
func TestABrokenChunkIsTheCallersFault(t *testing.T) {
	h := build(t, nil)
	c, err := net.Dial("tcp", strings.TrimPrefix(h.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "POST /v1/members/m-1/licenses HTTP/1.1\r\nHost: localhost\r\nIdempotency-Key: k\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nnonsense\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusBadRequest || resp.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
}

// TestAnAddressIsEscapedAndATagIsTheSame: Location leads to the license whatever characters
// its member has, and one version has one entity tag.
func TestAnAddressIsEscapedAndATagIsTheSame(t *testing.T) {
	h := build(t, nil)
	a := h.grant("m-00001", "k1", title(1))
	shown := h.call("GET", a.header.Get("Location"), "")
	if shown.status != http.StatusOK || shown.header.Get("ETag") == "" || shown.header.Get("ETag") != a.header.Get("ETag") {
		t.Errorf("%d, ETag %q, and %q in the answer to the command", shown.status, shown.header.Get("ETag"), a.header.Get("ETag"))
	}
	h.store.gone.Store(true)
	p := h.call("POST", "/v1/members/a%2Fb%3Fc%23d/licenses/x%2Fy/release", "", key, "k2")
	if p.status != http.StatusAccepted {
		t.Fatalf("%d %s", p.status, p.raw)
	}
	if at := p.header.Get("Location"); at != "/v1/members/a%2Fb%3Fc%23d/licenses/x%2Fy" || p.License.Status != "unknown" || strings.Contains(p.raw, "0001-01-01") {
		t.Errorf("Location %q: %s", at, p.raw)
	}
}

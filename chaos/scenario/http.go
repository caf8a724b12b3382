package scenario

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/internal/accept"
	"github.com/backstay-go/backstay/chaos/load"
)

// TargetHTTP is the target of scenarios that describe their system themselves.
const TargetHTTP = "http"

// HTTP describes a system that runs already, by its address and its requests.
type HTTP struct {
	Base     string        `yaml:"base" doc:"its address, like http://127.0.0.1:8080"`
	Proxies  []HTTPProxy   `yaml:"proxies" doc:"proxies to start before what it depends on; point the system at them"`
	Ready    string        `yaml:"ready" doc:"path that answers 200 once it is up; it is waited for"`
	Patience time.Duration `yaml:"patience" doc:"how long ready is waited for; default 10s"`
	Requests []HTTPRequest `yaml:"requests" doc:"what clients ask"`
	Answers  []HTTPAnswer  `yaml:"answers" doc:"what answers are worth, the first that fits; what fits none is wrong. Default: 2xx is right, 429 and 503 are refused"`

	_ struct{}
}

// HTTPProxy is a proxy in front of a dependency.
type HTTPProxy struct {
	Dependency string `yaml:"dependency" doc:"its name in faults"`
	Protocol   string `yaml:"protocol" doc:"http or tcp; decides which faults are possible; default tcp"`
	Listen     string `yaml:"listen" doc:"host:port on loopback that the system uses for the dependency"`
	Upstream   string `yaml:"upstream" doc:"host:port of the dependency itself"`

	_ struct{}
}

// HTTPRequest is a kind of request. In path, headers and body {n} stands for the request's
// number, {id} for its identity, and {key} for one of a number of keys.
type HTTPRequest struct {
	Name    string            `yaml:"name" doc:"kind of request in checks and reports"`
	Share   int               `yaml:"share" doc:"how often, against the others; default 1"`
	Method  string            `yaml:"method" doc:"default GET"`
	Path    string            `yaml:"path" doc:"below base; {n} is the request's number from 0, {id} its identity, {key} one of keys"`
	Keys    int               `yaml:"keys" doc:"how many keys clients ask for: {key} is a number from 1 to keys, which the seed decides"`
	Headers map[string]string `yaml:"headers" doc:"besides Baggage, which carries the identity; with {n}, {id} and {key}"`
	Body    string            `yaml:"body" doc:"what is sent; with {n}, {id} and {key}"`

	_ struct{}
}

// HTTPAnswer says what an answer means for the verdict.
type HTTPAnswer struct {
	Status string `yaml:"status" doc:"like 200, or 2xx; default any"`
	Header string `yaml:"header" doc:"name of a header that must be there"`
	Holds  string `yaml:"holds" doc:"text that the header, or without one the body, must hold"`
	Means  string `yaml:"means" doc:"right, stale, provisional, refused or wrong"`

	_ struct{}
}

func (h *HTTP) problems(c *checker) {
	if u, err := url.Parse(h.Base); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		c.add("http.base", "is %q: give an address like http://127.0.0.1:8080", h.Base)
	}
	if h.Patience < 0 {
		c.add("http.patience", "is %s: give a duration above zero, or leave it out", h.Patience)
	}
	if len(h.Requests) == 0 {
		c.add("http.requests", "is missing: say what clients ask")
	}
	h.checkRequests(c)
	h.checkProxies(c)
	h.checkAnswers(c)
}

func (h *HTTP) checkRequests(c *checker) {
	for i, r := range h.Requests {
		at := fmt.Sprintf("http.requests[%d]", i)
		if r.Name == "" {
			c.add(at+".name", "is missing: name the kind of request")
		}
		if !strings.HasPrefix(r.Path, "/") {
			c.add(at+".path", "is %q: give a path that begins with /", r.Path)
		}
		for _, name := range placeholder.FindAllString(r.Path, -1) {
			if !slices.Contains([]string{"{n}", "{id}", "{key}"}, name) {
				c.add(at+".path", "holds %s: there are {n}, {id} and {key}", name)
			}
		}
		switch uses := r.uses("{key}"); {
		case r.Keys < 0:
			c.add(at+".keys", "is %d: give 1 or more, or leave it out", r.Keys)
		case uses && r.Keys == 0:
			c.add(at+".keys", "is missing: say how many keys {key} stands for")
		case !uses && r.Keys > 0:
			c.add(at+".keys", "is %d, and nothing holds {key}", r.Keys)
		}
		if r.Share < 0 {
			c.add(at+".share", "is %d: give 1 or more, or leave it out", r.Share)
		}
	}
}

var placeholder = regexp.MustCompile(`\{[^{}/]*\}`)

// uses reports whether the request contains the placeholder.
func (r HTTPRequest) uses(text string) bool {
	return strings.Contains(r.Path, text) || strings.Contains(r.Body, text) ||
		slices.ContainsFunc(slices.Collect(maps.Values(r.Headers)), func(v string) bool { return strings.Contains(v, text) })
}

func (h *HTTP) checkProxies(c *checker) {
	for i, p := range h.Proxies {
		at := fmt.Sprintf("http.proxies[%d]", i)
		if p.Dependency == "" {
			c.add(at+".dependency", "is missing: name it as faults do")
		}
		if !slices.Contains([]string{"", chaos.TCP, chaos.HTTP}, p.Protocol) {
			c.add(at+".protocol", "is %q: give http or tcp", p.Protocol)
		}
		if p.Listen == "" || p.Upstream == "" {
			c.add(at, "give listen and upstream, host:port both")
		} else if !accept.Loopback(p.Listen) {
			c.add(at+".listen", "is %q: give a port on loopback, such as 127.0.0.1:9000, which others can't reach", p.Listen)
		}
	}
}

func (h *HTTP) checkAnswers(c *checker) {
	for i, a := range h.Answers {
		at := fmt.Sprintf("http.answers[%d]", i)
		if m := load.Meaning(a.Means); m == load.Late || !slices.Contains(load.Meanings(), m) {
			c.add(at+".means", "is %q: give right, stale, provisional, refused or wrong", a.Means)
		}
		if a.Status != "" && !statusPattern(a.Status) {
			c.add(at+".status", "is %q: give a status like 200, or a class like 2xx", a.Status)
		}
	}
}

// carried checks that each fault can happen at the proxies in front of its dependency;
// otherwise it would silently do nothing. The check of names finds dependencies without
// a proxy.
func (h *HTTP) carried(c *checker, faults []chaos.Rule) {
	for i, r := range faults {
		places, found := r.Places(), []string{}
		for _, p := range h.Proxies {
			known := chaos.Known{Dependencies: []string{p.Dependency}}
			if (chaos.Plan{Rules: []chaos.Rule{r}}).CheckNames(known) == nil {
				found = append(found, cmp.Or(p.Protocol, chaos.TCP))
			}
		}
		if len(places) == 0 || len(found) == 0 || slices.ContainsFunc(found, func(protocol string) bool { return slices.Contains(places, protocol) }) {
			continue // Check has already reported a rule without any place.
		}
		c.add(fmt.Sprintf("faults[%d]", i), "happens at %s, and its proxy is %s: change the proxy's protocol, or the fault", strings.Join(places, ", "), strings.Join(found, ", "))
	}
}

func statusPattern(s string) bool {
	if len(s) != 3 || s[0] < '1' || s[0] > '5' {
		return false
	}
	_, err := strconv.Atoi(s)
	return err == nil || s[1:] == "xx"
}

var usualAnswers = []HTTPAnswer{{Status: "2xx", Means: string(load.Right)}, {Status: "429", Means: string(load.Refused)}, {Status: "503", Means: string(load.Refused)}}

// worth returns what an answer means.
func (h *HTTP) worth(status int, headers http.Header, body string) load.Meaning {
	rules := h.Answers
	if len(rules) == 0 {
		rules = usualAnswers
	}
	text := strconv.Itoa(status)
	for _, a := range rules {
		if a.Status != "" && a.Status != text && !(a.Status[1:] == "xx" && a.Status[0] == text[0]) {
			continue
		}
		where := body
		if a.Header != "" {
			if len(headers.Values(a.Header)) == 0 {
				continue
			}
			where = strings.Join(headers.Values(a.Header), ", ")
		}
		if strings.Contains(where, a.Holds) {
			return load.Meaning(a.Means)
		}
	}
	return load.Wrong
}

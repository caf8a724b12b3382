package chaostest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/load"
	"github.com/backstay-go/backstay/chaos/report"
	"github.com/backstay-go/backstay/chaos/scenario"
	"github.com/backstay-go/backstay/licensesvc/license"
	"github.com/backstay-go/backstay/licensesvc/upstream/server"
)

// These are the kinds of requests that members send.
const (
	askRequest  = "request"
	askRenew    = "renew"
	askDownload = "download"
	askPlay     = "play"
	askRelease  = "release"
	askShow     = "show"
	askExplain  = "explain"
)

var kinds = []string{askRequest, askRenew, askDownload, askPlay, askRelease, askShow, askExplain}

// mix is how often each kind is sent, out of 100 requests.
var mix = []struct {
	kind  string
	share int
}{{askRequest, 42}, {askRenew, 14}, {askDownload, 14}, {askPlay, 12}, {askShow, 10}, {askRelease, 5}, {askExplain, 3}}

// These are the outcomes of a request, as its client saw them.
const (
	gotDone        = "done"
	gotPromised    = "promised"
	gotAccepted    = "accepted"
	gotRefused     = "refused"
	gotUnavailable = "unavailable"
	gotUnknown     = "unknown"
	gotError       = "error"
)

// outcomes and sources are in the order in which charts stack them.
var (
	outcomes = []report.Value{
		{Name: gotDone, Tone: report.Good}, {Name: gotRefused, Tone: report.Neutral}, {Name: gotPromised, Tone: report.Degrade}, {Name: gotAccepted, Tone: report.Degrade},
		{Name: gotUnavailable, Tone: report.Refuse}, {Name: gotUnknown, Tone: report.Refuse}, {Name: gotError, Tone: report.Bad},
	}
	sources = []report.Value{
		{Name: "live", Tone: report.Good}, {Name: "hedge", Tone: report.Good}, {Name: "cache", Tone: report.Good},
		{Name: "remote", Tone: report.Degrade}, {Name: "stale", Tone: report.Degrade}, {Name: "static", Tone: report.Degrade},
	}
)

// seen is one request and its answer.
type seen struct {
	id, member    string
	trace         string
	kind, license string
	status        int
	outcome       string
	repeated      bool
	decidedOn     []license.Basis
	detail        string

	// call is what was asked; code, granted and keyed are from the answer.
	call    call
	code    string
	granted grant
	keyed   bool
}

// call is a request as it was sent, so that it can be sent again.
type call struct {
	method, path string
	body         map[string]string
}

// grant is what an answer says about the license.
type grant struct {
	Title   string    `json:"title"`
	Device  string    `json:"device"`
	Granted time.Time `json:"granted"`
	Expires time.Time `json:"expires"`
}

// means says what the answer is worth to the member.
func (s seen) means() load.Meaning {
	live := true
	for _, b := range s.decidedOn {
		live = live && (b.Source == "live" || b.Source == "hedge" || b.Source == "cache")
	}
	switch s.outcome {
	case gotDone, gotRefused:
		if live {
			return load.Right
		}
		return load.Stale
	case gotPromised, gotAccepted:
		return load.Provisional
	case gotUnavailable, gotUnknown:
		return load.Refused
	}
	return load.Wrong
}

// sample converts the answer to the form in which it is reported.
func (s seen) sample() load.Sample {
	sample := load.Sample{ID: s.id, Trace: s.trace, Kind: s.kind, Outcome: s.outcome, Means: s.means(), Sources: map[string]string{}}
	if sample.Means == load.Wrong || sample.Means == load.Refused {
		sample.Detail = fmt.Sprintf("status %d, %s", s.status, s.detail)
	}
	for _, b := range s.decidedOn {
		sample.Sources[b.Dependency] = b.Source
	}
	return sample
}

// clients are the members, who send requests and remember what they were granted.
type clients struct {
	run     uint64 // see scenario.TraceID
	url     string
	http    *http.Client
	name    string
	seed    uint64
	members int
	retries int

	// single is true if requests are made one at a time and then repeated.
	single bool

	mu   sync.Mutex
	held map[string][]held
	all  []seen
	// judged is true once the run was judged: what comes after it is not kept, or it would fill
	// the memory for as long as somebody plays.
	judged bool
}

type held struct{ id string }

func newClients(url string, s scenario.Scenario, run uint64) *clients {
	return &clients{
		run: run,
		url: url, name: s.Name, seed: s.Seed, members: number(s, SettingMembers, defaultMembers), retries: number(s, SettingRetries, 0), held: map[string][]held{},
		// This is much longer than the service's deadline, so that a late answer is still seen.
		http: &http.Client{Timeout: 5 * s.Deadline, Transport: &http.Transport{MaxIdleConnsPerHost: 256}},
	}
}

// everybody returns the ids of all members.
func (c *clients) everybody() []string {
	var all []string
	for n := range c.members {
		all = append(all, server.MemberID(1+n))
	}
	return all
}

// warm lets each member send one request before any fault begins, because a service in production
// has already seen its members.
func (c *clients) warm(ctx context.Context) error {
	var wg sync.WaitGroup
	next := make(chan int)
	for range 4 {
		wg.Go(func() {
			for n := range next {
				s := seen{id: fmt.Sprintf("%s-%d-warm-%d", c.name, c.seed, n), member: server.MemberID(1 + n), kind: askRequest}
				c.play(ctx, s, held{}, rand.New(rand.NewPCG(c.seed, uint64(n)<<32)))
			}
		})
	}
	for n := range c.members {
		next <- n
	}
	close(next)
	wg.Wait()
	for _, s := range c.answers() {
		if s.outcome == gotDone || s.outcome == gotRefused {
			return nil
		}
	}
	return fmt.Errorf("the service answered nobody before anything was harmed: %+v", c.answers()[0])
}

// send makes the nth request.
func (c *clients) send(ctx context.Context, n int) load.Sample {
	rng := rand.New(rand.NewPCG(c.seed, uint64(n)))
	s := seen{id: fmt.Sprintf("%s-%d-%d", c.name, c.seed, n), trace: scenario.TraceID(rng, c.run), member: server.MemberID(1 + rng.IntN(c.members))}
	at := rng.IntN(100)
	for _, m := range mix {
		if at -= m.share; at < 0 {
			s.kind = m.kind
			break
		}
	}
	owned, ok := c.owned(s.member, rng)
	if !ok {
		s.kind = askRequest
	}
	s = c.play(ctx, s, owned, rng)
	return s.sample()
}

// play sends a request, repeats it as often as clients do, and remembers the result.
func (c *clients) play(ctx context.Context, s seen, owned held, rng *rand.Rand) seen {
	s.call = c.question(&s, owned, rng)
	for range 1 + c.retries {
		c.ask(ctx, &s)
		if s.outcome != gotUnavailable && s.outcome != gotUnknown && s.outcome != gotError {
			break
		}
	}
	c.remember(s, owned)
	return s
}

// owned returns one of the member's licenses.
func (c *clients) owned(member string, rng *rand.Rand) (held, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := c.held[member]
	if len(all) == 0 {
		return held{}, false
	}
	return all[rng.IntN(len(all))], true
}

func (c *clients) question(s *seen, owned held, rng *rand.Rand) call {
	base := "/v1/members/" + s.member + "/licenses"
	if s.kind == askRequest {
		studios := server.Studios()
		title := server.TitleID(studios[rng.IntN(len(studios))], 1+rng.IntN(server.TitlesPerStudio))
		return call{http.MethodPost, base, map[string]string{"device": "device-" + string(rune('a'+rng.IntN(2))), "title": title}}
	}
	s.license = owned.id
	base += "/" + owned.id
	switch s.kind {
	case askShow:
		return call{method: http.MethodGet, path: base}
	case askExplain:
		return call{method: http.MethodGet, path: base + "/explanation"}
	case askRenew:
		return call{method: http.MethodPost, path: base + "/renewals"}
	case askRelease:
		return call{method: http.MethodPost, path: base + "/release"}
	}
	return call{method: http.MethodPost, path: base + "/" + s.kind + "s"}
}

// ask sends the request and reads the answer.
func (c *clients) ask(ctx context.Context, s *seen) {
	s.outcome = gotError
	status, answer, err := c.exchange(ctx, s)
	if err != nil {
		s.detail = err.Error()
		return
	}
	var a struct {
		Outcome   string          `json:"outcome"`
		Detail    string          `json:"detail"`
		Repeated  bool            `json:"repeated"`
		DecidedOn []license.Basis `json:"decided_on"`
		Code      string          `json:"code"`
		License   struct {
			ID string `json:"license"`
			grant
		} `json:"license"`
		Key struct {
			ID      string `json:"key_id"`
			Wrapped []byte `json:"wrapped"`
		} `json:"key"`
	}
	if err := json.Unmarshal(answer, &a); err != nil {
		s.detail = fmt.Sprintf("status %d, no JSON: %v", status, err)
		return
	}
	s.status, s.outcome, s.detail, s.repeated, s.decidedOn = status, a.Outcome, a.Detail, a.Repeated, a.DecidedOn
	s.code, s.granted, s.keyed = a.Code, a.License.grant, a.Key.ID != "" && len(a.Key.Wrapped) > 0
	if s.kind == askRequest {
		s.license = a.License.ID
	}
	switch {
	case status == http.StatusOK && s.outcome == "": // The answer to a request for a license's story has no outcome.
		s.outcome = gotDone
	case status == http.StatusNotFound && a.Outcome == "not_found":
		s.outcome = gotRefused
	case !slices.Contains([]string{gotDone, gotPromised, gotAccepted, gotRefused, gotUnavailable, gotUnknown}, s.outcome):
		s.outcome = gotError
	}
}

// exchange sends the request, and returns the status and the body of the answer.
func (c *clients) exchange(ctx context.Context, s *seen) (status int, answer []byte, err error) {
	var text []byte
	if s.call.body != nil {
		if text, err = json.Marshal(s.call.body); err != nil {
			return 0, nil, err
		}
	}
	req, err := http.NewRequestWithContext(ctx, s.call.method, c.url+s.call.path, bytes.NewReader(text))
	if err != nil {
		return 0, nil, err
	}
	if s.call.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Idempotency-Key", s.id)
	req.Header.Set("Baggage", chaos.RequestKey+"="+s.id)
	if s.trace != "" {
		req.Header.Set("Traceparent", scenario.Traceparent(s.trace))
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return resp.StatusCode, answer, err
}

// remember stores the answer, and what the member holds after it.
func (c *clients) remember(s seen, owned held) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.judged {
		return
	}
	if i := slices.IndexFunc(c.all, func(a seen) bool { return a.id == s.id }); c.single && i >= 0 {
		// When the same request is sent again, an earlier acknowledgement still counts.
		if acknowledged(c.all[i]) {
			return
		}
		c.all[i] = s
	} else {
		c.all = append(c.all, s)
	}
	switch {
	case s.kind == askRequest && (s.outcome == gotDone || s.outcome == gotPromised):
		c.held[s.member] = append(c.held[s.member], held{id: s.license})
	case s.kind == askRelease && s.outcome == gotDone:
		c.held[s.member] = slices.DeleteFunc(c.held[s.member], func(h held) bool { return h.id == owned.id })
	}
}

// stopKeeping ends the record of answers.
func (c *clients) stopKeeping() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.judged, c.all = true, nil
}

// answers returns all requests that have ended.
func (c *clients) answers() []seen {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.all)
}

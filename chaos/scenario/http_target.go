package scenario

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/load"
	"github.com/backstay-go/backstay/chaos/report"
)

// maxBody is how much of an answer is read.
const maxBody = 1 << 20

// HTTPTarget is the Target of scenarios that describe their system under http.
type HTTPTarget struct{}

// Check implements Target.
func (HTTPTarget) Check(s Scenario) error {
	if s.HTTP == nil {
		return errors.New("scenario: it does not describe a system: give http")
	}
	if len(s.Actions) > 0 {
		return chaos.NewPlanError(chaos.Problem{Field: "actions", Message: "a system that the scenario describes knows none"})
	}
	known := chaos.Known{Dependencies: []string{}, Nodes: []string{}}
	for _, p := range s.HTTP.Proxies {
		known.Dependencies = append(known.Dependencies, p.Dependency)
	}
	return s.CheckFaults(func(p chaos.Plan) error { return p.CheckNames(known) })
}

// Start implements Target: it starts the proxies and waits for the system.
func (HTTPTarget) Start(ctx context.Context, setup Setup) (_ System, err error) {
	h := setup.Scenario.HTTP
	d := &httpSystem{setup: setup, http: &http.Client{
		// This is longer than a request's deadline, so that late answers are recognized.
		Timeout:   2 * (setup.Scenario.Deadline + setup.Scenario.Margin),
		Transport: &http.Transport{MaxIdleConnsPerHost: 256},
		// Redirects are not followed, because a redirect is an answer too.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.Close(ctx))
		}
	}()
	for _, p := range h.Proxies {
		start := d.proxies.TCP
		if p.Protocol == chaos.HTTP {
			start = func(ctx context.Context, dependency, listen, upstream string, i *chaos.Injector) (string, error) {
				return d.proxies.HTTP(ctx, dependency, listen, upstream, nil, i)
			}
		}
		if _, err := start(ctx, p.Dependency, p.Listen, p.Upstream, setup.Injector); err != nil {
			return nil, err
		}
	}
	if h.Ready == "" {
		return d, nil
	}
	return d, d.ready(ctx)
}

// httpSystem is a system that runs already.
type httpSystem struct {
	setup   Setup
	http    *http.Client
	proxies Proxies
}

// ready waits until the system answers.
func (d *httpSystem) ready(ctx context.Context) error {
	h := d.setup.Scenario.HTTP
	patience := h.Patience
	if patience == 0 {
		patience = 10 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	t := time.NewTicker(50 * time.Millisecond)
	defer t.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.Base+h.Ready, nil)
		if err != nil {
			return err
		}
		resp, err := d.http.Do(req)
		if err == nil {
			err = resp.Body.Close()
			if err == nil && resp.StatusCode == http.StatusOK {
				return nil
			}
			err = errors.Join(err, fmt.Errorf("it answers %s", resp.Status))
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("scenario: %s%s was not ready within %s: %w; start the system first", h.Base, h.Ready, patience, err)
		case <-t.C:
		}
	}
}

// Labels implements System.
func (d *httpSystem) Labels() Labels {
	l := Labels{About: "The system at " + d.setup.Scenario.HTTP.Base + "."}
	for _, r := range d.setup.Scenario.HTTP.Requests {
		l.Kinds = append(l.Kinds, r.Name)
	}
	l.Outcomes = Meanings()
	return l
}

// Meanings returns the meanings of answers as a report shows them, for a system that uses
// them as its outcomes.
func Meanings() []report.Value {
	tones := map[load.Meaning]report.Tone{load.Right: report.Good, load.Stale: report.Degrade, load.Provisional: report.Degrade, load.Refused: report.Refuse, load.Wrong: report.Bad, load.Late: report.Bad}
	var values []report.Value
	for _, m := range load.Meanings() {
		values = append(values, report.Value{Name: string(m), Tone: tones[m]})
	}
	return values
}

// Send implements System.
func (d *httpSystem) Send(ctx context.Context, n int) load.Sample {
	s := d.setup.Scenario
	chance := rand.New(rand.NewPCG(s.Seed, uint64(n)))
	r := pick(s.HTTP.Requests, chance)
	sample := load.Sample{ID: fmt.Sprintf("%s-%d-%d", s.Name, s.Seed, n), Kind: r.Name, Means: load.Wrong}
	sample.Trace = TraceID(chance, d.setup.Run)
	key := ""
	if r.Keys > 0 {
		key = strconv.Itoa(1 + chance.IntN(r.Keys))
	}
	fill := strings.NewReplacer("{n}", strconv.Itoa(n), "{id}", sample.ID, "{key}", key)
	answer, err := d.ask(ctx, r, sample, fill.Replace)
	if err != nil {
		sample.Outcome, sample.Detail = string(load.Wrong), err.Error()
		return sample
	}
	sample.Means = answer.means
	sample.Outcome = string(answer.means)
	if !answer.means.Served() {
		sample.Detail = fmt.Sprintf("status %d: %.120s", answer.status, answer.body)
	}
	return sample
}

// TraceID returns a trace id for a traceparent header. The seed and the run decide it, so that a
// second run with the same seed makes traces of its own.
func TraceID(chance *rand.Rand, run uint64) string {
	return fmt.Sprintf("%016x%016x", (chance.Uint64()^run)|1, chance.Uint64())
}

// Traceparent returns the header (W3C trace context) that makes a request part of a trace.
func Traceparent(trace string) string { return "00-" + trace + "-" + trace[16:] + "-01" }

func pick(all []HTTPRequest, chance *rand.Rand) HTTPRequest {
	total := 0
	for _, r := range all {
		total += max(1, r.Share)
	}
	at := chance.IntN(total)
	for _, r := range all {
		if at -= max(1, r.Share); at < 0 {
			return r
		}
	}
	return all[0]
}

type answered struct {
	means  load.Meaning
	status int
	body   string
}

func (d *httpSystem) ask(ctx context.Context, r HTTPRequest, s load.Sample, fill func(string) string) (answered, error) {
	method := r.Method
	if method == "" {
		method = http.MethodGet
	}
	req, err := http.NewRequestWithContext(ctx, method, d.setup.Scenario.HTTP.Base+fill(r.Path), strings.NewReader(fill(r.Body)))
	if err != nil {
		return answered{}, err
	}
	for k, v := range r.Headers {
		req.Header.Set(k, fill(v))
	}
	req.Header.Set("Baggage", chaos.RequestKey+"="+s.ID)
	req.Header.Set("Traceparent", Traceparent(s.Trace))
	resp, err := d.http.Do(req)
	if err != nil {
		return answered{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return answered{}, err
	}
	return answered{d.setup.Scenario.HTTP.worth(resp.StatusCode, resp.Header, string(body)), resp.StatusCode, string(body)}, nil
}

// Judge implements System. It adds nothing, because the answers alone are judged.
func (d *httpSystem) Judge(context.Context, []load.Sample) ([]report.Check, error) { return nil, nil }

// Close implements System.
func (d *httpSystem) Close(ctx context.Context) error {
	d.http.CloseIdleConnections()
	return d.proxies.Close(ctx)
}

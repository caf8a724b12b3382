package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/backstay-go/backstay/clients/rest/cache"
	"github.com/backstay-go/backstay/resilience"
)

// ClientConfig says whom a Client calls.
type ClientConfig struct {
	// BaseURL is what paths are added to, such as http://127.0.0.1:7001. Required.
	BaseURL string
	// Base sends the requests; it must not be a Transport of this package, whose guard
	// would guard twice. Nil: NewBase(64).
	Base http.RoundTripper
	// Balancer spreads attempts over several addresses, whose paths stand before those of
	// the calls. The host of BaseURL stays what requests name in their Host field. Nil:
	// requests go to BaseURL.
	Balancer *Balancer
	// Header is sent with every request.
	Header http.Header
	// MaxBytes bounds an answer, after decompression. Default: 1 MiB.
	MaxBytes int64
	// Quiet sends no Backstay headers, for servers of others.
	Quiet bool
	// Templates are patterns of paths, as http.ServeMux has them, such as
	// "/v1/members/{id}": what Observe is told instead of a path.
	Templates []string
	// Observe is as Transport's.
	Observe func(ctx context.Context, e Exchange)
	// Remember names directives of answers that a LastGood disregards: no-store, no-cache,
	// must-revalidate. Without it an answer that has one of them is not remembered. An
	// agreement with the server's owner must stand behind it.
	Remember []string
	_        struct{}
}

// Client makes typed JSON calls. It is safe for concurrent use. Who made it closes its
// idle connections.
type Client struct {
	cfg         ClientConfig
	base        http.RoundTripper
	multiplexed bool
	pools       bool // see the function
	templates   router
	opened      openings
}

// NewClient checks the configuration.
func NewClient(cfg ClientConfig) (*Client, error) {
	u, err := url.Parse(cfg.BaseURL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("rest: BaseURL is %q: give an address such as http://127.0.0.1:7001", cfg.BaseURL)
	case cfg.MaxBytes < 0:
		return nil, fmt.Errorf("rest: MaxBytes is %d: give 1 or more, or 0 for 1 MiB", cfg.MaxBytes)
	}
	if _, ok := cfg.Base.(*Transport); ok {
		return nil, errors.New("rest: Base is a Transport with a guard of its own, and calls name theirs: give NewBase(limit)")
	}
	for _, name := range cfg.Remember {
		if name != "no-store" && name != "no-cache" && name != "must-revalidate" {
			return nil, fmt.Errorf("rest: Remember has %q: it can be no-store, no-cache, must-revalidate", name)
		}
	}
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = 1 << 20
	}
	c := &Client{cfg: cfg, base: cfg.Base}
	if c.templates, err = newTemplates(cfg.Templates); err != nil {
		return nil, err
	}
	if c.base == nil {
		c.base = NewBase(64)
	}
	c.multiplexed, c.pools = multiplexes(c.base), pools(c.base)
	c.cfg.BaseURL = strings.TrimRight(cfg.BaseURL, "/")
	return c, nil
}

// CloseIdleConnections closes those of the base.
func (c *Client) CloseIdleConnections() {
	if i, ok := c.base.(interface{ CloseIdleConnections() }); ok {
		i.CloseIdleConnections()
	}
}

// Get asks for a value. A path begins with a slash. Errors are a *StatusError, a *SendError, or the guard's.
func Get[T any](ctx context.Context, c *Client, on resilience.Caller, path string, opts ...resilience.CallOption[T]) (resilience.Result[T], error) {
	return Send[T](ctx, c, on, http.MethodGet, path, nil, opts...)
}

// Send sends a value as JSON, nil for none, and reads the answer. An operation that is
// declared idempotent is repeated whatever the method.
func Send[T any](ctx context.Context, c *Client, on resilience.Caller, method, path string, in any, opts ...resilience.CallOption[T]) (resilience.Result[T], error) {
	text, err := encode(method, path, in)
	if err != nil {
		return resilience.Result[T]{}, err
	}
	var went tries
	res, err := resilience.Do(ctx, on, func(ctx context.Context) (T, error) { return exchange[T](ctx, c, &went, method, path, text) }, opts...)
	if c.opened.isNew(err) {
		c.CloseIdleConnections()
	}
	return res, err
}

// ErrUnguarded: Attempt was called outside a guarded call.
var ErrUnguarded = errors.New("rest: no guard: call it within resilience.Do, or use Get or Send")

// Attempt makes one exchange within a guarded call, for those who make a value of an
// error before the guard sees it: a 404 that is an answer, for example. Outside a
// guarded call it is ErrUnguarded.
func Attempt[T any](ctx context.Context, c *Client, method, path string, in any) (v T, err error) {
	if _, ok := resilience.AttemptFrom(ctx); !ok {
		return v, ErrUnguarded
	}
	text, err := encode(method, path, in)
	if err != nil {
		return v, err
	}
	return exchange[T](ctx, c, new(tries), method, path, text)
}

// encode makes the text of a request, nil for none. What can't be sent is an error
// before the guard: a path that does not begin with a slash could also name another host.
func encode(method, path string, in any) ([]byte, error) {
	if !strings.HasPrefix(path, "/") {
		return nil, fmt.Errorf("rest: %s %q: a path begins with a slash", method, path)
	}
	if in == nil {
		return nil, nil
	}
	text, err := json.Marshal(in)
	if err != nil {
		return nil, fmt.Errorf("rest: %s %s: make JSON of the request: %w", method, path, err)
	}
	return text, nil
}

// exchange is one attempt.
func exchange[T any](ctx context.Context, c *Client, went *tries, method, path string, in []byte) (v T, err error) {
	var body io.Reader
	if in != nil {
		body = bytes.NewReader(in)
	}
	r, err := http.NewRequestWithContext(ctx, method, c.cfg.BaseURL+path, body)
	if err != nil {
		return v, fmt.Errorf("rest: %s %s: %w", method, path, err)
	}
	for name, values := range c.cfg.Header {
		r.Header[name] = values
	}
	r.Header.Set("Accept", "application/json, application/problem+json")
	if in != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	a := new(attempt)
	if c.cfg.Balancer != nil {
		a.balancer, a.backend = c.cfg.Balancer, went.pick(c.cfg.Balancer)
	}
	a.begin(ctx, ctx, wired{replayed(r), c.multiplexed}, c.pools)
	defer a.cancel(context.Canceled)
	defer func() {
		verdict := answered
		if judged, ok := err.(resilience.Judged); ok {
			verdict = judged.Verdict()
		}
		a.observe(verdict)
	}()
	out, err := a.request(a.context(c.pools), r, true, c.cfg.Quiet)
	if err != nil {
		return v, a.failed(r, err, true)
	}
	if a.backend != nil {
		direct(out, a.backend.base)
	}
	var began time.Time
	if c.cfg.Observe != nil {
		began = time.Now()
	}
	resp, err := roundTrip(c.base, out)
	if c.cfg.Observe != nil {
		found, _ := c.templates.find(r)
		observe(c.cfg.Observe).tell(ctx, a, out, found.pattern, resp, err, began)
	}
	if err != nil {
		return v, a.failed(r, err, true)
	}
	defer func() {
		drain(resp.Body, a)
		_ = resp.Body.Close()
	}()
	if cache.ForbidsReuse(resp.Header, c.cfg.Remember...) {
		resilience.DoNotStore(ctx)
	}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, c.cfg.MaxBytes+1))
	switch {
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		verdict, _ := judge(resp.StatusCode, resp.Header, true)
		kept := answer[:min(len(answer), drainBytes)]
		return v, &StatusError{Method: method, URL: shown(r), Status: resp.StatusCode, Header: resp.Header, Body: kept, Problem: problemOf(resp.Header, kept), verdict: verdict}
	case err != nil:
		return v, a.failed(r, err, true)
	case int64(len(answer)) > c.cfg.MaxBytes:
		return v, &SendError{Method: method, URL: shown(r), Sent: true, Err: fmt.Errorf("%w: more than %d bytes", ErrTooLarge, c.cfg.MaxBytes), verdict: broken}
	case len(answer) == 0:
		return v, nil
	}
	if err := json.Unmarshal(answer, &v); err != nil {
		return v, &SendError{Method: method, URL: shown(r), Sent: true, Err: fmt.Errorf("the answer is not the JSON that is expected: %w", err), verdict: broken}
	}
	return v, nil
}

// broken is an answer that asking again will not mend.
var broken = resilience.Verdict{Outcome: resilience.Failure, Repeat: resilience.RepeatNever}

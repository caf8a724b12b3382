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

	"github.com/backstay-go/backstay/clients/rest/cache"
	"github.com/backstay-go/backstay/resilience"
)

// Request describes a typed call. Path is required; the zero value is not valid.
type Request struct {
	// Method is the method. Default: GET.
	Method string
	// Path is added to the client's BaseURL. Required; it begins with a slash. Segments
	// such as {id} are parameters: Args stand for them, escaped, in their order.
	Path string
	// Args are strings, integers or fmt.Stringers, one for each parameter of Path.
	Args []any
	// Query is added to the path. Nil: none.
	Query url.Values
	// Header is sent with this request, and wins over the client's. Nil: none.
	Header http.Header
	// Body is sent as JSON. Nil: none.
	Body any
	// RepeatWithoutKey declares that the server treats the request as idempotent though
	// neither its method nor an Idempotency-Key says so: a POST that only searches, for
	// example. The operation must be idempotent as well. Default: false.
	RepeatWithoutKey bool
	_                struct{}
}

// Answer is the type argument of calls that need the status or the header as well:
//
//	res, err := rest.Get[rest.Answer[Member]](ctx, client, guard, "/v1/members/{id}", id)
//	etag := res.Value.Header.Get("ETag")
type Answer[T any] struct {
	// Status is the answer's, from 200 to 299.
	Status int
	// Header is the answer's. It must not be changed if the answer is remembered.
	Header http.Header
	// Value is the answer's JSON; the zero value if it has no body.
	Value T
}

// fill takes what is not the value, and returns where the value goes.
func (a *Answer[T]) fill(status int, h http.Header) any {
	a.Status, a.Header = status, h
	return &a.Value
}

// Get asks for a value. The path is as Request.Path; args are its arguments, in their
// order, and after them call options for a value of this type:
//
//	res, err := rest.Get[Plan](ctx, client, guard, "/v1/members/{id}", id, last.For(id))
//
// Errors are a *StatusError, a *SendError, or the guard's.
func Get[T any](ctx context.Context, c *Client, on resilience.Caller, path string, args ...any) (resilience.Result[T], error) {
	return Send[T](ctx, c, on, http.MethodGet, path, nil, args...)
}

// Send sends a value as JSON, nil for none, and reads the answer. Args are as Get's. It
// is repeated only by a method that is idempotent: Call also takes an Idempotency-Key.
func Send[T any](ctx context.Context, c *Client, on resilience.Caller, method, path string, in any, args ...any) (resilience.Result[T], error) {
	var opts []resilience.CallOption[T]
	for len(args) > 0 {
		opt, ok := args[len(args)-1].(resilience.CallOption[T])
		if !ok {
			break
		}
		opts, args = append([]resilience.CallOption[T]{opt}, opts...), args[:len(args)-1]
	}
	return Call[T](ctx, c, on, Request{Method: method, Path: path, Args: args, Body: in}, opts...)
}

// Call makes a request and reads the answer. Errors are a *StatusError, a *SendError, or
// the guard's. It is repeated if the operation is idempotent and the request is, by its
// method, an Idempotency-Key, or RepeatWithoutKey.
func Call[T any](ctx context.Context, c *Client, on resilience.Caller, in Request, opts ...resilience.CallOption[T]) (resilience.Result[T], error) {
	t, err := c.trip(ctx, in)
	if err != nil {
		return resilience.Result[T]{}, err
	}
	res, err := resilience.Do(t.context(ctx), on, func(ctx context.Context) (T, error) { return read[T](ctx, t, c.remember) }, opts...)
	if c.opened.isNew(err) {
		c.CloseIdleConnections()
	}
	return res, err
}

// ErrUnguarded: Attempt was called outside a guarded call.
var ErrUnguarded = errors.New("rest: no guard: call it within resilience.Do, or use Get, Send or Call")

// Attempt makes one exchange within a guarded call, for callers that make a value of an
// error before the guard sees it: a 404 that is an answer, for example. Outside a
// guarded call it is ErrUnguarded. If the operation hedges, so may the request be, whatever
// its method is.
func Attempt[T any](ctx context.Context, c *Client, in Request) (v T, err error) {
	if ctx == nil {
		return v, errors.New("rest: the context is nil")
	}
	if _, ok := resilience.AttemptFrom(ctx); !ok {
		return v, ErrUnguarded
	}
	t, err := c.trip(ctx, in)
	if err != nil {
		return v, err
	}
	return read[T](ctx, t, c.remember)
}

func (in *Request) method() string {
	if in.Method == "" {
		return http.MethodGet
	}
	return in.Method
}

// build makes the request, and the template of its path if that has parameters.
func (in *Request) build(ctx context.Context, c *Client) (r *http.Request, template string, err error) {
	path, template, err := expand(in.Path, in.Args)
	if err != nil {
		return nil, "", err
	}
	var body io.Reader
	if in.Body != nil {
		text, err := json.Marshal(in.Body)
		if err != nil {
			return nil, "", fmt.Errorf("make JSON of the request: %w", err)
		}
		body = bytes.NewReader(text)
	}
	r, err = http.NewRequestWithContext(ctx, in.method(), c.base+path, body)
	if err != nil {
		return nil, "", err
	}
	if len(in.Query) > 0 {
		r.URL.RawQuery = strings.Trim(r.URL.RawQuery+"&"+in.Query.Encode(), "&")
	}
	r.Header.Set("Accept", "application/json, application/problem+json")
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	for name, values := range c.header {
		r.Header[name] = values
	}
	for name, values := range in.Header {
		r.Header[http.CanonicalHeaderKey(name)] = values
	}
	if host := r.Header.Get("Host"); host != "" {
		r.Host = host
		r.Header.Del("Host")
	}
	return r, template, nil
}

// read makes one attempt of a call and reads its answer.
func read[T any](ctx context.Context, t *trip, remember []string) (v T, err error) {
	r := t.request
	resp, a, verdict, err := t.exchange(ctx, ctx)
	if err != nil {
		return v, err
	}
	resp = t.guarded(resp, r, a, false)
	defer discard(resp)
	if cache.ForbidsReuse(resp.Header, remember...) {
		resilience.DoNotStore(ctx)
	}
	text, err := io.ReadAll(resp.Body)
	switch {
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		kept := text[:min(len(text), drainBytes)]
		verdict = asError(verdict)
		err = &StatusError{Method: r.Method, URL: shown(r), Status: resp.StatusCode, Header: resp.Header, Body: kept, Problem: problemOf(resp.Header, kept), verdict: verdict}
	case err != nil:
		e := a.unusable(r, resp, err, t.repeatable)
		if errors.Is(err, ErrTooLarge) {
			e.Err = fmt.Errorf("%w: more than %d bytes", ErrTooLarge, t.maxBytes)
			e.verdict.Repeat = resilience.RepeatNever
		}
		err, verdict = e, e.verdict
	default:
		if err = decode(text, resp, &v); err != nil {
			e := a.unusable(r, resp, err, false)
			err, verdict = e, e.verdict
		}
	}
	a.observe(verdict)
	return v, err
}

// decode reads the JSON of an answer.
func decode(text []byte, resp *http.Response, into any) error {
	if answer, ok := into.(interface{ fill(int, http.Header) any }); ok {
		into = answer.fill(resp.StatusCode, resp.Header)
	}
	if len(text) == 0 {
		return nil
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("it is not the JSON that is expected: %w", err)
	}
	return nil
}

// unusable is the error of an answer that can't be used. Asking again may help if the
// request is repeatable.
func (a *attempt) unusable(r *http.Request, resp *http.Response, err error, repeatable bool) *SendError {
	e := a.failed(r, err, true, repeatable)
	e.Sent, e.Status, e.ContentType = true, resp.StatusCode, resp.Header.Get("Content-Type")
	if e.verdict.Repeat == resilience.RepeatAlways {
		e.verdict.Repeat = resilience.RepeatIfIdempotent
	}
	return e
}

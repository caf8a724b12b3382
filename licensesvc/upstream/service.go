package upstream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/backstay-go/backstay/resilience"
)

// maxAnswer bounds an answer, in bytes.
const maxAnswer = 64 << 10

// service is one dependency: its guard and what carries its requests.
type service struct {
	base  string
	guard *resilience.Guard
	http  *http.Client
}

func newService(cfg Config, base string, policy resilience.Policy) (*service, error) {
	if p, ok := cfg.Policies[policy.Name]; ok {
		policy = p
	}
	opts := make([]resilience.Option, 0, len(cfg.Listeners))
	for _, l := range cfg.Listeners {
		opts = append(opts, resilience.WithListener(l))
	}
	guard, err := resilience.New(policy, opts...)
	if err != nil {
		return nil, err
	}
	var transport http.RoundTripper
	if cfg.Transport != nil {
		transport = cfg.Transport(policy.Name)
	}
	if transport == nil {
		transport = &http.Transport{MaxIdleConnsPerHost: policy.Bulkhead.Limit, IdleConnTimeout: time.Minute}
	}
	return &service{base: strings.TrimRight(base, "/"), guard: guard, http: &http.Client{Transport: transport}}, nil
}

func (s *service) close() error {
	s.http.CloseIdleConnections()
	return s.guard.Close()
}

func get[T any](ctx context.Context, s *service, path string) (T, error) {
	return exchange[T](ctx, s, http.MethodGet, path, nil)
}

func post[T any](ctx context.Context, s *service, path string, body any) (T, error) {
	b, err := json.Marshal(body)
	if err != nil {
		var zero T
		return zero, err
	}
	return exchange[T](ctx, s, http.MethodPost, path, b)
}

func exchange[T any](ctx context.Context, s *service, method, path string, body []byte) (v T, err error) {
	req, err := http.NewRequestWithContext(ctx, method, s.base+path, bytes.NewReader(body))
	if err != nil {
		return v, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := s.http.Do(req)
	if err != nil {
		return v, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return v, err
	}
	if resp.StatusCode != http.StatusOK {
		return v, &statusError{status: resp.StatusCode, detail: string(b)}
	}
	return v, json.Unmarshal(b, &v)
}

type statusError struct {
	status int
	detail string
}

func (e *statusError) Error() string { return fmt.Sprintf("status %d: %.200s", e.status, e.detail) }

func (e *statusError) Verdict() resilience.Verdict {
	if e.status < http.StatusInternalServerError {
		return resilience.Verdict{Outcome: resilience.Ignored, Repeat: resilience.RepeatNever}
	}
	return resilience.Verdict{Outcome: resilience.Failure}
}

func isNotFound(err error) bool {
	var s *statusError
	return errors.As(err, &s) && s.status == http.StatusNotFound
}

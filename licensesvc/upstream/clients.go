package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unique"

	"github.com/backstay-go/backstay/clients/rest"
	"github.com/backstay-go/backstay/resilience"
)

// ErrNoKey: the key service did not answer, or refused. There is no license without a key, and
// there is no fallback.
var ErrNoKey = errors.New("upstream: no key")

// remembered is the number of members and of titles that are remembered in case their service
// fails. Each takes 64 bytes and its value, about 10 MB in all.
const remembered = 50_000

// Config says where the three services are.
type Config struct {
	// Membership, Catalog and Keys are base addresses such as http://127.0.0.1:7001.
	// Required.
	Membership, Catalog, Keys string
	// Policies replaces the policy of a dependency, by its name. Default:
	// MembershipPolicy, CatalogPolicy and KeyServicePolicy.
	Policies map[string]resilience.Policy
	// Listeners receive the events of the guards.
	Listeners []resilience.Listener
	// Observer follows every attempt, for traces and metrics. Nil: nothing does.
	Observer rest.Observer
	// Transport returns the transport that carries the requests to a dependency. Nil, or if it
	// returns nil: a transport with as many idle connections as the bulkhead admits.
	Transport func(dependency string) http.RoundTripper
	_         struct{}
}

// Check returns every problem at once.
func (c Config) Check() error {
	var errs []error
	for _, a := range []struct{ field, value string }{{"Membership", c.Membership}, {"Catalog", c.Catalog}, {"Keys", c.Keys}} {
		u, err := url.Parse(a.value)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			errs = append(errs, fmt.Errorf("upstream: %s is %q: give a base address such as http://127.0.0.1:7001", a.field, a.value))
		}
	}
	for name := range c.Policies {
		if name != Membership && name != Catalog && name != KeyService {
			errs = append(errs, fmt.Errorf("upstream: Policies has %q: there are %s, %s and %s", name, Membership, Catalog, KeyService))
		}
	}
	return errors.Join(errs...)
}

// Clients calls the three services. It is safe for concurrent use. The caller that
// made it must close it. The zero value is not usable.
type Clients struct {
	membership, catalog, keys *service

	issue, renew, title, key *resilience.Operation

	members *resilience.LastGood[Member]
	titles  *resilience.LastGood[Title]
}

// New checks the configuration and returns the clients. It sends nothing.
func New(cfg Config) (*Clients, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	c := &Clients{
		members: resilience.NewLastGood[Member](remembered),
		titles:  resilience.NewLastGood[Title](remembered),
	}
	var made []*service
	for _, d := range []struct {
		into   **service
		base   string
		policy resilience.Policy
	}{
		{&c.membership, cfg.Membership, MembershipPolicy()},
		{&c.catalog, cfg.Catalog, CatalogPolicy()},
		{&c.keys, cfg.Keys, KeyServicePolicy()},
	} {
		s, err := newService(cfg, d.base, d.policy)
		if err != nil {
			for _, s := range made {
				err = errors.Join(err, s.close())
			}
			return nil, err
		}
		made, *d.into = append(made, s), s
	}
	c.issue, c.renew = c.membership.guard.Operation(opIssue), c.membership.guard.Operation(opRenew)
	c.title, c.key = c.catalog.guard.Operation(opTitle), c.keys.guard.Operation(opKey)
	return c, nil
}

// Guards returns the guards: membership, catalog, key service.
func (c *Clients) Guards() []*resilience.Guard {
	return []*resilience.Guard{c.membership.guard, c.catalog.guard, c.keys.guard}
}

// Close ends the guards and drops idle connections.
func (c *Clients) Close() error {
	return errors.Join(c.membership.close(), c.catalog.close(), c.keys.close())
}

// MemberToIssue returns the member for a new license. The value may be slightly stale: see
// StalePlanToIssue.
func (c *Clients) MemberToIssue(ctx context.Context, id string) (resilience.Result[Member], error) {
	return c.member(ctx, c.issue, id)
}

// MemberToRenew returns the member for a renewal. The value may be very stale: see
// StalePlanToRenew.
func (c *Clients) MemberToRenew(ctx context.Context, id string) (resilience.Result[Member], error) {
	return c.member(ctx, c.renew, id)
}

func (c *Clients) member(ctx context.Context, op *resilience.Operation, id string) (resilience.Result[Member], error) {
	id = strings.Clone(id) // It is remembered, and may be a part of the request's first line.
	res, err := resilience.Do(ctx, op, func(ctx context.Context) (Member, error) {
		m, err := rest.Attempt[Member](ctx, c.membership.client, rest.Request{Path: "/v1/members/{id}", Args: []any{id}})
		if err != nil {
			return m, judged(err)
		}
		if err := checkMember(m, id); err != nil {
			return m, err
		}
		// Tens of thousands of members are remembered, with few plans and states.
		m.ID, m.Plan, m.Status = id, unique.Make(m.Plan).Value(), unique.Make(m.Status).Value()
		return m, nil
	}, c.members.For(id))
	if errors.Is(err, errAbsent) {
		// A member who left must not be served from remembered data later.
		c.members.Forget(id)
		res.Value, err = Member{ID: id, Status: StatusUnknown}, nil
	}
	return res, err
}

// Title returns a title and its terms. If the catalog fails and nothing is remembered, the
// terms are the strictest of the title's studio, with the source static. It is then not known
// whether the title exists.
func (c *Clients) Title(ctx context.Context, id string) (resilience.Result[Title], error) {
	res, err := resilience.Do(ctx, c.title, func(ctx context.Context) (Title, error) {
		t, err := rest.Attempt[Title](ctx, c.catalog.client, rest.Request{Path: "/v1/titles/{id}", Args: []any{id}})
		if err != nil {
			return t, judged(err)
		}
		return t, checkTitle(t, id)
	}, c.titles.For(id), resilience.FallbackValue(fallback(id)))
	if errors.Is(err, errAbsent) {
		c.titles.Forget(id)
		res.Value, err = Title{ID: id, Studio: StudioOf(id), Unknown: true}, nil
	}
	return res, err
}

// Key returns the key of a license. There is no fallback: an error matches ErrNoKey.
func (c *Clients) Key(ctx context.Context, want KeyRequest) (resilience.Result[Key], error) {
	res, err := resilience.Do(ctx, c.key, func(ctx context.Context) (Key, error) {
		k, err := rest.Attempt[Key](ctx, c.keys.client, rest.Request{Method: http.MethodPost, Path: "/v1/keys", Body: want, RepeatWithoutKey: true})
		if err != nil {
			return k, judged(err)
		}
		return k, checkKey(k, want)
	})
	if err != nil {
		return resilience.Result[Key]{Attempts: res.Attempts}, fmt.Errorf("%w: %w", ErrNoKey, err)
	}
	return res, nil
}

// Wait returns how long to wait before a refused or failed call is worth another try: until
// the breaker admits a probe, and at least one second.
func Wait(err error, now time.Time) time.Duration {
	var refusal *resilience.Refusal
	if errors.As(err, &refusal) && !refusal.Until.IsZero() {
		return max(time.Second, refusal.Until.Sub(now))
	}
	return time.Second
}

package toxiproxy

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/tcpproxy"
)

// wanted is the body of a request about a proxy.
type wanted struct {
	Name     string `json:"name"`
	Listen   string `json:"listen"`
	Upstream string `json:"upstream"`
	Enabled  *bool  `json:"enabled"`
}

func (a *API) create(r *http.Request) (any, *failure) {
	var in wanted
	if bad := decode(r, &in); bad != nil {
		return nil, bad
	}
	if in.Name == "" {
		return nil, errMissing.because("name")
	}
	if in.Upstream == "" {
		return nil, errMissing.because("upstream")
	}
	if a.proxies[in.Name] != nil {
		return nil, &errProxyExists
	}
	return a.add(in)
}

func (a *API) add(in wanted) (*entry, *failure) {
	e := &entry{Name: in.Name, Listen: in.Listen, Upstream: in.Upstream, Toxics: []toxic{}, asked: in.Listen}
	var err error
	if e.injector, err = chaos.New(chaos.Plan{Seed: a.cfg.Seed}, chaos.Config{Listeners: a.cfg.Listeners, DeadMan: a.cfg.DeadMan}); err != nil {
		return nil, &failure{Text: err.Error(), Status: http.StatusInternalServerError}
	}
	e.injector.Start()
	if in.Enabled == nil || *in.Enabled {
		if bad := a.start(e); bad != nil {
			return nil, bad
		}
	}
	a.proxies[e.Name] = e
	return e, nil
}

func (a *API) remove(e *entry) {
	// An error means that the proxy is closed already.
	_ = e.stop()
	e.injector.Stop()
	delete(a.proxies, e.Name)
}

// start listens, unless the proxy listens already.
func (a *API) start(e *entry) *failure {
	if e.proxy != nil {
		return nil
	}
	p, err := tcpproxy.Start(a.ctx, tcpproxy.Config{Dependency: e.Name, Listen: e.Listen, Upstream: e.Upstream, Injector: e.injector, EndSwallowed: true})
	if err != nil {
		return unlistened(err)
	}
	e.proxy, e.Enabled, e.Listen = p, true, p.Addr()
	return nil
}

// unlistened says why a proxy can't listen, in Toxiproxy's words where it has some.
func unlistened(err error) *failure {
	op, dns, addr := (*net.OpError)(nil), (*net.DNSError)(nil), (*net.AddrError)(nil)
	text := ""
	switch {
	case errors.As(err, &op):
		text = op.Error()
	case errors.As(err, &addr):
		text = addr.Error()
	case errors.As(err, &dns):
		text = dns.Error()
	default:
		return errCannotListen.because(err.Error())
	}
	return &failure{Text: text, Status: http.StatusInternalServerError}
}

// listensAt reports whether the proxy listens on an address: the one that was requested, the
// one that it has, or a host name of either.
func (e *entry) listensAt(addr string) bool {
	if addr == e.Listen || addr == e.asked {
		return true
	}
	resolved, err := net.ResolveTCPAddr("tcp", addr)
	return err == nil && resolved.String() == e.Listen
}

func (e *entry) stop() error {
	if e.proxy == nil {
		return nil
	}
	err := e.proxy.Close()
	e.proxy, e.Enabled = nil, false
	return err
}

func (a *API) update(r *http.Request, e *entry) (any, *failure) {
	var in wanted
	if bad := decode(r, &in); bad != nil {
		return nil, bad
	}
	if _, err := net.ResolveTCPAddr("tcp", in.Listen); in.Listen != "" && err != nil {
		return nil, unlistened(err)
	}
	moved := (in.Listen != "" && !e.listensAt(in.Listen)) || (in.Upstream != "" && in.Upstream != e.Upstream)
	on := e.Enabled
	if in.Enabled != nil {
		on = *in.Enabled
	}
	if moved || !on {
		// An error means that the proxy is closed already.
		_ = e.stop()
	}
	if in.Listen != "" && (moved || !on) {
		e.Listen, e.asked = in.Listen, in.Listen
	}
	if in.Upstream != "" {
		e.Upstream = in.Upstream
	}
	if on {
		if bad := a.start(e); bad != nil {
			return nil, bad
		}
	}
	return e, nil
}

// populated is the answer to a list of proxies: the proxies that were made, and why the
// others were not.
type populated struct {
	*failure
	Proxies []*entry `json:"proxies"`
}

func (a *API) populate(r *http.Request) (any, *failure) {
	made, bad := a.makeAll(r)
	if bad != nil {
		bad.body = populated{bad, made}
		return nil, bad
	}
	return populated{nil, made}, nil
}

func (a *API) makeAll(r *http.Request) (made []*entry, bad *failure) {
	var in []wanted
	if bad := decode(r, &in); bad != nil {
		return nil, bad
	}
	for i, p := range in {
		if p.Name == "" {
			return nil, errMissing.because(fmt.Sprintf("name at proxy %d", i+1))
		}
		if p.Upstream == "" {
			return nil, errMissing.because(fmt.Sprintf("upstream at proxy %d", i+1))
		}
	}
	made = []*entry{}
	for _, p := range in {
		if e := a.proxies[p.Name]; e != nil {
			if e.listensAt(p.Listen) && e.Upstream == p.Upstream {
				made = append(made, e)
				continue
			}
			a.remove(e)
		}
		e, bad := a.add(p)
		if bad != nil {
			return made, bad
		}
		made = append(made, e)
	}
	return made, nil
}

// apply turns the toxics of an entry into the plan of its injector.
func (a *API) apply(e *entry) *failure {
	plan := chaos.Plan{Seed: a.cfg.Seed}
	for _, t := range e.Toxics {
		if rule, acts := t.rule(e.Name); acts {
			plan.Rules = append(plan.Rules, rule)
		}
	}
	if err := e.injector.Update(plan); err != nil {
		return errBody.because(err.Error())
	}
	return nil
}

// swap replaces the entry's toxics. If that fails, it changes nothing.
func (a *API) swap(e *entry, toxics []toxic) *failure {
	old := e.Toxics
	e.Toxics = toxics
	bad := a.apply(e)
	if bad != nil {
		e.Toxics = old
	}
	return bad
}

func (a *API) addToxic(r *http.Request, e *entry) (any, *failure) {
	var in change
	if bad := decode(r, &in); bad != nil {
		return nil, bad
	}
	if in.Stream == "" {
		in.Stream = chaos.Downstream
	}
	if in.Stream != chaos.Downstream && in.Stream != chaos.Upstream {
		return nil, &errStream
	}
	if in.Name == "" {
		in.Name = in.Type + "_" + in.Stream
	}
	kind, ok := typeOf(in.Type)
	if !ok {
		return nil, &errType
	}
	if slices.ContainsFunc(e.Toxics, func(t toxic) bool { return t.Name == in.Name }) {
		return nil, &errToxicExists
	}
	t, bad := toxic{Name: in.Name, Type: in.Type, Stream: in.Stream, Toxicity: 1, kind: kind, from: e.injector.Elapsed()}.with(in)
	if bad != nil {
		return nil, bad
	}
	toxics := append(slices.Clone(e.Toxics), t)
	// Toxics of the direction to the upstream are listed first.
	slices.SortStableFunc(toxics, func(a, b toxic) int { return strings.Compare(b.Stream, a.Stream) })
	return t, a.swap(e, toxics)
}

func (a *API) updateToxic(r *http.Request, e *entry, i int) (any, *failure) {
	var in change
	if bad := decode(r, &in); bad != nil {
		return nil, bad
	}
	t, bad := e.Toxics[i].with(in)
	if bad != nil {
		return nil, bad
	}
	toxics := slices.Clone(e.Toxics)
	toxics[i] = t
	return t, a.swap(e, toxics)
}

// ErrConfig matches errors about the content of a configuration.
var ErrConfig = errors.New("toxiproxy: bad configuration")

// Populate makes the proxies of a configuration as POST /populate does: a JSON list
// of name, listen, upstream and enabled. If the list can't be read, no proxy is made, and
// the error matches ErrConfig.
func (a *API) Populate(config io.Reader) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, bad := a.makeAll(&http.Request{Body: io.NopCloser(config)})
	switch {
	case bad == nil:
		return nil
	case bad.Status == http.StatusBadRequest:
		return fmt.Errorf(`%w: %s; it is a list in JSON, like [{"name": "db", "listen": "127.0.0.1:7201", "upstream": "127.0.0.1:7001"}]`, ErrConfig, bad.Text)
	}
	return fmt.Errorf("toxiproxy: %s; choose a free host:port", bad.Text)
}

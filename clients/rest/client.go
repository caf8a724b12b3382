package rest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/backstay-go/backstay/internal/routes"
)

// ClientConfig says which server a Client calls, and how.
type ClientConfig struct {
	// BaseURL is what paths are added to, such as http://127.0.0.1:7001. It has no query, no
	// fragment and no user. Required.
	BaseURL string
	// Base sends the requests. It must not be a Transport or Hosts of this package: their
	// guards would count each call twice. Nil: NewBase(64).
	Base http.RoundTripper
	// Balancer spreads attempts over several addresses. The path of an address is put in
	// front of the call's path. The Host header stays the host of BaseURL. Nil: requests go
	// to BaseURL.
	Balancer *Balancer
	// Header is sent with every request; a Request's own wins. Default: Accept and
	// Content-Type of JSON.
	Header http.Header
	// MaxBytes limits the size of an answer, in bytes after decompression. Default: 1 MiB.
	MaxBytes int64
	// Stall is how long an answer may go without a further byte while it is read. Default:
	// 10 s; a negative value means no limit but the operation's timeout.
	Stall time.Duration
	// NoHeaders sends no Backstay headers, for servers of third parties.
	NoHeaders bool
	// Templates are patterns of paths in the form of http.ServeMux, such as "/v1/titles".
	// Observer gets the pattern that matches, in place of the path. Paths with parameters
	// are templates already and need none.
	Templates []string
	// Observer follows each attempt. Nil: none does.
	Observer Observer
	// Remember lists the Cache-Control directives that a LastGood may ignore: no-store,
	// no-cache, must-revalidate. An answer with a directive that is not listed is not
	// remembered. List one only if the server's owner has agreed. Nil: none is ignored.
	Remember []string
	_        struct{}
}

// Client makes typed JSON calls. It is safe for concurrent use. The caller that made it
// must call CloseIdleConnections when it is no longer used. Calls on a nil client fail.
type Client struct {
	sender    sender
	base      string
	header    http.Header
	remember  []string
	templates routes.Table[string]
	opened    breakerWatch
}

// NewClient checks the configuration.
func NewClient(cfg ClientConfig) (*Client, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	c := &Client{base: strings.TrimRight(cfg.BaseURL, "/"), header: http.Header{}, remember: cfg.Remember}
	for name, values := range cfg.Header {
		name = http.CanonicalHeaderKey(name)
		c.header[name] = append(c.header[name], values...)
	}
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = 1 << 20
	}
	c.sender.setBase(cfg.Base)
	c.sender.setBounds(cfg.MaxBytes, cfg.Stall)
	c.sender.balancer, c.sender.noHeaders, c.sender.observer = cfg.Balancer, cfg.NoHeaders, cfg.Observer
	var err error
	c.templates, err = newPatterns("ClientConfig.Templates", cfg.Templates)
	return c, err
}

// check returns what is wrong with a configuration.
func (cfg *ClientConfig) check() error {
	u, err := url.Parse(cfg.BaseURL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("rest: BaseURL is %q: give an address such as http://127.0.0.1:7001", cfg.BaseURL)
	case u.User != nil:
		return fmt.Errorf("rest: BaseURL is %q and names a user: give credentials in Header (Authorization)", u.Redacted())
	case u.RawQuery != "" || u.ForceQuery || strings.Contains(cfg.BaseURL, "#"):
		return fmt.Errorf("rest: BaseURL is %q: it can't have a query or a fragment, paths are added to it; give a query in Request.Query", cfg.BaseURL)
	case cfg.MaxBytes < 0:
		return fmt.Errorf("rest: MaxBytes is %d: give 1 or more, or 0 for 1 MiB", cfg.MaxBytes)
	case isGuarded(cfg.Base):
		return errors.New("rest: Base is a Transport with a guard, and calls name theirs: give NewBase(limit)")
	}
	for _, name := range cfg.Remember {
		if name != "no-store" && name != "no-cache" && name != "must-revalidate" {
			return fmt.Errorf("rest: Remember has %q: it can be no-store, no-cache, must-revalidate", name)
		}
	}
	return nil
}

// CloseIdleConnections closes the idle connections of the base.
func (c *Client) CloseIdleConnections() { c.sender.closeIdle() }

// errNoClient is the error of calls by a nil client.
var errNoClient = errors.New("rest: the client is nil: make one with NewClient")

// trip returns the request of a call and the sender for it. If the request can't be
// sent, the error counts against nobody.
func (c *Client) trip(ctx context.Context, in Request) (*trip, error) {
	if c == nil {
		return nil, errNoClient
	}
	if ctx == nil {
		return nil, errors.New("rest: the context is nil")
	}
	r, template, err := in.build(ctx, c)
	if err != nil {
		return nil, unsendable(in.method(), in.Path, err)
	}
	t := &trip{sender: &c.sender, request: r, repeatable: idempotent(r) || in.RepeatWithoutKey}
	t.pattern = template
	if template == "" && c.sender.observer != nil {
		t.pattern, _ = c.templates.Find(r, r.URL.Host)
	}
	return t, nil
}

package gocqldriver

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gocql/gocql"

	"github.com/backstay-go/backstay/clients/cassandra/internal/driver"
)

// authenticators are the classes that are known to require a name and a password.
var authenticators = []string{
	"org.apache.cassandra.auth.PasswordAuthenticator",
	"org.apache.cassandra.auth.MutualTlsWithPasswordFallbackAuthenticator",
	"com.instaclustr.cassandra.auth.SharedSecretAuthenticator",
	"com.instaclustr.cassandra.auth.InstaclustrPasswordAuthenticator",
	"com.datastax.bdp.cassandra.auth.DseAuthenticator",
	"io.aiven.cassandra.auth.AivenAuthenticator",
	"com.ericsson.bss.cassandra.ecaudit.auth.AuditPasswordAuthenticator",
	"com.ericsson.bss.cassandra.ecaudit.auth.AuditAuthenticator",
	"com.amazon.helenus.auth.HelenusAuthenticator",
	"com.scylladb.auth.SaslauthdAuthenticator",
	"com.scylladb.auth.TransitionalAuthenticator",
}

// login gives each connection the credentials that are valid when it is opened.
func login(ctx context.Context, c driver.Config) func(*gocql.HostInfo) (gocql.Authenticator, error) {
	if c.Credentials == nil && c.Username == "" {
		return nil
	}
	allowed := append(authenticators[:len(authenticators):len(authenticators)], c.Authenticators...)
	return func(*gocql.HostInfo) (a gocql.Authenticator, err error) {
		username, password := c.Username, c.Password
		if c.Credentials != nil {
			defer func() {
				if p := recover(); p != nil {
					err = fmt.Errorf("asking for the credentials panicked: %s", panicText(p))
				}
			}()
			ctx, cancel := context.WithTimeout(ctx, c.ConnectTimeout)
			defer cancel()
			if username, password, err = c.Credentials(ctx); err != nil {
				return nil, fmt.Errorf("the credentials are not to be had: %w", err)
			}
		}
		return gocql.PasswordAuthenticator{Username: username, Password: password, AllowedAuthenticators: allowed}, nil
	}
}

const (
	firstLoginPause = 500 * time.Millisecond
	longLoginPause  = 4 * time.Second
)

var errLoginPause = errors.New("the credentials were refused there; the next try is due later")

// connects records why connections can't be opened. It also limits tries at a node that
// refuses the credentials, because servers lock accounts after a few such tries. Safe
// for concurrent use.
type connects struct {
	reason atomic.Pointer[driver.Failure] // of the last try; nil if that succeeded

	mu      sync.Mutex
	refused map[string]refusal
}

type refusal struct {
	until time.Time
	pause time.Duration
}

// ObserveConnect implements gocql.ConnectObserver.
func (cs *connects) ObserveConnect(o gocql.ObservedConnect) {
	if errors.Is(o.Err, errLoginPause) || errors.Is(o.Err, context.Canceled) {
		return
	}
	address := addressOf(o.Host)
	if o.Err == nil {
		cs.reason.Store(nil)
		cs.mu.Lock()
		defer cs.mu.Unlock()
		delete(cs.refused, address)
		return
	}
	f := failure(o.Err)
	if refusesLogin(f) {
		f.Cause = driver.Credentials
		cs.mu.Lock()
		defer cs.mu.Unlock()
		if cs.refused == nil {
			cs.refused = map[string]refusal{}
		}
		pause := min(max(firstLoginPause, 2*cs.refused[address].pause), longLoginPause)
		cs.refused[address] = refusal{time.Now().Add(pause), pause}
	}
	cs.reason.Store(f)
}

// refusesLogin reports whether the node has refused the credentials, or requires some
// that we do not have.
func refusesLogin(f *driver.Failure) bool {
	return f.Cause == driver.Credentials || strings.Contains(f.Message, "unexpected authenticator") ||
		strings.Contains(f.Message, "authentication required") || strings.Contains(f.Message, "credentials are not to be had")
}

// mayDial refuses to connect to a node that has refused the credentials shortly before.
func (cs *connects) mayDial(address string) error {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if r, ok := cs.refused[address]; ok && time.Now().Before(r.until) {
		return errLoginPause
	}
	return nil
}

// explain adds the reason why there are no connections to a failure that was caused by
// that.
func (cs *connects) explain(f *driver.Failure) {
	if cs == nil {
		return
	}
	why := cs.reason.Load()
	if f.Cause != driver.NoConnections || why == nil {
		return
	}
	f.Message += "; connecting fails: "
	if why.Cause == driver.Credentials {
		f.Message += "the credentials are refused: "
	}
	f.Message += why.Message
}

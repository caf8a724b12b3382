package cassandra

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/backstay-go/backstay/clients/cassandra/internal/driver"
)

// dialPause is how long Connect waits before it tries again.
const dialPause = 200 * time.Millisecond

// dial connects the driver.
func (s *Session) dial(ctx context.Context) error {
	for {
		l, final := s.open(ctx)
		if final == nil {
			if err := s.verify(ctx, l); err != nil {
				l.driver.Close()
				return err
			}
			s.link.Store(l)
			return nil
		}
		if !errors.Is(final, ErrUnavailable) && !errors.Is(final, ErrTimedOut) && ctx.Err() == nil {
			return final
		}
		if !waited(ctx, dialPause) {
			return fmt.Errorf("%w; gave up: %w", final, ctx.Err())
		}
	}
}

// reason stores what the driver last logged about a connection that failed, because the
// driver's error says less.
type reason struct{ text atomic.Pointer[string] }

func (r *reason) log(next func(string)) func(string) {
	return func(line string) {
		if _, why, ok := strings.Cut(line, "due to error: "); ok {
			r.text.Store(&why)
		}
		if next != nil {
			next(line)
		}
	}
}

// of adds the reason to an error that has none.
func (r *reason) of(err error) error {
	var f *driver.Failure
	if why := r.text.Load(); why != nil && errors.As(err, &f) && !strings.Contains(f.Message, *why) {
		more := *f
		more.Message += "; " + *why
		return &more
	}
	return err
}

// connectError says what prevents the connection, and what to do.
func (s *Session) connectError(err error) error {
	var f *driver.Failure
	if !errors.As(err, &f) {
		return err
	}
	e := judge(f, &statement{})
	e.Statement = ""
	text := strings.ToLower(f.Message)
	at := strings.Join(s.config.Hosts, ", ")
	switch {
	case strings.Contains(text, "unexpected authenticator"):
		e.Kind, e.Message = ErrInvalid, "the cluster at "+at+" wants a way to log in that this client does not know: "+plain(f.Message)+
			"; if it takes a name and a password, name its class in Authenticators"
	case strings.Contains(text, "credentials are not to be had"):
		e.Kind, e.Message = ErrUnavailable, plain(f.Message)
	case f.Cause == driver.Credentials, strings.Contains(text, "authentication"), strings.Contains(text, "and/or password"):
		e.Kind, e.Message = ErrInvalid, "the cluster at "+at+" refuses the credentials: "+plain(f.Message)+"; check Username and Password, or what Credentials returns"
	case f.Cause == driver.Invalid && strings.Contains(text, "keyspace"), strings.Contains(text, "keyspace") && strings.Contains(text, "does not exist"):
		e.Kind, e.Message = ErrInvalid, fmt.Sprintf("keyspace %q does not exist; create it, or leave Keyspace empty", s.config.Keyspace)
	case strings.Contains(text, "x509"), strings.Contains(text, "tls:"):
		e.Kind, e.Message = ErrInvalid, "TLS with "+at+" failed; check TLS.RootCAs, TLS.ServerName and the nodes' certificates: "+plain(f.Message)
	case e.Kind == ErrUnavailable, e.Kind == ErrInvalid && f.Code < 0:
		e.Kind, e.Message = ErrUnavailable, "no contact point answers: "+at+"; check "+s.suspected(text)+": "+plain(f.Message)
	}
	return e
}

// suspected returns the probable cause if no node answers.
func (s *Session) suspected(text string) string {
	hungUp := strings.Contains(text, "eof") || strings.Contains(text, "reset by peer")
	switch {
	case hungUp && s.config.TLS == nil:
		return "Hosts and Port, and whether the nodes want TLS"
	case hungUp:
		return "Hosts and Port, and whether the nodes speak TLS there"
	}
	return "Hosts and Port"
}

// plain returns a driver's message without the part that says what the driver was
// doing.
func plain(message string) string {
	for _, begin := range []string{"gocql: unable to create session: ", "unable to discover protocol version: "} {
		message = strings.TrimPrefix(message, begin)
	}
	return message
}

// warnOfLocalLevels writes a line to Log for each profile whose level refers to a local
// data centre although Config names none.
func (s *Session) warnOfLocalLevels() {
	if s.config.Log == nil {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(s.config.Profiles)) {
		p := s.config.Profiles[name]
		for _, level := range []Consistency{p.Consistency, p.SerialConsistency} {
			if level == LocalQuorum || level == LocalOne || level == LocalSerial {
				s.config.Log(fmt.Sprintf("cassandra: profile %s asks for %v, and LocalDC is not set: it means the data centre of whichever node is asked; set LocalDC", name, level))
			}
		}
	}
}

// verify asks the cluster whether the configuration's assumptions hold. A node that has
// just started may not yet know the data centre of another node, so it is asked again.
func (s *Session) verify(ctx context.Context, l *link) error {
	if s.config.LocalDC == "" {
		s.warnOfLocalLevels()
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	for {
		dcs, all, err := s.dataCenters(ctx, l)
		if err != nil {
			return err
		}
		missing := func(field, dc string) error {
			if slices.Contains(dcs, dc) {
				return nil
			}
			return fmt.Errorf("%w: %s is %q, which the cluster does not have; it has: %s", ErrConfig, field, dc, strings.Join(dcs, ", "))
		}
		err = missing("LocalDC", s.config.LocalDC)
		if f := s.config.Failover; f != nil {
			err = errors.Join(err, missing("Failover.DataCenter", f.DataCenter))
		}
		if err == nil || all || !waited(ctx, dialPause) {
			return err
		}
	}
}

// dataCenters returns the cluster's data centres, and whether that of every node is
// known.
func (s *Session) dataCenters(ctx context.Context, l *link) (dcs []string, all bool, err error) {
	all = true
	add := func(dc string) {
		if dc == "" {
			all = false
		} else if !slices.Contains(dcs, dc) {
			dcs = append(dcs, dc)
		}
	}
	for _, cql := range []string{"SELECT data_center FROM system.local", "SELECT data_center FROM system.peers"} {
		page, err := l.driver.Do(ctx, &driver.Request{Statements: []driver.Statement{{CQL: cql}}, Consistency: uint16(LocalOne), PageSize: 100}, &driver.Call{Anywhere: true})
		if err != nil {
			return nil, false, s.connectError(err)
		}
		for {
			var dc string
			if !page.Next(&dc) {
				break
			}
			add(dc)
		}
		if err := page.Err(); err != nil {
			return nil, false, s.connectError(err)
		}
	}
	// The two statements may have gone to different nodes. The data centres of the
	// nodes to which we are connected complete the list.
	for _, n := range l.nodes.All() {
		if dc := n.DC(); dc != "" {
			add(dc)
		}
	}
	slices.Sort(dcs)
	return dcs, all, nil
}

package cassandra

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/backstay-go/backstay/resilience"
)

// Session runs requests on one cluster. It is safe for concurrent use. The caller of
// Connect must close it. The zero value and nil answer every request with ErrClosed.
type Session struct {
	config   Config
	guard    *resilience.Guard
	isolated *resilience.Guard // guard of the isolated requests
	remote   *resilience.Guard // guard of Failover; nil without
	link     atomic.Pointer[link]
	search   search
	profiles atomic.Pointer[map[string]*profile]
	known    statements
	clock    timestamps
	// ctx is for requests that bring no context; it ends with the session.
	ctx    context.Context
	end    context.CancelFunc
	work   sync.WaitGroup // watch
	closed atomic.Bool
	// closing begins the end, and ended is closed after it.
	closing sync.Once
	ended   chan struct{}
}

// profile is a Profile in force.
type profile struct {
	Profile
	name     string
	run      *resilience.Operation
	degraded *resilience.Operation
	remote   *resilience.Operation
}

// Connect checks the configuration, connects to the cluster, and checks that the
// cluster has the local data centre and the keyspace. It tries until it succeeds or ctx
// ends. An error that trying again can't solve ends it at once: refused credentials, a
// keyspace or data centre that does not exist, a bad certificate. Requests that have no
// context use the values of ctx, but do not end with it. The caller must close the
// session.
func Connect(ctx context.Context, c Config) (*Session, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	guard, err := resilience.New(c.policy(), c.Options...)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	s := &Session{config: c, guard: guard, ended: make(chan struct{})}
	if s.isolated, err = resilience.New(c.isolatedPolicy(), c.Options...); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", ErrConfig, err), s.closeGuards())
	}
	if c.Failover != nil {
		if s.remote, err = resilience.New(c.remotePolicy(), c.Options...); err != nil {
			return nil, errors.Join(fmt.Errorf("%w: Failover.Guard: %w", ErrConfig, err), s.closeGuards())
		}
	}
	s.ctx, s.end = context.WithCancel(context.WithoutCancel(ctx))
	s.install(c.Profiles)
	if err := s.dial(ctx); err != nil {
		s.end()
		return nil, errors.Join(err, s.closeGuards())
	}
	s.work.Go(s.watch)
	return s, nil
}

func (s *Session) install(profiles map[string]Profile) {
	installed := make(map[string]*profile, len(profiles))
	for name, p := range profiles {
		guard := s.guard
		if p.Isolated {
			guard = s.isolated
		}
		installed[name] = &profile{Profile: p, name: name, run: guard.Operation(name)}
		if p.Degraded != 0 {
			installed[name].degraded = s.isolated.Operation(name + degradedSuffix)
		}
		if p.Failover {
			installed[name].remote = s.remote.Operation(name)
		}
	}
	s.profiles.Store(&installed)
}

// waited waits, and reports whether the context is still alive.
func waited(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// Update replaces the profiles and the shared part of the guard, and keeps all state.
// The hosts and the way to connect to them do not change.
func (s *Session) Update(profiles map[string]Profile, guard resilience.Policy) error {
	c, err := s.updated(profiles, guard)
	if err != nil {
		return err
	}
	if err := s.guard.Update(c.policy()); err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if err := s.isolated.Update(c.isolatedPolicy()); err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if s.remote != nil {
		if err := s.remote.Update(c.remotePolicy()); err != nil {
			return fmt.Errorf("%w: Failover.Guard: %w", ErrConfig, err)
		}
	}
	s.install(c.Profiles)
	return nil
}

// Profiles returns a copy of the profiles in force, by name.
func (s *Session) Profiles() map[string]Profile {
	if s.isClosed() {
		return nil
	}
	installed := *s.profiles.Load()
	all := make(map[string]Profile, len(installed))
	for name, p := range installed {
		all[name] = p.Profile
	}
	return all
}

// CheckUpdate returns the error that Update would return, and changes nothing.
func (s *Session) CheckUpdate(profiles map[string]Profile, guard resilience.Policy) error {
	_, err := s.updated(profiles, guard)
	return err
}

// updated returns the session's configuration with other profiles and another guard,
// with defaults filled in.
func (s *Session) updated(profiles map[string]Profile, guard resilience.Policy) (Config, error) {
	if s.isClosed() {
		return Config{}, errClosed
	}
	c := s.config
	c.Profiles, c.Guard = profiles, guard
	if err := c.Check(); err != nil {
		return Config{}, err
	}
	c = c.withDefaults()
	if longest, bound := c.longest(), s.config.longest(); longest > bound {
		return Config{}, fmt.Errorf("%w: a profile's Timeout is %v, and Connect set the driver's to %v, which can't be changed; make a new session for it", ErrConfig, longest, bound)
	}
	if c.Guard.Name != s.config.Guard.Name {
		return Config{}, fmt.Errorf("%w: the guard is called %q, and the session's %q, which can't be changed; make a new session for it", ErrConfig, c.Guard.Name, s.config.Guard.Name)
	}
	// The guards share the names of errors, and so does what they refuse.
	if err := s.guard.CheckUpdate(c.policy()); err != nil {
		return Config{}, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return c, nil
}

// IsolatedGuard returns the guard for isolated requests, for snapshots. These are
// requests of profiles with Isolated, and degraded reads.
func (s *Session) IsolatedGuard() *resilience.Guard {
	if s == nil {
		return nil
	}
	return s.isolated
}

// Guard returns the guard for all requests that are not isolated, for snapshots. Its
// operations are the profiles.
func (s *Session) Guard() *resilience.Guard {
	if s == nil {
		return nil
	}
	return s.guard
}

// NodeState is a node as the session sees it.
type NodeState struct {
	// Address includes the port. DataCenter is the node's data centre.
	Address string `json:"address"`
	DC      string `json:"dc"`
	// ID is the node's host id, "" while it is not known.
	ID string `json:"id,omitempty"`
	// Suspect says that the node failed repeatedly and is tried last.
	Suspect bool `json:"suspect"`
	// InFlight is the number of streams in use, Orphans the number of those for which
	// nobody waits any more, and Available the number that is left on the configured
	// connections.
	InFlight  int `json:"in_flight"`
	Orphans   int `json:"orphans"`
	Available int `json:"available"`
	// Requests is the number of requests sent so far.
	Requests int64 `json:"requests"`
	// Connections is the number of open connections, including the driver's control
	// connection. Replaced is the number of connections closed so far because of
	// orphans or silence.
	Connections int   `json:"connections"`
	Replaced    int64 `json:"replaced"`
	// Latency is a moving average over recent requests. QueueDelay is one of the time from
	// the start of a call to the moment when it is first sent, most of which is spent in
	// the guard's queue. Both are in nanoseconds in JSON.
	Latency    time.Duration `json:"latency"`
	QueueDelay time.Duration `json:"queue_delay"`
}

// Nodes returns the nodes that the session has connected to, by address.
func (s *Session) Nodes() []NodeState {
	if s == nil || s.link.Load() == nil {
		return nil
	}
	all := s.link.Load().nodes.All()
	states := make([]NodeState, len(all))
	for i, n := range all {
		states[i] = NodeState(n.State())
	}
	return states
}

// Keyspace returns the name of the session's keyspace, or "" if it has none.
func (s *Session) Keyspace() string {
	if s == nil {
		return ""
	}
	return s.config.Keyspace
}

// closeWait bounds Close.
const closeWait = time.Second

// Close ends the session: requests in flight fail, and later ones get ErrClosed. It
// waits until the session's goroutines have ended, but for at most a second, because
// code of others may hold them up, such as Config.Credentials or Log. Closing twice does
// nothing. Close always returns nil; use Shutdown for another bound, and to learn what is
// left.
func (s *Session) Close() error {
	if s == nil || s.link.Load() == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), closeWait)
	defer cancel()
	_ = s.Shutdown(ctx) // what is left ends when the code that it waits for returns
	return nil
}

// Shutdown is Close with the caller's bound. It waits until the session's goroutines have
// ended or ctx is done. In the latter case the error says so; another Shutdown waits for
// the rest.
func (s *Session) Shutdown(ctx context.Context) error {
	if s == nil || s.link.Load() == nil {
		return nil
	}
	s.closing.Do(func() {
		s.closed.Store(true)
		s.end()
		go func() {
			defer close(s.ended)
			s.work.Wait()
			s.search.wait()
			s.link.Load().driver.Close()
		}()
	})
	var err error
	select {
	case <-s.ended:
	case <-ctx.Done():
		err = fmt.Errorf("cassandra: %s: connections to the cluster are not closed yet: %w", s.config.Guard.Name, context.Cause(ctx))
	}
	for _, g := range []*resilience.Guard{s.guard, s.isolated, s.remote} {
		err = errors.Join(err, g.Shutdown(ctx))
	}
	return err
}

// closeGuards closes the guards of a session that has not connected.
func (s *Session) closeGuards() error {
	return errors.Join(s.guard.Close(), s.isolated.Close(), s.remote.Close())
}

func (s *Session) isClosed() bool { return s == nil || s.link.Load() == nil || s.closed.Load() }

// profile finds the profile that a request names, or the default.
func (s *Session) profile(name string) (*profile, error) {
	profiles := *s.profiles.Load()
	if name == "" {
		name = s.config.DefaultProfile
	}
	if p := profiles[name]; p != nil {
		return p, nil
	}
	names := make([]string, 0, len(profiles))
	for n := range profiles {
		names = append(names, n)
	}
	slices.Sort(names)
	if name == "" {
		return nil, fmt.Errorf("%w: the request names no profile and there is no DefaultProfile; there are: %s", ErrConfig, strings.Join(names, ", "))
	}
	return nil, fmt.Errorf("%w: no profile %q; there are: %s", ErrConfig, name, strings.Join(names, ", "))
}

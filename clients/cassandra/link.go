package cassandra

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/backstay-go/backstay/clients/cassandra/internal/driver"
	"github.com/backstay-go/backstay/clients/cassandra/internal/gocqldriver"
)

// link is a driver's session together with what is known about its nodes.
type link struct {
	driver driver.Session
	nodes  *driver.Nodes
}

// open connects a driver, once.
func (s *Session) open(ctx context.Context) (*link, error) {
	c := &s.config
	var said reason
	nodes := driver.NewNodes(driver.Limits{Suspect: c.SuspectAfter, SuspectFor: c.SuspectFor, Connections: c.Connections,
		Orphans: c.OrphanLimit, Silence: c.SilenceLimit, Quiet: c.QuietLimit})
	cfg := s.driverConfig()
	cfg.Nodes, cfg.Log = nodes, said.log(c.Log)
	d, err := gocqldriver.Connect(ctx, cfg, c.TLS)
	if err != nil {
		return nil, s.connectError(said.of(err))
	}
	return &link{d, nodes}, nil
}

func (s *Session) driverConfig() driver.Config {
	c := &s.config
	cfg := driver.Config{
		Hosts: c.Hosts, Port: c.Port, Keyspace: c.Keyspace, LocalDC: c.LocalDC, RemoteDCs: c.Failover != nil, Username: c.Username, Password: string(c.Password),
		Connections: c.Connections, ConnectTimeout: c.ConnectTimeout, RequestTimeout: c.longest(), Payload: c.Payload,
		Authenticators: c.Authenticators,
	}
	if c.Credentials != nil {
		cfg.Credentials = func(ctx context.Context) (username, password string, err error) {
			username, secret, err := c.Credentials(ctx)
			return username, string(secret), err
		}
	}
	return cfg
}

// do sends a request by the driver in use. If that driver has lost every node, do
// starts a search for the cluster.
func (s *Session) do(ctx context.Context, r *driver.Request, call *driver.Call) (driver.Page, error) {
	l := s.link.Load()
	page, err := l.driver.Do(ctx, r, call)
	if err != nil {
		var f *driver.Failure
		if errors.As(err, &f) && f.Cause == driver.NoConnections {
			s.search.begin(s)
		}
	}
	return page, err
}

// search looks for the cluster when no node has a connection. The driver itself tries
// the addresses that it knows. But the nodes may have come back at other addresses,
// which only the contact points know. Only in that case does a new driver replace the
// old one.
type search struct {
	running atomic.Bool
	mu      sync.Mutex // for ended, and for beginning after it
	ended   bool
	work    sync.WaitGroup
}

const (
	// searchEvery is the time between two requests to the contact points.
	searchEvery = 100 * time.Millisecond
	// searchGrace is how long the driver may take to connect to a node that it knows,
	// after that node has answered a contact request.
	searchGrace = 5 * time.Second
)

// begin starts a search, unless one is running.
func (se *search) begin(s *Session) {
	if se.running.Swap(true) {
		return
	}
	se.mu.Lock()
	defer se.mu.Unlock()
	if se.ended {
		return
	}
	se.work.Go(func() {
		defer se.running.Store(false)
		s.find()
	})
}

// wait prevents further searches and waits for the one that is running.
func (se *search) wait() {
	se.mu.Lock()
	se.ended = true
	se.mu.Unlock()
	se.work.Wait()
}

// find returns when there is a connection again, by the old driver or a new one, or
// when the session ends.
func (s *Session) find() {
	var since time.Time // a node that the driver knows has answered
	for old := s.link.Load(); !old.nodes.Connected() && waited(s.ctx, searchEvery); {
		address := gocqldriver.Answers(s.ctx, s.driverConfig(), s.config.TLS)
		switch {
		case address == "":
			since = time.Time{}
			continue
		case old.nodes.Find(address) == nil:
		case since.IsZero():
			since = time.Now()
			continue
		case time.Since(since) < searchGrace:
			continue
		}
		if old.nodes.Connected() {
			return
		}
		l, err := s.open(s.ctx)
		if err != nil {
			s.note("looking for the cluster: " + err.Error())
			continue
		}
		s.note("the cluster answers at " + address + " and not where it was; connected again")
		s.link.Store(l)
		old.driver.Close()
		return
	}
}

func (s *Session) note(line string) {
	if s.config.Log != nil {
		s.config.Log(strings.TrimSpace(line))
	}
}

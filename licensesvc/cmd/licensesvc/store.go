package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	client "github.com/backstay-go/backstay/clients/cassandra"
	"github.com/backstay-go/backstay/licensesvc/service"
)

// storeFlags say where events are kept.
type storeFlags struct {
	kind            string
	hosts           []string
	keyspace, local string
	remote          string
	patience        time.Duration
}

func (f storeFlags) check() error {
	switch {
	case f.kind == "sqlite" && (len(f.hosts) > 0 || f.local != "" || f.remote != ""):
		return errors.New("--cassandra, --local-dc and --remote-dc are for --store cassandra")
	case f.kind == "sqlite":
		return nil
	case f.kind != "cassandra":
		return fmt.Errorf("--store %q: there are sqlite and cassandra", f.kind)
	case len(f.hosts) == 0:
		return errors.New("--cassandra is missing: name contact points, such as 10.0.0.1,10.0.0.2")
	case f.remote != "" && (f.local == "" || f.local == f.remote):
		return fmt.Errorf("--remote-dc %s: name another data centre as --local-dc", f.remote)
	case f.patience <= 0:
		return fmt.Errorf("--connect-for %s: give a duration above zero", f.patience)
	}
	return nil
}

// opener is the store that the flags ask for.
func (f storeFlags) opener(data string) service.StoreOpener {
	if f.kind == "sqlite" {
		return service.SQLite{Path: filepath.Join(data, "events.db")}
	}
	return service.Cassandra{Client: client.Config{Hosts: f.hosts, Keyspace: f.keyspace, LocalDC: f.local}, Remote: f.remote, Patience: f.patience}
}

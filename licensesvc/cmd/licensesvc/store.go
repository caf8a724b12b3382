package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	client "github.com/backstay-go/backstay/clients/cassandra"
	"github.com/backstay-go/backstay/licensesvc/service"
)

// storeFlags say where events are stored.
type storeFlags struct {
	kind            string
	hosts           []string
	keyspace, local string
	remote          string
	patience        time.Duration
	keepSchema      bool
}

// addTo adds the flags to a command.
func (f *storeFlags) addTo(c *cobra.Command) {
	c.Flags().StringVar(&f.kind, "store", "sqlite", "where events are kept: sqlite or cassandra")
	c.Flags().StringSliceVar(&f.hosts, "cassandra", nil, "contact points of the Cassandra cluster")
	c.Flags().StringVar(&f.keyspace, "keyspace", "licenses", "keyspace of the events")
	c.Flags().StringVar(&f.local, "local-dc", "", "data centre whose nodes are asked; default: that of the first contact point that answers")
	c.Flags().DurationVar(&f.patience, "connect-for", 30*time.Second, "how long to try to reach Cassandra at the start")
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

// eventsIn returns the path of the event file in a data folder.
func eventsIn(data string) string { return filepath.Join(data, "events.db") }

// usedBefore reports whether a service has already made promises from this data folder. An empty
// store in place of a missing one would answer that nobody has a license.
func usedBefore(data string) bool {
	for _, file := range []string{"journal", "token.key"} {
		if info, err := os.Stat(filepath.Join(data, file)); err == nil && info.Size() > 0 {
			return true
		}
	}
	return false
}

// opener returns the opener of the store that the flags select.
func (f storeFlags) opener(data string) service.StoreOpener {
	if f.kind == "sqlite" {
		return service.SQLite{Path: eventsIn(data), MustExist: usedBefore(data), KeepSchema: f.keepSchema}
	}
	return service.Cassandra{Client: client.Config{Hosts: f.hosts, Keyspace: f.keyspace, LocalDC: f.local}, Remote: f.remote, KeepSchema: f.keepSchema, Patience: f.patience}
}

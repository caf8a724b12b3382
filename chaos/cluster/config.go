package cluster

import (
	"errors"
	"fmt"
	"time"
)

// Version is the version of Cassandra that the nodes run.
const Version = "5.0.6"

// Port is the native protocol port of every node.
const Port = 9042

// maxNodes is the largest number of nodes in a cluster. One node takes about 0.9 GB of memory.
const maxNodes = 6

// Config says which nodes to start.
type Config struct {
	// Nodes is the number of nodes in each data centre, at least 1, and at most 6 in all data
	// centres together. Default: 0, which means 1.
	Nodes int
	// DataCenters is the number of data centres, 1 or 2. They are called dc1 and dc2. Default:
	// 0, which means 1.
	DataCenters int
	// Dir holds the nodes' data, logs and settings. Default: a temporary folder that
	// Close removes.
	Dir string
	// Cache is the folder that keeps Cassandra's jars. Default: "backstay" in the user's cache
	// folder.
	Cache string
	// HeapMB is the heap of each node, in MiB. Default: 0, which means 512.
	HeapMB int
	// StartTimeout ends a start that makes no progress: no node's log has grown for that long.
	// A start that makes progress, for example on a busy machine, may take five times as long
	// in all. Default: 0, which means 3 min.
	StartTimeout time.Duration
	// DiskMB is the size of each node's disk, in MiB, at least 128. Data and commit log are on
	// a tmpfs of that size, so that it can really fill. This needs root; root of a user
	// namespace (unshare -rnm) is enough. Default: 0, which means the machine's disk.
	DiskMB int
	// Namespaces gives each node its own network, so that Cut and Partition work. This needs
	// root, as DiskMB does, and the command ip. The nodes then have addresses in
	// 10.203.0.0/16.
	Namespaces bool
	// Yaml is added to every node's cassandra.yaml, for example to set guardrails. (A
	// guardrail applies only to users that are not superusers, and without authentication
	// every user is a superuser: set "authenticator: PasswordAuthenticator".)
	Yaml string
	_    struct{}
}

// Check returns every problem of the configuration at once.
func (c Config) Check() error {
	var errs []error
	if all := c.Nodes * max(1, c.DataCenters); c.Nodes < 0 || all > maxNodes {
		errs = append(errs, fmt.Errorf("cluster: Nodes is %d in each of %d data centres: give 1 or more, and %d in all at most", c.Nodes, max(1, c.DataCenters), maxNodes))
	}
	if c.DataCenters < 0 || c.DataCenters > 2 {
		errs = append(errs, fmt.Errorf("cluster: DataCenters is %d: give 1 or 2", c.DataCenters))
	}
	if c.HeapMB < 0 || c.HeapMB > 0 && c.HeapMB < 256 {
		errs = append(errs, fmt.Errorf("cluster: HeapMB is %d: give 256 or more, or 0 for 512", c.HeapMB))
	}
	if c.DiskMB < 0 || c.DiskMB > 0 && c.DiskMB < 128 {
		errs = append(errs, fmt.Errorf("cluster: DiskMB is %d: give 128 or more, or 0 for the machine's own disk", c.DiskMB))
	}
	if c.StartTimeout < 0 {
		errs = append(errs, fmt.Errorf("cluster: StartTimeout is %s: give a duration above zero, or 0 for 3 min", c.StartTimeout))
	}
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	if c.Nodes == 0 {
		c.Nodes = 1
	}
	if c.DataCenters == 0 {
		c.DataCenters = 1
	}
	if c.HeapMB == 0 {
		c.HeapMB = 512
	}
	if c.StartTimeout == 0 {
		c.StartTimeout = 3 * time.Minute
	}
	return c
}

var (
	// ErrMissing: the machine lacks something that the nodes need. The error says what it is,
	// and how to get it.
	ErrMissing = errors.New("cluster: missing")
	// ErrState: the node's state does not allow the operation.
	ErrState = errors.New("cluster: wrong state")
)

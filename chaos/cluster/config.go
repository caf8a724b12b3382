package cluster

import (
	"errors"
	"fmt"
	"time"
)

// Version is the Cassandra that is run.
const Version = "5.0.6"

// Port is the native protocol port of every node.
const Port = 9042

// maxNodes is how many nodes a cluster can have: one takes about 0.9 GB of memory.
const maxNodes = 6

// Config says what is started.
type Config struct {
	// Nodes in each data centre, 1 to 6, and 6 in all. Default: 1.
	Nodes int
	// DataCenters, 1 or 2. They are called dc1 and dc2. Default: 1.
	DataCenters int
	// Dir holds the nodes' data, logs and settings. Default: a temporary folder that
	// Close removes.
	Dir string
	// Cache keeps the jars. Default: "backstay" in the user's cache folder.
	Cache string
	// HeapMB is the heap of a node, in MiB. Default: 512.
	HeapMB int
	// StartTimeout ends a start that does not get on: for so long no node's log grew. A
	// start that does, as on a busy machine, may take five times as long in all. Default:
	// 3 min.
	StartTimeout time.Duration
	// DiskMB is the size of each node's disk, in MiB, 128 or more: data and commit log
	// are on a tmpfs of that size, so that it really fills. Needs root, if only that of a
	// user namespace (unshare -rnm). Zero: the machine's own disk.
	DiskMB int
	// Namespaces gives each node a network of its own, so that Cut and Partition work.
	// Needs root as DiskMB does, and the command ip. The nodes then have addresses of 10.203.0.0/16.
	Namespaces bool
	// Yaml is added to every node's cassandra.yaml, for guardrails and the like. (A
	// guardrail holds for users that are no superusers only, and without
	// authentication everybody is one: set "authenticator: PasswordAuthenticator".)
	Yaml string
	_    struct{}
}

// Check returns every problem at once.
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
	// ErrMissing: the machine lacks something that nodes need; the error says what,
	// and how to get it.
	ErrMissing = errors.New("cluster: missing")
	// ErrState: the node is in no state for that.
	ErrState = errors.New("cluster: wrong state")
)

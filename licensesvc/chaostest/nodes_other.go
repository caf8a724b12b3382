//go:build !linux

package chaostest

import (
	"context"
	"errors"

	"github.com/backstay-go/backstay/chaos/scenario"
)

// Nodes is a running Cassandra cluster, which is available on Linux only.
type Nodes struct{}

func (Target) cassandra(context.Context, scenario.Setup, *recorder) (*backend, error) {
	return nil, errors.New("the store cassandra needs Linux, where each node has its own loopback address; use sqlite here")
}

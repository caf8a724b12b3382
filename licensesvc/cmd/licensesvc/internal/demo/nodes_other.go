//go:build !linux

package demo

import (
	"context"
	"errors"
)

// Cassandra needs Linux, where nodes have loopback addresses of their own.
func Cassandra(context.Context, string) (*Backend, error) {
	return nil, errors.New("the demonstration on Cassandra needs Linux; use --store sqlite here")
}

//go:build linux

package cluster

// Token is a node's place on the ring.
var Token = token

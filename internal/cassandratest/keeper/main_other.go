//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "keeper: Cassandra nodes are run on Linux only")
	os.Exit(1)
}

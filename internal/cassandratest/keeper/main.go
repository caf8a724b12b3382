//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/backstay-go/backstay/chaos/cluster"
)

// Usage: keeper FOLDER CACHE PID. PID is the test run's.
func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := keep(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "keeper:", err)
		os.Exit(1)
	}
}

func keep(ctx context.Context, args []string) (err error) {
	if len(args) != 3 {
		return errors.New("usage: keeper FOLDER CACHE PID")
	}
	dir, cache := args[0], args[1]
	run, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	alive, err := os.OpenFile(filepath.Join(dir, "keeper"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	if err := syscall.Flock(int(alive.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return fmt.Errorf("another keeper is there: %w", err)
	}
	// The lock ends when the file is closed, by the garbage collector too, so the file must
	// stay open.
	defer alive.Close()
	c, err := cluster.Start(ctx, cluster.Config{Nodes: 3, Cache: cache})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	state := filepath.Join(dir, "hosts.json")
	b, err := json.Marshal(c.Hosts())
	if err != nil {
		return err
	}
	if err := errors.Join(os.WriteFile(state+".new", b, 0o644), os.Rename(state+".new", state)); err != nil {
		return err
	}
	users, err := os.OpenFile(filepath.Join(dir, "users"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return os.Remove(state)
		case <-tick.C:
		}
		if syscall.Kill(run, 0) == nil {
			continue
		}
		// The lock is held until this process has ended, so that nobody begins to use nodes
		// that are about to end.
		if syscall.Flock(int(users.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			return os.Remove(state)
		}
	}
}

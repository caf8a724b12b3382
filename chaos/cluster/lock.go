//go:build linux

package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// lock waits for the lock of a file. It ends with the process, if not before.
func lock(ctx context.Context, path string) (func(), error) {
	for {
		f, err := tryLock(path)
		if err != nil {
			return nil, err
		}
		if f != nil {
			return func() { _ = f.Close() }, nil // closing unlocks
		}
		timer := time.NewTimer(100 * time.Millisecond)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, fmt.Errorf("cluster: lock %s: %w", path, ctx.Err())
		case <-timer.C:
		}
	}
}

// tryLock returns the locked file, or nil if somebody else has it.
func tryLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("cluster: lock: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err == nil {
		return f, nil
	} else if !errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, errors.Join(fmt.Errorf("cluster: lock %s: %w", path, err), f.Close())
	}
	return nil, f.Close()
}

// block takes a block of loopback addresses, 127.0.N.1 to .254, that no other
// cluster of this user has and nobody listens on.
func block(dir string) (prefix string, release func(), err error) {
	for n := 20; n < 250; n++ {
		f, err := tryLock(filepath.Join(dir, fmt.Sprintf("block-%d", n)))
		if err != nil {
			return "", nil, err
		}
		if f == nil {
			continue
		}
		prefix := fmt.Sprintf("127.0.%d.", n)
		if free(prefix) {
			return prefix, func() { _ = f.Close() }, nil
		}
		_ = f.Close()
	}
	return "", nil, errors.New("cluster: no free block of loopback addresses from 127.0.20 to 127.0.249: end some clusters")
}

func free(prefix string) bool {
	for node := 1; node <= 6; node++ {
		for _, port := range []int{Port, storagePort} {
			l, err := net.Listen("tcp", fmt.Sprintf("%s%d:%d", prefix, node, port))
			if err != nil {
				return false
			}
			_ = l.Close()
		}
	}
	return true
}

// freePort is a port of loopback that nobody listens on.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("cluster: no free port: %w", err)
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

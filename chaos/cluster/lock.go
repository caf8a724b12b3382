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

// block takes a number that no other cluster of this user has, for a block of
// addresses of its own: 127.0.N.0/24 on loopback, where nobody may listen yet.
func block(namespaces bool) (n int, release func() error, err error) {
	dir, err := shared()
	if err != nil {
		return 0, nil, err
	}
	for n := 20; n < 250; n++ {
		f, err := tryLock(filepath.Join(dir, fmt.Sprintf("block-%d", n)))
		if err != nil {
			return 0, nil, err
		}
		if f == nil {
			continue
		}
		if namespaces || free(fmt.Sprintf("127.0.%d.", n)) {
			return n, f.Close, nil
		}
		_ = f.Close()
	}
	return 0, nil, errors.New("cluster: no free block of addresses from 127.0.20 to 127.0.249: end some clusters")
}

// shared is the folder of what clusters of this user agree on.
func shared() (string, error) {
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("backstay-%d", os.Getuid()))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("cluster: %w", err)
	}
	return dir, nil
}

func free(prefix string) bool {
	for node := 1; node <= maxNodes; node++ {
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

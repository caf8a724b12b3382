//go:build linux

package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// folderName begins the names of clusters' temporary folders.
const folderName = "backstay-cluster-"

// ownFolder makes a temporary folder. Whoever holds the lock of its file "owner"
// lives; folders of owners who died without Close are removed first.
func ownFolder(ctx context.Context) (dir string, remove func() error, err error) {
	place, err := shared()
	if err != nil {
		return "", nil, err
	}
	unlock, err := lock(ctx, filepath.Join(place, "folders"))
	if err != nil {
		return "", nil, err
	}
	defer unlock()
	sweep(os.TempDir())
	if dir, err = os.MkdirTemp("", folderName); err != nil {
		return "", nil, fmt.Errorf("cluster: %w", err)
	}
	owner, err := tryLock(filepath.Join(dir, "owner"))
	if err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(dir))
	}
	return dir, func() error { return errors.Join(removeFolder(dir), owner.Close()) }, nil
}

// sweep removes folders whose owner is gone. What can't be removed now (another
// user's, or a process that is just ending) is left to the next sweep.
func sweep(temp string) {
	dirs, _ := filepath.Glob(filepath.Join(temp, folderName+"*"))
	for _, dir := range dirs {
		owner, err := tryLock(filepath.Join(dir, "owner"))
		if err != nil || owner == nil {
			continue
		}
		_ = removeFolder(dir)
		_ = owner.Close()
	}
}

// removeFolder removes a cluster's folder, and the disks mounted in it.
func removeFolder(dir string) error {
	var errs []error
	for _, at := range mounts(dir) {
		if err := syscall.Unmount(at, syscall.MNT_DETACH); err != nil {
			errs = append(errs, fmt.Errorf("cluster: unmount %s: %w", at, err))
		}
	}
	return errors.Join(append(errs, os.RemoveAll(dir))...)
}

// mounts lists what is mounted below a folder.
func mounts(dir string) []string {
	b, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return nil
	}
	var at []string
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 && strings.HasPrefix(f[1], dir+"/") {
			at = append(at, f[1])
		}
	}
	return at
}

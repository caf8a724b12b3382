//go:build unix

package diskwatch

import (
	"fmt"
	"syscall"
)

// Disk returns a function that measures the free bytes on a folder's disk, as an ordinary user
// can use them.
func Disk(dir string) func() (free int64, err error) {
	return func() (int64, error) {
		var s syscall.Statfs_t
		if err := syscall.Statfs(dir, &s); err != nil {
			return 0, fmt.Errorf("%s: %w", dir, err)
		}
		return int64(s.Bavail) * int64(s.Bsize), nil
	}
}

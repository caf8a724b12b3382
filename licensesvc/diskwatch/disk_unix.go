//go:build unix

package diskwatch

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"
)

// Disk returns a function that measures two numbers of bytes: the free space on the folder's disk
// for an ordinary user, and the size of the files in the folder.
func Disk(dir string) func() (free, used int64, err error) {
	return func() (int64, int64, error) {
		var s syscall.Statfs_t
		if err := syscall.Statfs(dir, &s); err != nil {
			return 0, 0, fmt.Errorf("%s: %w", dir, err)
		}
		used, err := size(dir)
		return int64(s.Bavail) * int64(s.Bsize), used, err
	}
}

func size(dir string) (int64, error) {
	var used int64
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			// A file may be deleted between the listing and the measurement.
			return nil
		}
		used += info.Size()
		return nil
	})
	return used, err
}

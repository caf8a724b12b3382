//go:build unix

package journal

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// openLocked opens the file for this process alone. The lock ends with the
// process, however it ends.
func openLocked(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = fmt.Errorf("%w: %s; give each process its own data folder", ErrInUse, path)
		}
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

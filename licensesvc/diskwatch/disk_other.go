//go:build !unix

package diskwatch

import (
	"errors"
	"fmt"
)

// Disk returns a function whose error says that the disk can't be measured on this system.
func Disk(dir string) func() (free int64, err error) {
	return func() (int64, error) {
		return 0, fmt.Errorf("%s: %w on this system", dir, errors.ErrUnsupported)
	}
}

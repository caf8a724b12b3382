//go:build !unix

package diskwatch

import (
	"errors"
	"fmt"
)

// Disk returns a function that says that the disk can't be measured here.
func Disk(dir string) func() (free, used int64, err error) {
	return func() (int64, int64, error) {
		return 0, 0, fmt.Errorf("%s: %w on this system", dir, errors.ErrUnsupported)
	}
}

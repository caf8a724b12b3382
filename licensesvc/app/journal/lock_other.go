//go:build !unix

package journal

import (
	"fmt"
	"os"
)

// openLocked opens the file. Outside Unix nothing keeps a second process away.
func openLocked(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	return file, nil
}

package strictyaml_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/backstay-go/backstay/internal/strictyaml"
)

// TestAHugeFileIsNotReadWhole: no more of it than shows that it is too long.
func TestAHugeFileIsNotReadWhole(t *testing.T) {
	file := filepath.Join(t.TempDir(), "huge.yaml")
	if err := errors.Join(os.WriteFile(file, []byte("name: x\n"), 0o600), os.Truncate(file, 1<<40)); err != nil {
		t.Fatal(err) // the file has holes, and takes no room
	}
	text, err := strictyaml.ReadFile(file)
	if err != nil || len(text) > 2<<20 {
		t.Fatalf("%d bytes, %v", len(text), err)
	}
	if _, err := read(string(text)); err == nil || !strings.Contains(err.Error(), "the file has more than 1024 KiB; a tree has at most that") {
		t.Error(err)
	}
	if _, err := strictyaml.ReadFile(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "must exist and be readable") {
		t.Error(err)
	}
}

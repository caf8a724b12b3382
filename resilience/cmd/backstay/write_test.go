package main

import (
	"io"
	"os"
	"path/filepath"
	"testing"
)

// TestWhatIsNoPlainFileIsWrittenThrough: a link stays a link, and its target has the text;
// a device stays a device.
func TestWhatIsNoPlainFileIsWrittenThrough(t *testing.T) {
	dir := t.TempDir()
	target, link := filepath.Join(dir, "target"), filepath.Join(dir, "link")
	if err := os.WriteFile(target, []byte("something longer than the page"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{link, filepath.Join(dir, "new"), os.DevNull} {
		before, _ := os.Lstat(file)
		if err := writeWhole(file, func(w io.Writer) error { _, err := io.WriteString(w, "page"); return err }); err != nil {
			t.Fatal(err)
		}
		after, err := os.Lstat(file)
		if err != nil || before != nil && before.Mode().Type() != after.Mode().Type() {
			t.Errorf("%s: %v becomes %v, %v", file, before, after, err)
		}
		if text, _ := os.ReadFile(file); file != os.DevNull && string(text) != "page" {
			t.Errorf("%s has %q", file, text)
		}
	}
}

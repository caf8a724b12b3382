//go:build unix

package jaegertest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Two processes that want Jaeger at once: the second waits for the first, and
// gives up with its test.
func TestASecondBuilderWaits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := lock(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := lock(ctx, path); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("a second lock while the first is held: %v", err)
	}
	second := make(chan error, 1)
	go func() {
		unlock, err := lock(t.Context(), path)
		if err == nil {
			unlock()
		}
		second <- err
	}()
	unlock()
	if err := <-second; err != nil {
		t.Fatal(err)
	}
}

func TestAFailedBuildLeavesNothing(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("PATH", t.TempDir()) // no go command
	if _, _, err := build(t.Context(), cache); err == nil {
		t.Fatal("built without a go command")
	}
	left, err := filepath.Glob(filepath.Join(cache, "jaeger-*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range left {
		if info, err := os.Stat(path); err != nil || info.Size() > 0 || info.IsDir() {
			t.Errorf("left behind: %s", path) // but for the lock, which is empty
		}
	}
}

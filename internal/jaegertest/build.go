package jaegertest

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/backstay-go/backstay/internal/testenv"
)

// Version is the version of Jaeger that is built.
const Version = "v1.62.0"

const program = "github.com/jaegertracing/jaeger/cmd/all-in-one"

// These are the files of a module that requires Jaeger. They are kept as text, because the
// hundreds of requirements of a go.mod in the tree would look like requirements of this project.
var (
	//go:embed module/jaeger.mod
	moduleFile []byte
	//go:embed module/jaeger.sum
	moduleSums []byte
	//go:embed module/jaeger.go.txt
	moduleCode []byte
)

// Binary returns the path of the Jaeger program, and builds the program if the cache has none.
// Without a Go command the test ends as testenv.Missing describes.
func Binary(tb testing.TB) string {
	tb.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		testenv.Missing(tb, "the go command, which builds Jaeger: "+err.Error())
	}
	cache, err := testenv.CacheDir()
	if err != nil {
		tb.Fatalf("jaegertest: %v; set BACKSTAY_CACHE to a folder that can be written", err)
	}
	began := time.Now()
	path, built, err := build(tb.Context(), cache)
	if err != nil {
		tb.Fatalf("jaegertest: build Jaeger %s: %v", Version, err)
	}
	if built {
		tb.Logf("jaegertest: built Jaeger %s in %v, kept as %s", Version, time.Since(began).Round(time.Second), path)
	}
	return path
}

// build returns the program's path, and whether the program was built by this call.
func build(ctx context.Context, cache string) (path string, built bool, err error) {
	sum := sha256.New()
	for _, part := range [][]byte{moduleFile, moduleSums, moduleCode} {
		sum.Write(part)
	}
	path = filepath.Join(cache, fmt.Sprintf("jaeger-%s-%s-%s-%s", Version, runtime.GOOS, runtime.GOARCH, hex.EncodeToString(sum.Sum(nil))[:8]))
	if there(path) {
		return path, false, nil
	}
	unlock, err := lock(ctx, path+".lock")
	if err != nil {
		return "", false, err
	}
	defer unlock()
	if there(path) { // another process was faster
		return path, false, nil
	}
	dir, err := os.MkdirTemp(cache, "jaeger-build-")
	if err != nil {
		return "", false, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	for name, content := range map[string][]byte{"go.mod": moduleFile, "go.sum": moduleSums, "module.go": moduleCode} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			return "", false, err
		}
	}
	made := filepath.Join(dir, "all-in-one")
	cmd := exec.CommandContext(ctx, "go", "build", "-p", "2", "-ldflags", "-s -w", "-o", made, program)
	cmd.Dir = dir
	// The flags of the test run (such as -race and -mod) must not apply to Jaeger.
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=readonly", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", false, fmt.Errorf("go build: %w\n%s", err, bytes.TrimSpace(out))
	}
	// Rename makes the file appear complete, because others look for it without holding the lock.
	return path, true, os.Rename(made, path)
}

func there(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

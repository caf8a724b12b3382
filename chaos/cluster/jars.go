//go:build linux

package cluster

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

//go:embed pom.xml
var pom []byte

// Needs returns an error that says what the machine lacks to run nodes, or nil. The error
// matches ErrMissing.
func Needs(cache string) error {
	if _, err := exec.LookPath("java"); err != nil {
		return fmt.Errorf("%w: java 17: install openjdk-17-jre-headless or put java on the path", ErrMissing)
	}
	if dir, err := cacheDir(cache); err == nil {
		if _, err := os.Stat(filepath.Join(dir, "jars", "complete")); err == nil {
			return nil
		}
	}
	if _, err := exec.LookPath("mvn"); err != nil {
		return fmt.Errorf("%w: maven, which fetches Cassandra's jars the first time: install maven or put mvn on the path", ErrMissing)
	}
	return nil
}

func cacheDir(cache string) (string, error) {
	if cache == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("cluster: no cache folder: %w; give Config.Cache", err)
		}
		cache = filepath.Join(user, "backstay")
	}
	return filepath.Join(cache, "cassandra-"+Version), nil
}

// jars returns the folder of the jars, and fetches them the first time. If several processes
// need them at the same time, only one fetches them.
func jars(ctx context.Context, cache string) (string, error) {
	if err := Needs(cache); err != nil {
		return "", err
	}
	dir, err := cacheDir(cache)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("cluster: cache: %w", err)
	}
	unlock, err := lock(ctx, filepath.Join(dir, "lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	done := filepath.Join(dir, "jars")
	if _, err := os.Stat(filepath.Join(done, "complete")); err == nil {
		return done, nil
	}
	// A process that was killed while it fetched left a folder behind. This process has the
	// lock, so nobody is fetching now.
	old, _ := filepath.Glob(filepath.Join(dir, "fetch-*"))
	for _, o := range old {
		if err := os.RemoveAll(o); err != nil {
			return "", fmt.Errorf("cluster: cache: %w", err)
		}
	}
	making, err := os.MkdirTemp(dir, "fetch-")
	if err != nil {
		return "", fmt.Errorf("cluster: cache: %w", err)
	}
	defer os.RemoveAll(making)
	if err := os.WriteFile(filepath.Join(making, "pom.xml"), pom, 0o644); err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory="+filepath.Join(making, "jars"))
	cmd.Dir = making
	// The kernel ends the process when the thread that started it ends.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("cluster: fetch the jars of Cassandra %s: mvn: %w\n%s", Version, err, tail(string(out)))
	}
	if err := os.WriteFile(filepath.Join(making, "jars", "complete"), nil, 0o644); err != nil {
		return "", err
	}
	return done, errors.Join(os.RemoveAll(done), os.Rename(filepath.Join(making, "jars"), done))
}

// tail returns the end of a text, which is where programs say what went wrong.
func tail(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-15):], "\n")
}

package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Python returns the folder of a Python environment with the packages, each as NAME==VERSION.
// It is made in the test cache if necessary, and kept. If that is not possible, the test ends
// as with Missing.
func Python(tb testing.TB, packages ...string) string {
	tb.Helper()
	NotShort(tb, "it installs Python packages")
	if _, err := exec.LookPath("python3"); err != nil {
		Missing(tb, "python3 with venv: apt-get install python3-venv")
	}
	dir, err := installPython(tb.Context(), packages)
	if err != nil {
		Missing(tb, fmt.Sprintf("the Python packages %s: %v", strings.Join(packages, ", "), err))
	}
	return dir
}

func installPython(ctx context.Context, packages []string) (string, error) {
	cache, err := CacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "python-"+strings.Join(packages, "-"))
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	// It is made in another folder and moved when it is complete, because another process may
	// be making it too.
	making, err := os.MkdirTemp(cache, "python-making-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(making)
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	env := filepath.Join(making, "env")
	for _, args := range [][]string{
		{"python3", "-m", "venv", env},
		append([]string{filepath.Join(env, "bin", "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"}, packages...),
	} {
		if out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput(); err != nil {
			return "", fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, out)
		}
	}
	if err := os.Rename(env, dir); err != nil {
		if _, there := os.Stat(dir); there != nil {
			return "", errors.Join(err, there)
		}
	}
	return dir, nil
}

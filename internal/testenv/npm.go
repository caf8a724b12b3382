package testenv

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// NPM returns a file of an npm package, which is given as NAME@VERSION. The package is fetched
// into the test cache if necessary, and kept; nothing in it is run. If that is not possible, the
// test ends as with Missing.
func NPM(tb testing.TB, pkg, file string) string {
	tb.Helper()
	NotShort(tb, "it fetches an npm package")
	text, err := npmFile(tb.Context(), pkg, file)
	if err != nil {
		Missing(tb, fmt.Sprintf("%s of the npm package %s: %v", file, pkg, err))
	}
	return text
}

func npmFile(ctx context.Context, pkg, file string) (string, error) {
	cache, err := CacheDir()
	if err != nil {
		return "", err
	}
	kept := filepath.Join(cache, "npm-"+pkg+".tgz")
	if _, err := os.Stat(kept); err != nil {
		if err := npmPack(ctx, cache, pkg, kept); err != nil {
			return "", err
		}
	}
	return fileOf(kept, path.Join("package", file))
}

// npmPack fetches a package into another folder first, because another process may be fetching it
// too.
func npmPack(ctx context.Context, cache, pkg, kept string) error {
	fetching, err := os.MkdirTemp(cache, "npm-fetching-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(fetching)
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, "npm", "pack", "--silent", "--pack-destination", fetching, pkg).CombinedOutput(); err != nil {
		return fmt.Errorf("npm pack %s: %w\n%s", pkg, err, strings.TrimSpace(string(out)))
	}
	found, err := filepath.Glob(filepath.Join(fetching, "*.tgz"))
	if err != nil || len(found) != 1 {
		return errors.Join(err, fmt.Errorf("npm pack %s made %d files", pkg, len(found)))
	}
	return os.Rename(found[0], kept)
}

func fileOf(archive, name string) (string, error) {
	f, err := os.Open(archive)
	if err != nil {
		return "", err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return "", err
	}
	for t := tar.NewReader(z); ; {
		h, err := t.Next()
		if err != nil {
			return "", fmt.Errorf("%s in %s: %w", name, archive, err)
		}
		if h.Name == name {
			text, err := io.ReadAll(t)
			return string(text), err
		}
	}
}

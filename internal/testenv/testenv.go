package testenv

import (
	"os"
	"path/filepath"
	"testing"
)

// CI reports whether the tests run in an environment in which no test may be skipped.
func CI() bool { return os.Getenv("CI") == "true" }

// Missing ends the test because the machine lacks something. With CI=true the test fails;
// otherwise it is skipped. what names the missing thing and says how to get it, for example
// "java 17: apt-get install openjdk-17-jdk-headless".
func Missing(tb testing.TB, what string) {
	tb.Helper()
	if CI() {
		tb.Fatalf("CI=true, and this machine lacks %s", what)
	}
	tb.Skipf("skipped: this machine lacks %s", what)
}

// NotShort skips the test in runs with -short. why says what takes long.
func NotShort(tb testing.TB, why string) {
	tb.Helper()
	if testing.Short() {
		tb.Skipf("left out by -short: %s", why)
	}
}

// CacheDir returns the folder, which it makes if necessary, for things that are expensive to
// fetch or build and are kept between runs, such as jars and a built Jaeger. It is the value of
// BACKSTAY_CACHE if that is set, and otherwise "backstay" in the user's cache folder.
func CacheDir() (string, error) {
	dir := os.Getenv("BACKSTAY_CACHE")
	if dir == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", err
		}
		dir = filepath.Join(user, "backstay")
	}
	return dir, os.MkdirAll(dir, 0o755)
}

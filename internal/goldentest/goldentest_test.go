package goldentest_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/backstay-go/backstay/internal/goldentest"
)

// outcome is a test that notes that it failed.
type outcome struct {
	testing.TB
	failed bool
}

func (o *outcome) Errorf(string, ...any) { o.failed = true }

func TestEqual(t *testing.T) {
	file := filepath.Join(t.TempDir(), "testdata", "a.txt")
	t.Setenv("UPDATE_GOLDEN", "1")
	goldentest.Equal(t, file, "one\n")
	t.Setenv("UPDATE_GOLDEN", "")
	for got, fails := range map[string]bool{"one\n": false, "two\n": true, "one": true} {
		o := &outcome{TB: t}
		goldentest.Equal(o, file, got)
		if o.failed != fails {
			t.Errorf("%q failed: %t", got, o.failed)
		}
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "one\n" {
		t.Errorf("%q, %v", text, err)
	}
}

func TestTail(t *testing.T) {
	file := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(file, []byte("by hand\n<!-- mark -->\nold\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("UPDATE_GOLDEN", "1")
	goldentest.Tail(t, file, "mark -->\n", "new\n")
	t.Setenv("UPDATE_GOLDEN", "")
	if text, err := os.ReadFile(file); err != nil || string(text) != "by hand\n<!-- mark -->\nnew\n" {
		t.Errorf("%q, %v", text, err)
	}
	o := &outcome{TB: t}
	if goldentest.Tail(o, file, "mark -->\n", "other\n"); !o.failed {
		t.Error("another tail passes")
	}
}

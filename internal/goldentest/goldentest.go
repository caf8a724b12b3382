package goldentest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Equal fails the test if the file does not contain exactly got. With UPDATE_GOLDEN=1 it writes
// the file, and the folder if that is missing.
func Equal(t testing.TB, file, got string) {
	t.Helper()
	if want := Want(t, file, got); got != want {
		t.Errorf("%s differs; if it is meant: UPDATE_GOLDEN=1 go test in this folder, and read the diff\n--- have\n%s\n--- want\n%s", file, got, want)
	}
}

// Tail holds the part of a page that is made from the code: everything after the line that ends
// with mark. What stands before it is written by hand, and is kept.
func Tail(t testing.TB, file, mark, got string) {
	t.Helper()
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, _, ok := strings.Cut(string(page), mark)
	if !ok {
		t.Fatalf("%s has no line that ends with %q", file, mark)
	}
	Equal(t, file, head+mark+got)
}

// Want returns what the file contains, for tests that compare in another way. With
// UPDATE_GOLDEN=1 it first writes got to the file, as Equal does.
func Want(t testing.TB, file, got string) string {
	t.Helper()
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return got
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v: make it with UPDATE_GOLDEN=1 go test in this folder", err)
	}
	return string(want)
}

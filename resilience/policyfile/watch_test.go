package policyfile_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/backstay-go/backstay/resilience"
	"github.com/backstay-go/backstay/resilience/policyfile"
)

// watched is a set that watches its file, in a separate folder.
type watched struct {
	*testing.T
	folder, file string
	set          *policyfile.Set
	catalog      *resilience.Guard
	reported     chan error
}

// patience is how long a change may take to be seen on a busy machine.
const patience = 30 * time.Second

// watch opens what is at file in the folder. prepare makes it.
func watch(t *testing.T, file string, prepare func(folder string)) *watched {
	t.Helper()
	w := &watched{T: t, folder: t.TempDir(), reported: make(chan error, 1000)}
	w.file = filepath.Join(w.folder, file)
	prepare(w.folder)
	set, err := policyfile.Open(w.file, policyfile.Config{})
	if err != nil {
		t.Fatal(err)
	}
	w.set = set
	if w.catalog, err = set.Guard("catalog"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- set.Watch(ctx, func(_ []policyfile.Problem, err error) { w.reported <- err }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("watch ended with %v", err)
		}
		if err := set.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

func limited(limit int) string {
	return strings.Replace(good, "bulkhead: {limit: 8}", "bulkhead: {limit: "+strconv.Itoa(limit)+"}", 1)
}

func (w *watched) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *watched) write(name, text string) {
	w.Helper()
	w.must(os.WriteFile(filepath.Join(w.folder, name), []byte(text), 0o600))
}

// replace puts a text in the file's place in one step.
func (w *watched) replace(text string) {
	w.Helper()
	w.write("new", text)
	w.must(os.Rename(filepath.Join(w.folder, "new"), w.file))
}

// link makes a symbolic link again in one step.
func (w *watched) link(to, name string) {
	w.Helper()
	w.must(os.Symlink(to, filepath.Join(w.folder, "link")))
	w.must(os.Rename(filepath.Join(w.folder, "link"), filepath.Join(w.folder, name)))
}

// next returns the next report.
func (w *watched) next() error {
	w.Helper()
	select {
	case err := <-w.reported:
		return err
	case <-time.After(patience):
		w.Fatalf("nothing was reported within %v", patience)
		return nil
	}
}

// takes waits for a reload after which the limit is the given one. Reloads before it
// may have seen a state in between.
func (w *watched) takes(limit int) {
	w.Helper()
	for {
		if err := w.next(); err == nil && w.catalog.Snapshot().Limit == limit {
			return
		}
	}
}

func plain(text string) func(string) {
	return func(folder string) {
		if err := os.WriteFile(filepath.Join(folder, "policies.yaml"), []byte(text), 0o600); err != nil {
			panic(err)
		}
	}
}

func TestAReplacedFileIsTaken(t *testing.T) {
	w := watch(t, "policies.yaml", plain(limited(8)))
	for limit := 9; limit < 12; limit++ {
		w.replace(limited(limit))
		w.takes(limit)
	}
	if _, err := w.set.Guard("billing"); err == nil || !strings.Contains(err.Error(), "catalog, membership") {
		t.Errorf("no such guard: %v", err)
	}
	w.replace(limited(12) + "  keys:\n    bulkhead: {limit: 1}\n    default: {timeout: 1s}\n")
	w.takes(12)
	if _, err := w.set.Guard("keys"); err != nil {
		t.Error(err)
	}
}

func TestARefusedFileKeepsTheOld(t *testing.T) {
	w := watch(t, "policies.yaml", plain(limited(8)))
	w.replace(limited(-1))
	if err := w.next(); !errors.Is(err, policyfile.ErrFile) || !strings.Contains(err.Error(), "policies.yaml:14:16: error: guards.catalog.bulkhead.limit: is -1") {
		t.Errorf("want ErrFile with its place, got %v", err)
	}
	gone, _, _ := strings.Cut(good, "  catalog:")
	w.replace(gone)
	if err := w.next(); err == nil || !strings.Contains(err.Error(), "guards.catalog: is in use") {
		t.Errorf("a guard that is missing: %v", err)
	}
	if got := w.catalog.Snapshot().Limit; got != 8 {
		t.Errorf("a bad file changed the limit to %d", got)
	}
	w.replace(limited(9))
	w.takes(9)
}

// TestAFileInAConfigMap: Kubernetes swaps a link to a folder that the file's link goes through.
func TestAFileInAConfigMap(t *testing.T) {
	mount := func(folder, version string, limit int) {
		if err := errors.Join(os.Mkdir(filepath.Join(folder, version), 0o700),
			os.WriteFile(filepath.Join(folder, version, "policies.yaml"), []byte(limited(limit)), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	w := watch(t, "policies.yaml", func(folder string) {
		mount(folder, "..v1", 8)
		if err := errors.Join(os.Symlink("..v1", filepath.Join(folder, "..data")),
			os.Symlink(filepath.Join("..data", "policies.yaml"), filepath.Join(folder, "policies.yaml"))); err != nil {
			t.Fatal(err)
		}
	})
	mount(w.folder, "..v2", 9)
	w.link("..v2", "..data")
	w.must(os.RemoveAll(filepath.Join(w.folder, "..v1")))
	w.takes(9)
}

// TestALinkFurtherUp is swapped in a folder that is not watched.
func TestALinkFurtherUp(t *testing.T) {
	w := watch(t, "current/policies.yaml", func(folder string) {
		for i, version := range []string{"r1", "r2"} {
			if err := errors.Join(os.Mkdir(filepath.Join(folder, version), 0o700),
				os.WriteFile(filepath.Join(folder, version, "policies.yaml"), []byte(limited(8+i)), 0o600)); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Symlink("r1", filepath.Join(folder, "current")); err != nil {
			t.Fatal(err)
		}
	})
	w.link("r2", "current")
	w.takes(9)
}

func TestAFileThatGoesAndComesBack(t *testing.T) {
	w := watch(t, "policies.yaml", plain(limited(8)))
	w.must(os.Remove(w.file))
	if err := w.next(); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "must exist") {
		t.Errorf("a missing file: %v", err)
	}
	if got := w.catalog.Snapshot().Limit; got != 8 {
		t.Errorf("limit %d", got)
	}
	w.write("policies.yaml", limited(9))
	w.takes(9)
}

// TestAFileWrittenInParts is read when it is whole: no part of it is taken, although
// some would be a file by themselves.
func TestAFileWrittenInParts(t *testing.T) {
	w := watch(t, "policies.yaml", plain(limited(8)))
	text := limited(9)
	f, err := os.Create(w.file)
	w.must(err)
	for part := range strings.Lines(text) {
		_, err := f.WriteString(part)
		w.must(err)
	}
	w.must(f.Close())
	w.takes(9)
	if n := len(w.catalog.Policy().Operations) + len(w.reported); n != 0 {
		t.Errorf("%d reloads too many", n)
	}
}

// TestABurstIsOneChange, and what is not about the file is none.
func TestABurstIsOneChange(t *testing.T) {
	w := watch(t, "policies.yaml", plain(limited(8)))
	for limit := 9; limit <= 40; limit++ {
		w.write("other.yaml", "no policies")
		w.replace(limited(limit))
	}
	w.takes(40)
	// A machine that is slow may see the burst as a few; the file as it is now is none.
	if n := len(w.reported); n > 0 {
		t.Errorf("%d reloads after the last change was taken", n)
	}
	w.write("other.yaml", "still none")
	w.write("policies.yaml", limited(40))
	w.replace(limited(41))
	w.takes(41)
}

// TestAChangeBeforeTheWatchBeginsIsSeen: a Set knows what it has read.
func TestAChangeBeforeTheWatchBeginsIsSeen(t *testing.T) {
	file := filepath.Join(t.TempDir(), "policies.yaml")
	plain(limited(8))(filepath.Dir(file))
	set, err := policyfile.Open(file, policyfile.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	plain(limited(9))(filepath.Dir(file))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	reported := make(chan error, 10)
	if err := set.Watch(ctx, func(_ []policyfile.Problem, err error) { reported <- err; cancel() }); !errors.Is(err, context.Canceled) {
		t.Fatalf("watch ended with %v: the change was not seen", err)
	}
	if catalog, err := set.Guard("catalog"); err != nil || catalog.Snapshot().Limit != 9 || <-reported != nil {
		t.Errorf("%v", err)
	}
}

func TestOverridesStayWithTheSet(t *testing.T) {
	file := filepath.Join(t.TempDir(), "policies.yaml")
	plain(limited(8))(filepath.Dir(file))
	set, err := policyfile.Open(file, policyfile.Config{Environ: []string{"BACKSTAY_POLICY_CATALOG_BULKHEAD_LIMIT=3"}})
	if err != nil {
		t.Fatal(err)
	}
	plain(limited(9))(filepath.Dir(file))
	if _, err := set.Reload(); err != nil {
		t.Fatal(err)
	}
	if catalog, err := set.Guard("catalog"); err != nil || catalog.Snapshot().Limit != 3 {
		t.Errorf("limit is not the variable's: %v", err)
	}
	if err := set.Close(); err != nil {
		t.Error(err)
	}
	plain(strings.TrimRight(limited(9), "\n") + "\n  another: {bulkhead: {limit: 1}, default: {timeout: 1s}}\n")(filepath.Dir(file))
	if _, err := set.Reload(); !errors.Is(err, resilience.ErrClosed) {
		t.Errorf("a closed set: %v", err)
	}
	if g, err := set.Guard("another"); err == nil {
		t.Errorf("a closed set made %q, which nobody closes", g.Policy().Name)
	}
}

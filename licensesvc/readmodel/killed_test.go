package readmodel

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/backstay-go/backstay/licensesvc/eventstore/sqlite"
)

// TestKilledAtRandomAndRebuilt: whatever ends a process, and whenever, the views are those that one
// undisturbed run makes: nothing lost, nothing counted twice (Marten#3690). A process that was taken
// over at a random moment, and ends later, is one that was killed then, for all that it still writes
// is refused.
func TestKilledAtRandomAndRebuilt(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w, dir := newWorld(t), t.TempDir()
		r := rand.New(rand.NewPCG(uint64(rapid.Int64().Draw(rt, "seed")), 1))
		var all []*running
		m := openModels(t, w.store, dir)
		all = append(all, m)
		for range rapid.IntRange(2, 8).Draw(rt, "steps") {
			for range rapid.IntRange(0, 30).Draw(rt, "events") {
				w.life(r, fmt.Sprintf("member-%d", r.IntN(6)))
			}
			switch rapid.SampledFrom([]string{"go on", "restart", "taken over", "rebuild", "cancel", "back"}).Draw(rt, "then") {
			case "restart":
				m.stop()
				m = openModels(t, w.store, dir)
				all = append(all, m)
			case "taken over":
				m = openModels(t, w.store, dir)
				all = append(all, m)
			case "rebuild":
				ask(t, dir, rapid.SampledFrom([]string{LicensesName, UseName, PromisesName}).Draw(rt, "model"), Rebuild)
			case "cancel":
				ask(t, dir, rapid.SampledFrom([]string{LicensesName, UseName, PromisesName}).Draw(rt, "model"), Cancel)
			case "back":
				ask(t, dir, rapid.SampledFrom([]string{LicensesName, UseName, PromisesName}).Draw(rt, "model"), Back)
			}
		}
		w.caughtUp(m.Models)
		fresh := openModels(t, w.store, t.TempDir())
		w.caughtUp(fresh.Models)
		equalViews(t, m.Models, fresh.Models)
		fresh.stop()
		for _, one := range all {
			one.stop()
		}
		if err := w.store.Close(); err != nil {
			rt.Fatal(err)
		}
	})
}

// ask asks like an operator. That there is nothing to do is no error here.
func ask(t *testing.T, dir, model, what string) {
	t.Helper()
	op, err := OpenOperator(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	_ = op.Ask(t.Context(), model, what)
	if err := op.Close(); err != nil {
		t.Error(err)
	}
}

// childDir names the folder in which a child process works until it is killed.
const childDir = "READMODEL_TEST_DIR"

// TestChild is the child process of TestSIGKILL.
func TestChild(t *testing.T) {
	dir := os.Getenv(childDir)
	if dir == "" {
		return
	}
	s, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(dir, "events.db")})
	if err != nil {
		t.Fatal(err)
	}
	m, err := Open(t.Context(), Config{Dir: filepath.Join(dir, "views"), Store: s, Poll: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Run(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
}

// TestSIGKILL kills real processes while they build the views.
func TestSIGKILL(t *testing.T) {
	w := newWorld(t)
	dir := filepath.Dir(w.path)
	r := rand.New(rand.NewPCG(5, 6))
	for range 3000 {
		w.life(r, fmt.Sprintf("member-%d", r.IntN(100)))
	}
	if err := w.store.Close(); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		ctx, cancel := context.WithCancel(t.Context())
		cmd := exec.CommandContext(ctx, self, "-test.run", "^TestChild$") // Killed by SIGKILL when ctx ends.
		cmd.Env = append(os.Environ(), childDir+"="+dir)
		var out strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// It is killed at different stages: as the log appears, or when it has grown.
		eventually(t, fmt.Sprintf("child %d works", i), func() bool {
			files, err := filepath.Glob(filepath.Join(dir, "views", "licenses.v1.*.db-wal"))
			if err != nil || len(files) == 0 {
				return false
			}
			info, err := os.Stat(files[0])
			return err == nil && info.Size() >= int64(i)*32_000
		})
		cancel()
		var exit *exec.ExitError
		if err := cmd.Wait(); !errors.As(err, &exit) {
			t.Fatalf("the child ended by itself: %v\n%s", err, out.String())
		}
	}
	w.open()
	m := openModels(t, w.store, filepath.Join(dir, "views"))
	w.caughtUp(m.Models)
	equalViews(t, m.Models, openCaughtUp(t, w))
}

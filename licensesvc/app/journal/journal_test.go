package journal_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/backstay-go/backstay/licensesvc/app/journal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func open(t testing.TB, path string) *journal.Journal {
	t.Helper()
	j, err := journal.Open(journal.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := j.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return j
}

func put(t testing.TB, j *journal.Journal, id, data string, at int) {
	t.Helper()
	if err := j.Put(context.Background(), journal.Entry{ID: id, Put: epoch.Add(time.Duration(at)), Data: []byte(data)}); err != nil {
		t.Fatal(err)
	}
}

func ids(j *journal.Journal) string {
	var s []string
	for _, e := range j.Pending() {
		s = append(s, e.ID+"="+string(e.Data))
	}
	return strings.Join(s, " ")
}

func TestEntriesPendUntilDone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j := open(t, path)
	put(t, j, "b", "2", 2)
	put(t, j, "a", "1", 1)
	put(t, j, "c", "3", 3)
	put(t, j, "b", "4", 2)
	if err := j.Done(t.Context(), "c"); err != nil {
		t.Fatal(err)
	}
	if err := j.Done(t.Context(), "never put"); err != nil {
		t.Fatal(err)
	}
	if got := ids(j); got != "a=1 b=4" {
		t.Errorf("pending: %s", got)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if err := j.Put(t.Context(), journal.Entry{ID: "d"}); !errors.Is(err, journal.ErrClosed) {
		t.Errorf("put into a closed journal: %v", err)
	}
	if got := ids(open(t, path)); got != "a=1 b=4" {
		t.Errorf("pending after reopening: %s", got)
	}
}

// TestATornTailIsCutOff cuts the file at every byte: what was whole before the cut
// is there, nothing else is, and the journal goes on.
func TestATornTailIsCutOff(t *testing.T) {
	dir := t.TempDir()
	j := open(t, filepath.Join(dir, "whole"))
	var sizes []int64
	for i := range 4 {
		put(t, j, fmt.Sprint(i), "data", i)
		info, err := os.Stat(filepath.Join(dir, "whole"))
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, info.Size())
	}
	whole, err := os.ReadFile(filepath.Join(dir, "whole"))
	if err != nil {
		t.Fatal(err)
	}
	for cut := range whole {
		for _, tail := range [][]byte{nil, make([]byte, 64)} {
			if cut < 8 && tail != nil {
				continue
			}
			path := filepath.Join(dir, "cut")
			if err := os.WriteFile(path, append(bytes.Clone(whole[:cut]), tail...), 0o600); err != nil {
				t.Fatal(err)
			}
			want := 0
			for _, size := range sizes {
				if int64(cut) >= size {
					want++
				}
			}
			cutOne, err := journal.Open(journal.Config{Path: path})
			if err != nil {
				// A record cut short with zeros after it can't be distinguished from a changed
				// one; only whole zeros at the end are certain to be a torn tail.
				if tail != nil && errors.Is(err, journal.ErrDamaged) {
					continue
				}
				t.Fatalf("cut at %d, %d zeros after it: %v", cut, len(tail), err)
			}
			if cutOne.Len() != want {
				t.Errorf("cut at %d: %d entries, want %d", cut, cutOne.Len(), want)
			}
			put(t, cutOne, "after", "x", 9)
			if err := cutOne.Close(); err != nil {
				t.Fatal(err)
			}
			again, err := journal.Open(journal.Config{Path: path})
			if err != nil {
				t.Fatalf("cut at %d, second opening: %v", cut, err)
			}
			if again.Len() != want+1 {
				t.Errorf("cut at %d: %d entries after going on, want %d", cut, again.Len(), want+1)
			}
			if err := again.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestDamageIsNeverSkipped changes every byte but those of the last record: Open
// refuses and says where, or the change made no difference to what is pending.
func TestDamageIsNeverSkipped(t *testing.T) {
	dir := t.TempDir()
	j := open(t, filepath.Join(dir, "whole"))
	var last int64
	for i := range 3 {
		info, err := os.Stat(filepath.Join(dir, "whole"))
		if err != nil {
			t.Fatal(err)
		}
		last = info.Size()
		put(t, j, fmt.Sprint(i), "data", i)
	}
	whole, err := os.ReadFile(filepath.Join(dir, "whole"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range last {
		path := filepath.Join(dir, "changed")
		b := bytes.Clone(whole)
		b[i] ^= 0x41
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		changed, err := journal.Open(journal.Config{Path: path})
		if err == nil {
			t.Errorf("byte %d changed: opened with %s", i, ids(changed))
			if err := changed.Close(); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if !errors.Is(err, journal.ErrDamaged) || !strings.Contains(err.Error(), "at byte") || !strings.Contains(err.Error(), "backup") {
			t.Fatalf("byte %d changed: %v", i, err)
		}
		if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, b) {
			t.Fatalf("byte %d: the damaged file was changed further", i)
		}
	}
}

func TestOneProcessHoldsAJournal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	open(t, path)
	if _, err := journal.Open(journal.Config{Path: path}); !errors.Is(err, journal.ErrInUse) {
		t.Errorf("opened twice: %v", err)
	}
}

func TestAFullJournalRefusesWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j, err := journal.Open(journal.Config{Path: path, MaxBytes: 2000})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for ; ; n++ {
		err = j.Put(t.Context(), journal.Entry{ID: fmt.Sprint(n), Data: make([]byte, 100)})
		if err != nil {
			break
		}
	}
	if !errors.Is(err, journal.ErrFull) || j.Len() != n || n < 5 {
		t.Errorf("%d entries, then %v; pending %d", n, err, j.Len())
	}
	if err := j.Done(t.Context(), "0"); err != nil {
		t.Errorf("a full journal must still end entries: %v", err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := journal.Open(journal.Config{Path: path, MaxBytes: -1}); err == nil {
		t.Error("a negative bound was taken")
	}
	if _, err := journal.Open(journal.Config{}); err == nil {
		t.Error("no path was taken")
	}
	if _, err := journal.Open(journal.Config{Path: filepath.Join(path, "below")}); err == nil {
		t.Error("a folder that is not there was taken")
	}
}

// TestAJournalOfDoneEntriesStaysSmall also reopens it, so that the file that took
// the place of the old one is seen to hold what is pending.
func TestAJournalOfDoneEntriesStaysSmall(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j := open(t, path)
	put(t, j, "kept", "for long", 1)
	for i := range 60 {
		put(t, j, fmt.Sprint(i), strings.Repeat("x", 50_000), i+2)
		if err := j.Done(t.Context(), fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Size() > 2<<20 {
		t.Errorf("%d bytes for one pending entry, %v", info.Size(), err)
	}
	if _, err := journal.Open(journal.Config{Path: path}); !errors.Is(err, journal.ErrInUse) {
		t.Errorf("the new file is not held: %v", err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if got := ids(open(t, path)); got != "kept=for long" {
		t.Errorf("pending: %s", got)
	}
}

func TestConcurrentSafe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j := open(t, path)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 50 {
				id := fmt.Sprintf("%d-%d", w, i)
				if err := j.Put(context.Background(), journal.Entry{ID: id, Data: []byte(id)}); err != nil {
					t.Error(err)
				}
				if i%2 == 0 {
					if err := j.Done(context.Background(), id); err != nil {
						t.Error(err)
					}
				}
				j.Pending()
			}
		})
	}
	wg.Wait()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if n := open(t, path).Len(); n != 200 {
		t.Errorf("%d pending, want 200", n)
	}
}

func TestPutWithAContextThatEnded(t *testing.T) {
	j := open(t, filepath.Join(t.TempDir(), "journal"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 {
		// Either the wait ended, or the entry is there: never an error of another kind.
		if err := j.Put(ctx, journal.Entry{ID: "x"}); err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
}

func TestJournalAgainstAMap(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "j")
		if err != nil {
			rt.Fatal(err)
		}
		path := filepath.Join(dir, "journal")
		j, err := journal.Open(journal.Config{Path: path})
		if err != nil {
			rt.Fatal(err)
		}
		model := map[string]string{}
		id := rapid.SampledFrom([]string{"a", "b", "c", "d"})
		rt.Repeat(map[string]func(*rapid.T){
			"put": func(rt *rapid.T) {
				k, v := id.Draw(rt, "id"), rapid.String().Draw(rt, "data")
				if err := j.Put(context.Background(), journal.Entry{ID: k, Data: []byte(v)}); err != nil {
					rt.Fatal(err)
				}
				model[k] = v
			},
			"done": func(rt *rapid.T) {
				k := id.Draw(rt, "id")
				if err := j.Done(context.Background(), k); err != nil {
					rt.Fatal(err)
				}
				delete(model, k)
			},
			"reopen": func(rt *rapid.T) {
				if err := j.Close(); err != nil {
					rt.Fatal(err)
				}
				if j, err = journal.Open(journal.Config{Path: path}); err != nil {
					rt.Fatal(err)
				}
			},
			"": func(rt *rapid.T) {
				if j.Len() != len(model) {
					rt.Fatalf("%d pending, want %d", j.Len(), len(model))
				}
				for k, v := range model {
					if e, ok := j.Get(k); !ok || string(e.Data) != v {
						rt.Fatalf("%s: %v %q, want %q", k, ok, e.Data, v)
					}
				}
			},
		})
		if err := j.Close(); err != nil {
			rt.Fatal(err)
		}
	})
}

func FuzzOpen(f *testing.F) {
	path := filepath.Join(f.TempDir(), "seed")
	j, err := journal.Open(journal.Config{Path: path})
	if err != nil {
		f.Fatal(err)
	}
	put(f, j, "a", "1", 1)
	if err := j.Close(); err != nil {
		f.Fatal(err)
	}
	seed, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add([]byte{})
	f.Add([]byte("BSJRNL1\n\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(t.TempDir(), "journal")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		j, err := journal.Open(journal.Config{Path: path})
		if err != nil {
			return
		}
		defer j.Close()
		if err := j.Put(context.Background(), journal.Entry{ID: "x"}); err != nil {
			t.Fatal(err)
		}
	})
}

package record_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backstay-go/backstay/resilience"
	"github.com/backstay-go/backstay/resilience/record"
)

const head = "backstay-record 1 2026-11-23T20:00:00Z\n"

// tell makes a call as a guard would tell of it.
func tell(w *record.Writer, dependency string) {
	ctx := w.Handle(context.Background(), resilience.Event{Kind: resilience.CallStarted, Dependency: dependency, Operation: "default"})
	w.Handle(ctx, resilience.Event{Kind: resilience.CallEnded, Dependency: dependency, Operation: "default", Took: time.Millisecond})
}

func write(t *testing.T, w io.Writer, dependency string, calls int) {
	t.Helper()
	rec, err := record.NewWriter(w, record.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for range calls {
		tell(rec, dependency)
	}
	if err := rec.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestARecordGoesOnAfterARestart, and several processes may write one file.
func TestARecordGoesOnAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var file bytes.Buffer
		write(t, &file, "first", 3)
		time.Sleep(time.Hour)
		write(t, &file, "second", 2)
		rec, err := record.ReadAll(&file)
		if err != nil || len(rec.Calls) != 5 {
			t.Fatalf("%d calls, %v", len(rec.Calls), err)
		}
		if last := rec.Calls[4]; last.Dependency != "second" || last.Start < time.Hour {
			t.Errorf("%+v", last)
		}
	})
}

// TestTwoWritersShareAFile: their chunks come by turns, and each counts from its own time.
func TestTwoWritersShareAFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var file bytes.Buffer
		first, err := record.NewWriter(&file, record.Options{})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		second, err := record.NewWriter(&file, record.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			for _, w := range []*record.Writer{first, second} {
				tell(w, "dep")
				if err := w.Flush(); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(time.Minute)
		}
		if err := errors.Join(first.Close(), second.Close()); err != nil {
			t.Fatal(err)
		}
		rec, err := record.ReadAll(&file)
		if err != nil || len(rec.Calls) != 6 {
			t.Fatalf("%d calls, %v", len(rec.Calls), err)
		}
		for i, c := range rec.Calls {
			if want := time.Duration(i/2+1) * time.Minute; c.Start != want {
				t.Errorf("call %d starts at %v, want %v", i, c.Start, want)
			}
		}
	})
}

// TestAFileThatWasEmptiedIsARecord: logrotate's copytruncate takes what was written away,
// and the writer goes on at the end or, without O_APPEND, at its old place.
func TestAFileThatWasEmptiedIsARecord(t *testing.T) {
	for _, flags := range []int{os.O_APPEND, 0} {
		f, err := os.OpenFile(filepath.Join(t.TempDir(), "record"), os.O_CREATE|os.O_RDWR|flags, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		w, err := record.NewWriter(f, record.Options{})
		if err != nil {
			t.Fatal(err)
		}
		tell(w, "before")
		err = w.Flush()
		if err = errors.Join(err, f.Truncate(0)); err != nil {
			t.Fatal(err)
		}
		tell(w, "after")
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		rec, err := record.ReadAll(bytes.NewReader(text))
		if err != nil || len(rec.Calls) != 1 || rec.Calls[0].Dependency != "after" {
			t.Errorf("flags %x: %+v, %v", flags, rec.Calls, err)
		}
	}
}

// fullDisk fails for a while, after having written a part.
type fullDisk struct {
	mu   sync.Mutex
	full bool
	bytes.Buffer
}

func (d *fullDisk) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.full {
		n, _ := d.Buffer.Write(p[:len(p)/3])
		return n, errDown
	}
	return d.Buffer.Write(p)
}

func (d *fullDisk) set(full bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.full = full
}

// TestAFailedWriteIsTriedAgain: a disk that was full for a moment costs what did not fit
// into the buffer meanwhile, and the record says how much that is.
func TestAFailedWriteIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := &fullDisk{}
		w, err := record.NewWriter(disk, record.Options{Buffer: 4000})
		if err != nil {
			t.Fatal(err)
		}
		const each = 200
		for round := range 3 {
			disk.set(round == 1)
			for range each {
				tell(w, "dep")
			}
			if err := w.Flush(); (err != nil) != (round == 1) {
				t.Fatalf("round %d: %v", round, err)
			}
			time.Sleep(3 * time.Second)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		rec, err := record.ReadAll(&disk.Buffer)
		written, dropped := w.Counts()
		if err != nil || int64(len(rec.Calls)) != written || rec.Dropped != dropped || written+dropped != 3*each || written < each {
			t.Errorf("%d calls and %d dropped, by the writer %d and %d, %v", len(rec.Calls), rec.Dropped, written, dropped, err)
		}
	})
}

// TestTheReaderTakesWhatEditorsAndCrashesLeave.
func TestTheReaderTakesWhatEditorsAndCrashesLeave(t *testing.T) {
	const line = "5 dep default critical live - 1 s0+1\n"
	for name, c := range map[string]struct {
		text           string
		calls, dropped int64
	}{
		"CRLF":                            {strings.ReplaceAll(head+line+line, "\n", "\r\n"), 2, 0},
		"blank lines":                     {head + "\n" + line + "\r\n\n" + line, 2, 0},
		"comments":                        {"# of the night\n" + head + "#\n" + line, 1, 0},
		"2^31 dropped":                    {head + line + "dropped 2147483648\n", 1, 1 << 31},
		"dropped twice as many as can be": {head + "dropped 9223372036854775807\ndropped 9223372036854775807\n" + line, 1, math.MaxInt64},
		"cut off, then restarted":         {head + line + "5 dep def" + head + line, 2, 1},
		"zeros before it":                 {strings.Repeat("\x00", 5<<20) + head + line, 1, 0},
	} {
		rec, err := record.ReadAll(strings.NewReader(c.text))
		if err != nil || int64(len(rec.Calls)) != c.calls || rec.Dropped != c.dropped {
			t.Errorf("%s: %d calls, %d dropped, %v", name, len(rec.Calls), rec.Dropped, err)
		}
	}
}

// TestBadLinesAreLeftOut: whatever a line is, and wherever, the calls of the other lines are read,
// and the line is named.
func TestBadLinesAreLeftOut(t *testing.T) {
	const head = "backstay-record 1 2000-01-01T00:00:00Z\n"
	const line = "0 dep op critical live - 1 s0+1\n"
	for _, bad := range []string{
		"what is this\n", "1 2\n", "{}\n", "\xff\xfe\x00\n", "dropped many\n", "0 dep op vital live - 1 -\n", strings.Repeat("x", 3<<20) + "\n", "backstay-record 2 2000\n",
	} {
		for at, text := range map[int]string{1: bad + head + line + line, 2: head + bad + line + line, 3: head + line + bad + line, 4: head + line + line + bad} {
			rec, err := record.ReadAll(strings.NewReader(text))
			if err != nil || len(rec.Calls) != 2 || rec.Dropped != 1 || len(rec.Faults) != 1 {
				t.Errorf("%.20q as line %d: %d calls, %d dropped, %v, %v", bad, at, len(rec.Calls), rec.Dropped, rec.Faults, err)
				continue
			}
			if fault := rec.Faults[0]; !errors.Is(fault, record.ErrFormat) || !strings.Contains(fault.Error(), fmt.Sprint("line ", at, ":")) {
				t.Errorf("%.20q as line %d: %v", bad, at, fault)
			}
		}
	}
	rec, err := record.ReadAll(strings.NewReader(head + line + "backstay-record 1 today\n" + line + head + line))
	if err != nil || len(rec.Calls) != 2 || len(rec.Faults) != 2 {
		t.Errorf("after a bad header: %d calls, %v, %v", len(rec.Calls), rec.Faults, err)
	}
	rec, err = record.ReadAll(io.MultiReader(strings.NewReader(head+line), &failing{}))
	if !errors.Is(err, errDown) || len(rec.Calls) != 1 {
		t.Errorf("a reader that fails: %d calls, %v", len(rec.Calls), err)
	}
	if rec, _ := record.ReadAll(strings.NewReader(head + strings.Repeat("bad\n", 1000))); rec.Dropped != 1000 || len(rec.Faults) != 20 {
		t.Errorf("%d dropped, %d faults", rec.Dropped, len(rec.Faults))
	}
}

// TestOddCallsAreRecorded: whatever an outcome or a name is, the line is read again.
func TestOddCallsAreRecorded(t *testing.T) {
	for _, outcome := range []resilience.Outcome{resilience.Success, resilience.Ignored, resilience.Ignored + 1, 255} {
		for _, name := range []string{"dep", "", "a b", "caf\xe9", "dropped 5", "#", "backstay-record 1 x", "\r\n", "\x00"} {
			line := record.Line(record.Call{Dependency: name, Operation: name, Cause: record.None, Criticality: resilience.Critical, Answered: true,
				Attempts: []record.Attempt{{Outcome: outcome}}})
			rec, err := record.ReadAll(strings.NewReader(head + line))
			if err != nil || len(rec.Calls) != 1 || rec.Calls[0].Dependency != name || rec.Calls[0].Attempts[0].Outcome != min(outcome, resilience.Ignored) {
				t.Errorf("%q %d: %+v, %v", name, outcome, rec.Calls, err)
			}
		}
	}
}

package record_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backstay-go/backstay/internal/version"
	"github.com/backstay-go/backstay/resilience"
	"github.com/backstay-go/backstay/resilience/record"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errDown = errors.New("down")

func recorded(t *testing.T, p resilience.Policy, o record.Options) (*resilience.Guard, *record.Writer, *bytes.Buffer) {
	t.Helper()
	var out bytes.Buffer
	w, err := record.NewWriter(&out, o)
	if err != nil {
		t.Fatal(err)
	}
	g, err := resilience.New(p, resilience.WithListener(w))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	return g, w, &out
}

func policy() resilience.Policy {
	return resilience.Policy{
		Name:     "my catalog",
		Bulkhead: resilience.BulkheadPolicy{Limit: 1},
		Breaker:  &resilience.BreakerPolicy{MinimumCalls: 3, Jitter: -1},
		Default: resilience.OperationPolicy{
			Timeout: time.Second, AttemptTimeout: 400 * time.Millisecond, Idempotent: true,
			Retry: &resilience.RetryPolicy{MaxAttempts: 2, BaseDelay: time.Microsecond, MaxDelay: time.Microsecond},
		},
		Operations: map[string]resilience.OperationPolicy{
			"batch": {Timeout: 50 * time.Millisecond, Criticality: resilience.Sheddable},
		},
	}
}

// TestRecordsEachWayOut checks the lines themselves: the format is a promise.
func TestRecordsEachWayOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, w, out := recorded(t, policy(), record.Options{})
		ctx := t.Context()
		batch := g.Operation("batch")
		run := func(on resilience.Caller, took time.Duration, err error, opts ...resilience.CallOption[int]) {
			res, got := resilience.Do(ctx, on, func(ctx context.Context) (int, error) {
				select {
				case <-time.After(took):
				case <-ctx.Done():
					return 0, ctx.Err()
				}
				return 1, err
			}, opts...)
			if got == nil != (err == nil && took < 50*time.Millisecond || res.Cause != nil) {
				t.Error(got)
			}
		}
		run(g, 20480*time.Microsecond, nil)
		run(batch, time.Minute, nil) // a timeout: bad
		var wg sync.WaitGroup
		wg.Go(func() { run(g, 10*time.Millisecond, nil) })
		synctest.Wait()
		run(batch, 0, errDown, resilience.FallbackValue(7)) // full
		wg.Wait()
		time.Sleep(time.Millisecond)
		run(batch, 5*time.Millisecond, errDown)
		run(batch, 5*time.Millisecond, errDown)
		run(batch, 5*time.Millisecond, errDown) // open by now
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		run(batch, 0, errDown) // after Close
		if written, dropped := w.Counts(); written != 7 || dropped != 1 {
			t.Errorf("written %d, dropped %d; want 7 and 1", written, dropped)
		}
		want := "backstay-record 1 2000-01-01T00:00:00Z\n# written by " + version.String() + `
0 "my\x20catalog" default critical live - 20480 s0+20480
20480 "my\x20catalog" batch sheddable none timeout 50000 f0+50000c
70480 "my\x20catalog" batch sheddable static full 0 -
70480 "my\x20catalog" default critical live - 10000 s0+10000
81480 "my\x20catalog" batch sheddable none failed 5000 f0+5000
86480 "my\x20catalog" batch sheddable none open 0 -
86480 "my\x20catalog" batch sheddable none open 0 -
`
		if out.String() != want {
			t.Errorf("have:\n%s\nwant:\n%s", out, want)
		}
		rec, err := record.ReadAll(out)
		calls := rec.Calls
		if err != nil || len(calls) != 7 || calls[0].Dependency != "my catalog" || calls[2].Cause != record.Full || !calls[2].Answered {
			t.Errorf("%+v, %v", calls, err)
		}
	})
}

// busy is a marked refusal of the dependency.
type busy struct{}

func (busy) Error() string { return "busy" }
func (busy) Verdict() resilience.Verdict {
	return resilience.Verdict{Outcome: resilience.Overload, After: 2 * time.Second}
}

// TestRecordsWhatCallersAndDependencyAskedFor: their deadlines, and Retry-After.
func TestRecordsWhatCallersAndDependencyAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, w, out := recorded(t, policy(), record.Options{})
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		defer cancel()
		_, err := resilience.Do(ctx, g, func(context.Context) (int, error) { return 0, busy{} })
		if !errors.Is(err, busy{}) {
			t.Error(err)
		}
		_, err = resilience.Do(ctx, g, func(ctx context.Context) (int, error) { <-ctx.Done(); return 0, ctx.Err() })
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		time.Sleep(time.Millisecond)
		_, err = resilience.Do(ctx, g, func(context.Context) (int, error) { return 0, nil }) // too late from the start
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		want := "backstay-record 1 2000-01-01T00:00:00Z\n# written by " + version.String() + `
0 "my\x20catalog" default critical none failed 0 o0+0r2000000 30000
0 "my\x20catalog" default critical none timeout 30000 i0+30000c 30000
31000 "my\x20catalog" default critical none timeout 0 - 1
`
		if out.String() != want {
			t.Errorf("have:\n%s\nwant:\n%s", out, want)
		}
	})
}

func TestWriterStopsAtItsLimit(t *testing.T) {
	p := policy()
	g, w, out := recorded(t, p, record.Options{MaxBytes: 200})
	for range 10 {
		if _, err := resilience.Do(t.Context(), g, func(context.Context) (int, error) { return 1, nil }); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	written, dropped := w.Counts()
	if out.Len() > 200 || written == 0 || written+dropped != 10 {
		t.Errorf("%d bytes, written %d, dropped %d", out.Len(), written, dropped)
	}
	if rec, err := record.ReadAll(out); err != nil || int64(len(rec.Calls)) != written || rec.Dropped != dropped {
		t.Errorf("%d calls, %d dropped, %v", len(rec.Calls), rec.Dropped, err)
	}
}

type brokenDisk struct{}

func (brokenDisk) Write([]byte) (int, error) { return 0, errDown }

func TestWriterThatCannotWriteStopsNoCall(t *testing.T) {
	w, err := record.NewWriter(brokenDisk{}, record.Options{})
	if err != nil {
		t.Fatal(err)
	}
	g, err := resilience.New(policy(), resilience.WithListener(w))
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if _, err := resilience.Do(t.Context(), g, func(context.Context) (int, error) { return 1, nil }); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := w.Flush(); !errors.Is(err, errDown) {
			t.Errorf("Flush: %v", err)
		}
		if err := w.Close(); !errors.Is(err, errDown) {
			t.Errorf("Close: %v", err)
		}
	}
	if written, dropped := w.Counts(); written != 0 || dropped != 1 {
		t.Errorf("written %d, dropped %d", written, dropped)
	}
}

// slowDisk writes nothing until it is let go.
type slowDisk struct {
	bytes.Buffer
	let     chan struct{}
	started chan struct{}
	once    sync.Once
}

func (d *slowDisk) Write(b []byte) (int, error) {
	d.once.Do(func() { close(d.started) })
	<-d.let
	return d.Buffer.Write(b)
}

// TestWriterNeverMakesACallWait: the disk hangs, calls go on, memory stays bounded,
// and the record says what is missing, where it is missing.
func TestWriterNeverMakesACallWait(t *testing.T) {
	disk := &slowDisk{let: make(chan struct{}), started: make(chan struct{})}
	w, err := record.NewWriter(disk, record.Options{Buffer: 500})
	if err != nil {
		t.Fatal(err)
	}
	g, err := resilience.New(policy(), resilience.WithListener(w))
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	call := func() {
		if _, err := resilience.Do(t.Context(), g, func(context.Context) (int, error) { return 1, nil }); err != nil {
			t.Fatal(err)
		}
	}
	call()
	<-disk.started // within a second, by itself
	for range 100 {
		call()
	}
	if _, dropped := w.Counts(); dropped < 80 {
		t.Errorf("dropped %d of 101; 500 bytes have room for some 10", dropped)
	}
	close(disk.let)
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	call()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	written, dropped := w.Counts()
	rec, err := record.ReadAll(&disk.Buffer)
	if err != nil || int64(len(rec.Calls)) != written || rec.Dropped != dropped || written+dropped != 102 {
		t.Errorf("read %d calls and %d dropped; written %d, dropped %d; %v", len(rec.Calls), rec.Dropped, written, dropped, err)
	}
}

// TestWriterWritesWithinASecond: a crash loses little.
func TestWriterWritesWithinASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, w, out := recorded(t, policy(), record.Options{})
		if _, err := resilience.Do(t.Context(), g, func(context.Context) (int, error) { return 1, nil }); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if rec, err := record.ReadAll(bytes.NewReader(out.Bytes())); err != nil || len(rec.Calls) != 1 {
			t.Errorf("%+v, %v", rec, err)
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestRecordsAttemptsThatGoOn: what the caller left behind is load on the dependency too.
func TestRecordsAttemptsThatGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy()
		p.Bulkhead.Limit = 10
		p.Default.Hedge = &resilience.HedgePolicy{Delay: 20 * time.Millisecond}
		g, w, out := recorded(t, p, record.Options{})
		var hedged atomic.Bool
		_, err := resilience.Do(t.Context(), g, func(context.Context) (int, error) {
			if !hedged.Swap(true) { // ignores its context
				time.Sleep(time.Second)
				return 1, nil
			}
			time.Sleep(10 * time.Millisecond)
			return 2, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if line := "0 \"my\\x20catalog\" default critical hedge - 30000 i0+30000c,s20000+10000h\n"; !strings.HasSuffix(out.String(), line) {
			t.Errorf("have\n%swant\n%s", out, line)
		}
	})
}

func TestWriterRefusesBadOptions(t *testing.T) {
	if _, err := record.NewWriter(nil, record.Options{}); !errors.Is(err, record.ErrOptions) {
		t.Error(err)
	}
	if _, err := record.NewWriter(io.Discard, record.Options{MaxBytes: -1}); !errors.Is(err, record.ErrOptions) {
		t.Error(err)
	}
	if _, err := record.NewWriter(io.Discard, record.Options{Buffer: -1}); !errors.Is(err, record.ErrOptions) {
		t.Error(err)
	}
}

// TestWriterConcurrentSafe has two guards write one record at the same time.
func TestWriterConcurrentSafe(t *testing.T) {
	p := policy()
	p.Bulkhead = resilience.BulkheadPolicy{Limit: 100}
	p.Default.Timeout, p.Default.AttemptTimeout, p.Breaker = time.Minute, 0, nil
	p.Default.Hedge = &resilience.HedgePolicy{Delay: time.Microsecond}
	g, w, out := recorded(t, p, record.Options{})
	p.Name = "other"
	other, err := resilience.New(p, resilience.WithListener(w))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 10 {
				// A call inside a call: each has a separate line.
				_, err := resilience.Do(t.Context(), g, func(ctx context.Context) (int, error) {
					res, err := resilience.Do(ctx, other, func(context.Context) (int, error) { return 1, nil })
					return res.Value, err
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	rec, err := record.ReadAll(out)
	if err != nil {
		t.Fatal(err)
	}
	calls := rec.Calls
	n := map[string]int{}
	for _, c := range calls {
		n[c.Dependency]++
	}
	if n["my catalog"] != 80 || n["other"] < 80 {
		t.Errorf("%v; want 80 calls and at least as many inside", n)
	}
}

func TestReaderNamesTheLine(t *testing.T) {
	const first = "backstay-record 1 2000-01-01T00:00:00Z\n"
	const good = "0 dep op critical live - 1 s0+1\n"
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", "line 1: empty"},
		{"another format", "PNG\n", "line 1: begins with"},
		{"another version", "backstay-record 2 2000-01-01T00:00:00Z\n", "line 1: begins with"},
		{"no time", "backstay-record 1 today\n", "line 1: parsing time"},
		{"fields", first + good + "1 2\n", "line 3: 2 fields; want 8"},
		{"start", first + "-1 dep op critical live - 1 -\n", "line 2: start"},
		{"huge start", first + "9223372036854775807 dep op critical live - 1 -\n", "line 2: start"},
		{"dependency", first + "0  op critical live - 1 -\n", "line 2: dependency"},
		{"operation", first + "0 dep \"op critical live - 1 -\n", "line 2: operation"},
		{"class", first + "0 dep op vital live - 1 -\n", "line 2: criticality"},
		{"source", first + "0 dep op critical dead - 1 -\n", "line 2: source"},
		{"cause", first + "0 dep op critical live because 1 -\n", "line 2: cause"},
		{"took", first + "0 dep op critical live - x -\n", "line 2: took"},
		{"outcome", first + "0 dep op critical live - 1 x0+1\n", "line 2: attempt \"x0+1\": outcome"},
		{"patience", first + "0 dep op critical live - 1 - soon\n", "line 2: patience"},
		{"after", first + "0 dep op critical live - 1 o0+1rx\n", "attempt \"o0+1rx\": \"x\" is no number"},
		{"no plus", first + "0 dep op critical live - 1 s0\n", "has no +"},
		{"no gap", first + good + "dropped many\n", "line 3: \"many\" is no number"},
		{"no attempt", first + "0 dep op critical live - 1 s0+1,\n", "is empty"},
	} {
		t.Run(c.name, func(t *testing.T) {
			rec, err := record.ReadAll(strings.NewReader(c.text))
			if err == nil && len(rec.Faults) > 0 {
				err = rec.Faults[0]
			}
			if !errors.Is(err, record.ErrFormat) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v; want %q", err, c.want)
			}
		})
	}
	rec, err := record.ReadAll(strings.NewReader(first + good + "dropped 3\n12 dep"))
	if err != nil || len(rec.Calls) != 1 || rec.Dropped != 4 || len(rec.Faults) != 1 || !errors.Is(rec.Faults[0], record.ErrCut) {
		t.Errorf("cut off: %+v, %v", rec, err)
	}
	if rec, err := record.ReadAll(strings.NewReader(first + strings.Repeat("x", 2<<20))); err != nil || len(rec.Faults) != 1 {
		t.Errorf("endless line: %v, %v", rec.Faults, err)
	}
	if _, err := record.ReadAll(io.MultiReader(strings.NewReader(first), &failing{})); !errors.Is(err, errDown) {
		t.Errorf("a failing reader: %v", err)
	}
}

type failing struct{}

func (*failing) Read([]byte) (int, error) { return 0, errDown }

// FuzzReader: whatever the text, the reader ends with calls or an error, and what
// it accepted reads the same after it was written again.
func FuzzReader(f *testing.F) {
	f.Add("backstay-record 1 2000-01-01T00:00:00Z\n0 dep op critical live - 1 s0+1,f2+3hc\n")
	f.Add("backstay-record 1 2000-01-01T00:00:00Z\n0 dep op critical none failed 1 o0+1r2000000,o2+3r1hc 500\n")
	f.Add("backstay-record 1 2000-01-01T00:00:00Z\n0 \"a\\x20b\" \"\" sheddable none full 1 -\n")
	f.Fuzz(func(t *testing.T, text string) {
		rec, err := record.ReadAll(strings.NewReader(text))
		if err != nil {
			if !errors.Is(err, record.ErrFormat) {
				t.Fatal(err)
			}
			return
		}
		again := "backstay-record 1 2000-01-01T00:00:00Z\n"
		for _, c := range rec.Calls {
			again += record.Line(c)
		}
		reread, err := record.ReadAll(strings.NewReader(again))
		if err != nil || !reflect.DeepEqual(rec.Calls, reread.Calls) {
			t.Fatalf("%v\n%+v\n%+v", err, rec.Calls, reread.Calls)
		}
	})
}

package record_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

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
		want := `backstay-record 1 2000-01-01T00:00:00Z
0 "my\x20catalog" default critical live - 20480 s0+20480
20480 "my\x20catalog" batch sheddable none timeout 50000 f0+50000
70480 "my\x20catalog" batch sheddable static full 0 -
70480 "my\x20catalog" default critical live - 10000 s0+10000
81480 "my\x20catalog" batch sheddable none failed 5000 f0+5000
86480 "my\x20catalog" batch sheddable none open 0 -
86480 "my\x20catalog" batch sheddable none open 0 -
`
		if out.String() != want {
			t.Errorf("have:\n%s\nwant:\n%s", out, want)
		}
		_, calls, err := record.ReadAll(out)
		if err != nil || len(calls) != 7 || calls[0].Dependency != "my catalog" || calls[2].Cause != record.Full || !calls[2].Answered {
			t.Errorf("%+v, %v", calls, err)
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
	if _, calls, err := record.ReadAll(out); err != nil || int64(len(calls)) != written {
		t.Errorf("%d calls, %v", len(calls), err)
	}
}

type brokenDisk struct{}

func (brokenDisk) Write([]byte) (int, error) { return 0, errDown }

func TestWriterThatCannotWriteStopsNoCall(t *testing.T) {
	w, err := record.NewWriter(brokenDisk{}, record.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); !errors.Is(err, errDown) {
		t.Errorf("Flush: %v", err)
	}
	g, err := resilience.New(policy(), resilience.WithListener(w))
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if _, err := resilience.Do(t.Context(), g, func(context.Context) (int, error) { return 1, nil }); err != nil {
		t.Error(err)
	}
	if err := w.Close(); !errors.Is(err, errDown) {
		t.Errorf("Close: %v", err)
	}
	if written, dropped := w.Counts(); written != 0 || dropped != 1 {
		t.Errorf("written %d, dropped %d", written, dropped)
	}
}

func TestWriterRefusesBadOptions(t *testing.T) {
	if _, err := record.NewWriter(nil, record.Options{}); !errors.Is(err, record.ErrOptions) {
		t.Error(err)
	}
	if _, err := record.NewWriter(io.Discard, record.Options{MaxBytes: -1}); !errors.Is(err, record.ErrOptions) {
		t.Error(err)
	}
}

// TestWriterConcurrentSafe has two guards write one record at the same time.
func TestWriterConcurrentSafe(t *testing.T) {
	p := policy()
	p.Bulkhead = resilience.BulkheadPolicy{Limit: 100}
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
			for range 50 {
				// A call inside a call: each has a line of its own.
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
	_, calls, err := record.ReadAll(out)
	if err != nil {
		t.Fatal(err)
	}
	n := map[string]int{}
	for _, c := range calls {
		n[c.Dependency]++
	}
	if n["my catalog"] != 400 || n["other"] < 400 {
		t.Errorf("%v; want 400 calls and at least as many inside", n)
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
		{"no plus", first + "0 dep op critical live - 1 s0\n", "has no +"},
		{"no attempt", first + "0 dep op critical live - 1 s0+1,\n", "is empty"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := record.ReadAll(strings.NewReader(c.text))
			if !errors.Is(err, record.ErrFormat) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v; want %q", err, c.want)
			}
		})
	}
	_, calls, err := record.ReadAll(strings.NewReader(first + good + "12 dep"))
	if !errors.Is(err, record.ErrCut) || len(calls) != 1 {
		t.Errorf("cut off: %d calls, %v", len(calls), err)
	}
	if _, _, err := record.ReadAll(strings.NewReader(first + strings.Repeat("x", 2<<20))); !errors.Is(err, record.ErrFormat) {
		t.Errorf("endless line: %v", err)
	}
	if _, _, err := record.ReadAll(io.MultiReader(strings.NewReader(first), &failing{})); !errors.Is(err, errDown) {
		t.Errorf("a failing reader: %v", err)
	}
}

type failing struct{}

func (*failing) Read([]byte) (int, error) { return 0, errDown }

// FuzzReader: whatever the text, the reader ends with calls or an error, and what
// it accepted reads the same after it was written again.
func FuzzReader(f *testing.F) {
	f.Add("backstay-record 1 2000-01-01T00:00:00Z\n0 dep op critical live - 1 s0+1,f2+3h\n")
	f.Add("backstay-record 1 2000-01-01T00:00:00Z\n0 \"a\\x20b\" \"\" sheddable none full 1 -\n")
	f.Fuzz(func(t *testing.T, text string) {
		_, calls, err := record.ReadAll(strings.NewReader(text))
		if err != nil {
			if !errors.Is(err, record.ErrFormat) {
				t.Fatal(err)
			}
			return
		}
		again := "backstay-record 1 2000-01-01T00:00:00Z\n"
		for _, c := range calls {
			again += record.Line(c)
		}
		_, reread, err := record.ReadAll(strings.NewReader(again))
		if err != nil || !reflect.DeepEqual(calls, reread) {
			t.Fatalf("%v\n%+v\n%+v", err, calls, reread)
		}
	})
}

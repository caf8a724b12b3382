package decision

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/backstay-go/backstay/licensesvc/codec"
	"github.com/backstay-go/backstay/licensesvc/codec/codectest"
	"github.com/backstay-go/backstay/licensesvc/license"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var at = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

// refusal returns a record, with a number in its key.
func refusal(n int) Record {
	return Record{Member: "m-1", Command: "request", License: "lic-1", Key: fmt.Sprint(n), At: at.Add(time.Duration(n) * time.Second),
		Input: license.Request{License: "lic-1", Device: "phone", Member: license.Member{Status: "active", Plan: "standard"}, At: at},
		Rules: "2026-11", Version: 7, Outcome: Refused, Reason: "device_limit", Detail: "2 devices hold downloads",
		DecidedOn: []license.Basis{{Dependency: "catalog", Source: "stale", AgeSeconds: 340}}, Trace: "4bf9", Actor: "me"}
}

func openLog(t testing.TB, cfg Config) *Log {
	t.Helper()
	l, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func closed(t testing.TB, l *Log) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, dir string, f Filter) ([]Record, Summary) {
	t.Helper()
	r, err := NewReader(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []Record
	sum, err := r.Read(t.Context(), f, func(r Record) error { all = append(all, r); return nil })
	if err != nil {
		t.Fatal(err)
	}
	return all, sum
}

func TestNoRecordChangesUnnoticed(t *testing.T) {
	c, err := newCodec()
	if err != nil {
		t.Fatal(err)
	}
	codectest.Check(t, c, "testdata", func(r Record) (codec.Record, error) { return c.Encode(name, r) })
}

func TestWhatIsRecordedIsRead(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "decisions")
	l := openLog(t, Config{Dir: dir})
	var want []Record
	for n, in := range []license.Command{nil, license.Request{License: "a"}, license.Promise{Until: at}, license.Renew{Request: "r"}, license.Play{Report: "p"},
		license.ReportPlay{Occurred: at}, license.ReportDownload{Report: "d"}, license.Release{License: "x"}, license.Revoke{Reason: "fraud"}} {
		r := refusal(n)
		r.Input = in
		want = append(want, r)
		l.Record(r)
	}
	closed(t, l)
	got, sum := read(t, dir, Filter{})
	if !reflect.DeepEqual(got, want) || sum != (Summary{Read: len(want), Matched: len(want)}) {
		t.Errorf("%+v, %+v", got, sum)
	}
	if s := l.Stats(); s != (Stats{Written: int64(len(want))}) {
		t.Errorf("%+v", s)
	}
	l.Record(refusal(1))
	if s := l.Stats(); s.DroppedClosed != 1 {
		t.Errorf("%+v", s)
	}
	closed(t, l)
}

func TestFilters(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, Config{Dir: dir})
	other := refusal(1)
	other.Member, other.Command, other.License, other.Outcome, other.Reason = "m-2", "play", "lic-2", Unknown, "event_store"
	l.Record(refusal(0))
	l.Record(other)
	closed(t, l)
	for _, f := range []Filter{{Member: "m-2"}, {Command: "play"}, {License: "lic-2"}, {Outcome: Unknown}, {Reason: "event_store"}, {Since: at.Add(time.Second)},
		{Member: "m-2", Since: at, Until: at.Add(2 * time.Second)}} {
		if got, sum := read(t, dir, f); len(got) != 1 || got[0].Member != "m-2" || sum.Read != 2 {
			t.Errorf("%+v: %+v, %+v", f, got, sum)
		}
	}
	if got, _ := read(t, dir, Filter{Until: at.Add(time.Second)}); len(got) != 1 || got[0].Member != "m-1" {
		t.Errorf("%+v", got)
	}
}

// TestACrashLosesNothingThatWasWritten: the log is cut off at every byte, as a kill may leave it.
func TestACrashLosesNothingThatWasWritten(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, Config{Dir: dir})
	for n := range 3 {
		l.Record(refusal(n))
	}
	closed(t, l)
	path := filepath.Join(dir, segmentName(1))
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for cut := range whole {
		if err := os.WriteFile(path, whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		got, sum := read(t, dir, Filter{})
		complete, torn := bytes.Count(whole[:cut], []byte("\n")), 0
		if cut > 0 && whole[cut-1] != '\n' {
			torn = 1
		}
		if len(got) != complete || sum.Damaged != torn {
			t.Fatalf("cut at %d: %d records, %+v", cut, len(got), sum)
		}
	}
	// The next program begins a new segment.
	l = openLog(t, Config{Dir: dir})
	l.Record(refusal(9))
	closed(t, l)
	if got, sum := read(t, dir, Filter{}); len(got) != 3 || got[2].Key != "9" || sum.Damaged != 1 {
		t.Errorf("%d records, %+v", len(got), sum)
	}
}

// TestADamagedLineCostsItself only: any changed byte, a line without an end, a newer record.
func TestADamagedLineCostsItself(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, Config{Dir: dir})
	for n := range 3 {
		l.Record(refusal(n))
	}
	closed(t, l)
	path := filepath.Join(dir, segmentName(1))
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(whole, []byte("\n"))
	for i := range lines[1] {
		changed := bytes.Clone(whole)
		changed[len(lines[0])+i] ^= 1
		if err := os.WriteFile(path, changed, 0o600); err != nil {
			t.Fatal(err)
		}
		got, sum := read(t, dir, Filter{})
		if sum.Damaged == 0 || len(got) == 0 || got[0].Key != "0" || i < len(lines[1])-1 && len(got) != 2 {
			t.Fatalf("byte %d: %d records, %+v", i, len(got), sum)
		}
	}
	newer := []byte(`decision@3 {}`)
	long := append(bytes.Repeat([]byte("x"), 3<<20), '\n')
	text := bytes.Join([][]byte{lines[0], long, fmt.Appendf(nil, "%08x %s\n", checksumOf(newer), newer), lines[2]}, nil)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, sum := read(t, dir, Filter{}); len(got) != 2 || sum != (Summary{Read: 2, Matched: 2, Damaged: 1, Newer: 1}) {
		t.Errorf("%d records, %+v", len(got), sum)
	}
}

func TestTheLogIsBoundedByBytes(t *testing.T) {
	const bound = 64 << 10
	dir := t.TempDir()
	l := openLog(t, Config{Dir: dir, MaxBytes: bound, Buffer: 2000})
	for n := range 2000 {
		l.Record(refusal(n))
	}
	closed(t, l)
	all, err := segments(dir)
	if err != nil {
		t.Fatal(err)
	}
	total := int64(0)
	for _, s := range all {
		total += s.bytes
	}
	// A batch is never divided, so a segment may be larger than its share.
	if most := int64(bound + maxBatch*1000); total > most || len(all) == 0 {
		t.Errorf("%d bytes in %d segments, %d are allowed", total, len(all), most)
	}
	got, _ := read(t, dir, Filter{})
	if len(got) == 0 || got[len(got)-1].Key != "1999" {
		t.Errorf("the newest are not there: %d records", len(got))
	}
}

func TestTheLogIsBoundedByAge(t *testing.T) {
	dir := t.TempDir()
	for n := range 2 {
		l := openLog(t, Config{Dir: dir})
		l.Record(refusal(n))
		closed(t, l)
	}
	old := time.Now().Add(-2 * time.Hour)
	if err := os.Chtimes(filepath.Join(dir, segmentName(1)), old, old); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "decisions-notes.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	closed(t, openLog(t, Config{Dir: dir, MaxAge: time.Hour}))
	got, _ := read(t, dir, Filter{})
	if len(got) != 1 || got[0].Key != "1" {
		t.Errorf("%+v", got)
	}
	if _, err := os.Stat(filepath.Join(dir, "decisions-notes.txt")); err != nil {
		t.Error("a file of somebody else was removed")
	}
}

// gate is a file whose writes wait, or fail.
type gate struct {
	io.WriteCloser
	wait  chan struct{}
	fails *atomic.Bool
}

func (g gate) Write(b []byte) (int, error) {
	<-g.wait
	if g.fails.Load() {
		n, _ := g.WriteCloser.Write(b[:len(b)/2])
		return n, syscall.ENOSPC
	}
	return g.WriteCloser.Write(b)
}

// gated opens a log whose files wait until the channel is closed, and fail while fails is set.
func gated(t *testing.T, cfg Config) (l *Log, wait chan struct{}, fails *atomic.Bool) {
	t.Helper()
	l, err := open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	wait, fails = make(chan struct{}), &atomic.Bool{}
	l.create = func(path string) (io.WriteCloser, error) {
		f, err := createFile(path)
		return gate{f, wait, fails}, err
	}
	go l.write()
	return l, wait, fails
}

// TestAFullBufferDropsAndCounts, and never makes the caller wait.
func TestAFullBufferDropsAndCounts(t *testing.T) {
	dir := t.TempDir()
	l, wait, _ := gated(t, Config{Dir: dir, Buffer: 8})
	const records = 2000
	var callers sync.WaitGroup
	for range 4 {
		callers.Go(func() {
			for n := range records / 4 {
				l.Record(refusal(n))
			}
		})
	}
	callers.Wait() // It would wait for ever if Record did.
	close(wait)
	closed(t, l)
	s := l.Stats()
	if s.DroppedBuffer == 0 || s.Written+s.DroppedBuffer != records {
		t.Errorf("%+v", s)
	}
	if got, _ := read(t, dir, Filter{}); int64(len(got)) != s.Written {
		t.Errorf("%d are there, %+v", len(got), s)
	}
}

// TestAFullDiskDropsAndCounts: what a failed write left of a line damages no other line, and the
// log goes on when there is room.
func TestAFullDiskDropsAndCounts(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		l, wait, fails := gated(t, Config{Dir: dir})
		close(wait)
		fails.Store(true)
		l.Record(refusal(0))
		synctest.Wait()
		l.Record(refusal(1)) // The disk is left alone for a while.
		synctest.Wait()
		if s := l.Stats(); s != (Stats{DroppedDisk: 2}) {
			t.Errorf("%+v", s)
		}
		fails.Store(false)
		time.Sleep(pause)
		l.Record(refusal(2))
		closed(t, l)
		if s := l.Stats(); s != (Stats{Written: 1, DroppedDisk: 2}) {
			t.Errorf("%+v", s)
		}
	})
	if got, sum := read(t, dir, Filter{}); len(got) != 1 || got[0].Key != "2" || sum.Damaged != 1 {
		t.Errorf("%+v, %+v", got, sum)
	}
	// A disk that is known to be full is not written at all.
	full := openLog(t, Config{Dir: filepath.Join(dir, "full"), Full: func() bool { return true }})
	full.Record(refusal(1))
	closed(t, full)
	if all, err := segments(filepath.Join(dir, "full")); err != nil || len(all) != 0 || full.Stats().DroppedDisk != 1 {
		t.Errorf("%+v, %v, %+v", all, err, full.Stats())
	}
}

// TestSampling: whole members are sampled, and what was not granted is always recorded.
func TestSampling(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, Config{Dir: dir, Sample: 0.25, Buffer: 10_000})
	const members = 2000
	for n := range members {
		for _, outcome := range []string{Done, Done, Refused} {
			r := refusal(n)
			r.Member, r.Outcome = fmt.Sprintf("member-%d", n), outcome
			l.Record(r)
		}
	}
	closed(t, l)
	got, _ := read(t, dir, Filter{})
	done, refused := map[string]int{}, 0
	for _, r := range got {
		if r.Outcome == Done {
			done[r.Member]++
		} else {
			refused++
		}
	}
	for m, n := range done {
		if n != 2 {
			t.Errorf("%s: %d of 2", m, n)
		}
	}
	if refused != members || len(done) < members/5 || len(done) > members*3/10 {
		t.Errorf("%d refused, %d of %d members sampled", refused, len(done), members)
	}
	if s := l.Stats(); s.NotSampled != int64(2*(members-len(done))) {
		t.Errorf("%+v", s)
	}
}

func TestConfig(t *testing.T) {
	dir := t.TempDir()
	for _, cfg := range []Config{{}, {Dir: dir, MaxBytes: -1}, {Dir: dir, MaxBytes: 1000}, {Dir: dir, MaxAge: -1}, {Dir: dir, Sample: -0.1}, {Dir: dir, Sample: 1.1}, {Dir: dir, Buffer: -1}} {
		if _, err := Open(cfg); err == nil {
			t.Errorf("%+v was taken", cfg)
		}
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Config{Dir: file}); err == nil {
		t.Error("a file was taken for a folder")
	}
	r, err := NewReader(filepath.Join(dir, "none"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Read(t.Context(), Filter{}, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func TestAReadCanBeEnded(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, Config{Dir: dir})
	l.Record(refusal(1))
	closed(t, l)
	r, err := NewReader(dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Read(ctx, Filter{}, nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	enough := errors.New("enough")
	if _, err := r.Read(t.Context(), Filter{}, func(Record) error { return enough }); !errors.Is(err, enough) {
		t.Error(err)
	}
}

func FuzzLine(f *testing.F) {
	c, err := newCodec()
	if err != nil {
		f.Fatal(err)
	}
	line, err := appendLine(nil, c, refusal(1))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(line[checksum+1 : len(line)-1]))
	f.Add(`decision@3 {}`)
	f.Add(`decision@1 `)
	f.Add(`{}`)
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "\n") {
			return
		}
		got, err := parseLine(c, nil, fmt.Appendf(nil, "%08x %s", checksumOf([]byte(text)), text))
		if err == nil && len(got) != 1 || err != nil && len(got) != 0 {
			t.Fatalf("%+v, %v", got, err)
		}
		_, _ = parseLine(c, nil, []byte(text))
	})
}

// BenchmarkRecord is the cost for the command that is recorded, while the writer keeps up.
func BenchmarkRecord(b *testing.B) {
	l := openLog(b, Config{Dir: b.TempDir()})
	r := refusal(1)
	b.ReportAllocs()
	for n := int64(1); b.Loop(); n++ {
		l.Record(r)
		if n%defaultBuffer == 0 {
			b.StopTimer()
			for l.Stats().Written < n {
				runtime.Gosched()
			}
			b.StartTimer()
		}
	}
	closed(b, l)
	if s := l.Stats(); s.DroppedBuffer > 0 {
		b.Errorf("%+v", s)
	}
}

// BenchmarkWrite is the cost of one record for the writer.
func BenchmarkWrite(b *testing.B) {
	c, err := newCodec()
	if err != nil {
		b.Fatal(err)
	}
	var line []byte
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		if line, err = appendLine(line[:0], c, refusal(n)); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRead reads 20,000 records.
func BenchmarkRead(b *testing.B) {
	dir := b.TempDir()
	l := openLog(b, Config{Dir: dir, Buffer: 20_000})
	for n := range 20_000 {
		l.Record(refusal(n))
	}
	closed(b, l)
	b.ReportAllocs()
	for b.Loop() {
		if got, _ := read(b, dir, Filter{}); len(got) != 20_000 {
			b.Fatal(len(got))
		}
	}
	b.ReportMetric(float64(b.N)*20_000/b.Elapsed().Seconds()*60, "records/min")
}

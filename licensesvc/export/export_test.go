package export_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/licensesvc/export"
	"github.com/backstay-go/backstay/licensesvc/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var start = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// feed is a store in memory. Its cursors are epoch/slice/count.
type feed struct {
	epoch  string
	slices [eventstore.Slices][]eventstore.Event
	// again delivers the last event of each page once more with the next one.
	again bool
}

// add appends an event to a member's stream.
func (f *feed) add(member string, version int64, e eventstore.Event) {
	e.Stream, e.Version, e.Commit = "member-"+member, version, fmt.Sprintf("c%d", version)
	slice := eventstore.SliceOf(e.Stream)
	f.slices[slice] = append(f.slices[slice], e)
}

func (f *feed) Feed(_ context.Context, slice int, after eventstore.Cursor, limit int) (eventstore.FeedPage, error) {
	from := 0
	if after != "" {
		parts := strings.Split(string(after), "/")
		if parts[0] != f.epoch {
			return eventstore.FeedPage{}, eventstore.ErrEpoch
		}
		from, _ = strconv.Atoi(parts[2])
	}
	all := f.slices[slice]
	if from > len(all) {
		return eventstore.FeedPage{}, eventstore.ErrEpoch
	}
	to := min(from+limit, len(all))
	page := eventstore.FeedPage{Events: all[from:to], Next: eventstore.Cursor(fmt.Sprintf("%s/%d/%d", f.epoch, slice, to)), Behind: int64(len(all) - to)}
	if f.again && from > 0 {
		page.Events = append([]eventstore.Event{all[from-1]}, page.Events...)
	}
	return page, nil
}

// fill adds events of members, some of a newer program, one damaged.
func (f *feed) fill(from, members, events int) {
	for m := from; m < from+members; m++ {
		for v := 1; v <= events; v++ {
			at := start.Add(time.Duration(v) * time.Hour)
			e := eventstore.Event{Type: "license.played", Schema: 1, Occurred: at, Recorded: at.Add(time.Minute), Trace: "t", Actor: "a",
				Data: fmt.Appendf(nil, `{"license":"l%d","report":"r%d","occurred":%q}`, m, v, at.Format(time.RFC3339))}
			switch {
			case v == 1:
				e.Type, e.Data = "license.granted", fmt.Appendf(nil, `{"license":"l%d","device":"phone","title":"m-%d","studio":"meridian","plan":"basic","at":%q,"expires":%q,"playback_s":60,"limits":{},"rules":"r","terms":"t"}`,
					m, m%7, at.Format(time.RFC3339), at.Add(48*time.Hour).Format(time.RFC3339))
			case v == 3 && m%5 == 0:
				e.Type, e.Schema, e.Data = "license.shared", 9, fmt.Appendf(nil, `{"license":"l%d","with":["p"]}`, m)
			case v == 2 && m == 0:
				e.Data = []byte("[damaged")
			}
			f.add(fmt.Sprint("m", m), int64(v), e)
		}
	}
}

func (f *feed) count() (n int64) {
	for _, s := range f.slices {
		n += int64(len(s))
	}
	return n
}

func config(t testing.TB, f *feed, dir export.Dir, format export.Format) export.Config {
	t.Helper()
	c, err := wire.New()
	if err != nil {
		t.Fatal(err)
	}
	return export.Config{Source: f, Epoch: f.epoch, Dir: dir, Format: format, Decoder: c, StreamPrefix: "member-", FileRows: 1000}
}

func folder(t testing.TB, path string) export.Dir {
	t.Helper()
	d, err := export.OpenDir(path)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func manifestOf(t testing.TB, path string) export.Manifest {
	t.Helper()
	var m export.Manifest
	text, err := os.ReadFile(filepath.Join(path, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// rows reads what an export's manifest lists, and checks sizes, checksums and counts.
func rows(t testing.TB, path string) map[string]export.Row {
	t.Helper()
	m := manifestOf(t, path)
	all := map[string]export.Row{}
	var total int64
	for _, f := range m.Files {
		raw, err := os.ReadFile(filepath.Join(path, f.Name))
		if err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(raw); hex.EncodeToString(sum[:]) != f.SHA256 || int64(len(raw)) != f.Bytes {
			t.Fatalf("%s is not what the manifest says", f.Name)
		}
		found := read(t, m.FileFormat, raw)
		if int64(len(found)) != f.Rows {
			t.Fatalf("%s has %d rows, the manifest says %d", f.Name, len(found), f.Rows)
		}
		total += f.Rows
		for _, r := range found {
			key := fmt.Sprintf("%s/%d", r.Member, r.Version)
			if _, twice := all[key]; twice {
				t.Fatalf("%s is there twice", key)
			}
			all[key] = r
		}
	}
	if total != m.Rows {
		t.Fatalf("the manifest has %d rows, its files %d", m.Rows, total)
	}
	return all
}

func read(t testing.TB, format export.Format, raw []byte) (found []export.Row) {
	t.Helper()
	if format == export.Parquet {
		found, err := parquet.Read[export.Row](bytes.NewReader(raw), int64(len(raw)))
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	lines := bufio.NewScanner(bytes.NewReader(raw))
	for lines.Scan() {
		var line struct {
			export.Row
			Occurred time.Time       `json:"occurred"`
			Recorded time.Time       `json:"recorded"`
			Payload  json.RawMessage `json:"payload"`
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		line.Row.Occurred, line.Row.Recorded, line.Row.Payload = export.Micros(line.Occurred.UnixMicro()), export.Micros(line.Recorded.UnixMicro()), export.Raw(line.Payload)
		found = append(found, line.Row)
	}
	return found
}

// same checks that an export holds the events of a store, each once.
func same(t testing.TB, f *feed, path string) {
	t.Helper()
	found := rows(t, path)
	if int64(len(found)) != f.count() {
		t.Fatalf("%d rows of %d events", len(found), f.count())
	}
	for _, slice := range f.slices {
		for _, e := range slice {
			r := found[fmt.Sprintf("%s/%d", strings.TrimPrefix(e.Stream, "member-"), e.Version)]
			if r.Type != e.Type || r.Commit != e.Commit || r.Occurred != export.Micros(e.Occurred.UnixMicro()) || json.Valid(e.Data) && string(r.Payload) != string(e.Data) {
				t.Fatalf("%+v became %+v", e, r)
			}
		}
	}
}

func TestAnExportHoldsEveryEventOnce(t *testing.T) {
	for _, format := range []export.Format{export.JSONL, export.Parquet} {
		t.Run(string(format), func(t *testing.T) {
			f, path := &feed{epoch: "e1", again: true}, t.TempDir()
			f.fill(0, 40, 100)
			sum, err := export.Run(t.Context(), config(t, f, folder(t, path), format))
			if err != nil || sum.Rows != f.count() || sum.Unreadable != 1 {
				t.Fatalf("%+v, %v", sum, err)
			}
			same(t, f, path)
			m := manifestOf(t, path)
			if m.Epoch != "e1" || m.Unreadable != 1 || len(m.Columns) != 16 || m.FileFormat != format {
				t.Errorf("%+v", m)
			}
			r := rows(t, path)["m5/1"]
			if r.License != "l5" || r.Title != "m-5" || r.Studio != "meridian" || r.Device != "phone" || r.Plan != "basic" || r.Actor != "a" || r.Schema != 1 {
				t.Errorf("%+v", r)
			}
			if r := rows(t, path)["m5/3"]; r.Type != "license.shared" || r.Schema != 9 || r.License != "l5" || r.Title != "" {
				t.Errorf("an event of a newer program: %+v", r)
			}
			if r := rows(t, path)["m0/2"]; r.License != "" || r.Payload != `"[damaged"` {
				t.Errorf("a damaged event: %+v", r)
			}
			f.again = false // A store may also deliver again what an earlier run has; the guide's view leaves that out.
			f.fill(40, 3, 5)
			if sum, err = export.Run(t.Context(), config(t, f, folder(t, path), format)); err != nil || sum.Rows != 15 || sum.Total != f.count() {
				t.Fatalf("what is new: %+v, %v", sum, err)
			}
			same(t, f, path)
			if sum, err = export.Run(t.Context(), config(t, f, folder(t, path), format)); err != nil || sum.Rows != 0 || sum.Files != 0 {
				t.Fatalf("nothing is new: %+v, %v", sum, err)
			}
		})
	}
}

// harmed is a folder whose calls fail from the nth on, as if the process had been killed there. A
// write that fails has written a half.
type harmed struct {
	export.Dir
	left int
	err  error
}

var errKilled = errors.New("killed")

func (h *harmed) fail() error {
	h.left--
	if h.left < 0 {
		return h.err
	}
	return nil
}

func (h *harmed) Create(name string) (export.Writer, error) {
	if err := h.fail(); err != nil {
		return nil, err
	}
	w, err := h.Dir.Create(name)
	return &harmedFile{w, h}, err
}

func (h *harmed) Rename(from, to string) error {
	if err := h.fail(); err != nil {
		return err
	}
	return h.Dir.Rename(from, to)
}

func (h *harmed) Remove(name string) error {
	if err := h.fail(); err != nil {
		return err
	}
	return h.Dir.Remove(name)
}

func (h *harmed) Sync() error {
	if err := h.fail(); err != nil {
		return err
	}
	return h.Dir.Sync()
}

type harmedFile struct {
	export.Writer
	dir *harmed
}

func (f *harmedFile) Write(b []byte) (int, error) {
	if err := f.dir.fail(); err != nil {
		n, _ := f.Writer.Write(b[:len(b)/2])
		return n, err
	}
	return f.Writer.Write(b)
}

func (f *harmedFile) Sync() error {
	if err := f.dir.fail(); err != nil {
		return err
	}
	return f.Writer.Sync()
}

// A run is killed at each of its calls in turn, and then another one at a later one. What the
// manifest lists is whole after each, and the last run completes the export.
func TestAKilledExportGoesOn(t *testing.T) {
	for _, format := range []export.Format{export.JSONL, export.Parquet} {
		for _, cause := range []error{errKilled, syscall.ENOSPC} {
			t.Run(fmt.Sprintf("%s, %v", format, cause), func(t *testing.T) {
				done := false
				for kill := 0; !done; kill += 1 + kill/10 {
					f, path := &feed{epoch: "e1"}, t.TempDir()
					f.fill(0, 4, 3)
					for round := range 3 {
						d := &harmed{Dir: folder(t, path), left: kill, err: cause}
						_, err := export.Run(t.Context(), config(t, f, d, format))
						if done = err == nil; !done && (!errors.Is(err, cause) || errors.Is(cause, syscall.ENOSPC) && kill > 0 && !strings.Contains(err.Error(), "free space")) {
							t.Fatalf("killed at call %d: %v", kill, err)
						}
						if _, err := os.Stat(filepath.Join(path, "manifest.json")); err == nil {
							rows(t, path)
						}
						f.fill(4+round, 1, 2) // The next run finds more in the slices of files that it had begun.
					}
					if _, err := export.Run(t.Context(), config(t, f, folder(t, path), format)); err != nil {
						t.Fatalf("after a kill at call %d: %v", kill, err)
					}
					same(t, f, path)
					listed := len(manifestOf(t, path).Files) + 1
					if names, err := folder(t, path).Names(); err != nil || len(names) != listed {
						t.Fatalf("after a kill at call %d: %v are there, %v; %d are listed", kill, names, err, listed)
					}
				}
			})
		}
	}
}

func TestRandomHistoriesAndKills(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f, path := &feed{epoch: "e1"}, rapidDir(t)
		versions := map[string]int64{}
		for range rapid.IntRange(1, 3).Draw(t, "runs") {
			for range rapid.IntRange(0, 8).Draw(t, "events") {
				member := fmt.Sprint("m", rapid.IntRange(0, 5).Draw(t, "member"))
				versions[member]++
				f.add(member, versions[member], eventstore.Event{Type: rapid.SampledFrom([]string{"license.played", "license.new", "x"}).Draw(t, "type"), Schema: 1, Occurred: start,
					Data: fmt.Appendf(nil, `{"license":%q,"occurred":"2026-11-01T12:00:00Z"}`, member)})
			}
			d, _ := export.OpenDir(path)
			c, _ := wire.New()
			_, err := export.Run(context.WithoutCancel(t.Context()), export.Config{Source: f, Epoch: "e1", Dir: &harmed{Dir: d, left: rapid.IntRange(0, 120).Draw(t, "kill"), err: errKilled},
				Format: export.JSONL, Decoder: c, StreamPrefix: "member-", FileRows: 2})
			if err != nil && !errors.Is(err, errKilled) {
				t.Fatal(err)
			}
		}
		d, _ := export.OpenDir(path)
		c, _ := wire.New()
		sum, err := export.Run(t.Context(), export.Config{Source: f, Epoch: "e1", Dir: d, Format: export.JSONL, Decoder: c, StreamPrefix: "member-"})
		if err != nil || sum.Total != f.count() {
			t.Fatalf("%+v of %d, %v", sum, f.count(), err)
		}
	})
}

func rapidDir(t *rapid.T) string {
	dir, err := os.MkdirTemp("", "export-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestOtherFoldersAreRefused(t *testing.T) {
	f := &feed{epoch: "e1"}
	f.fill(0, 9, 4)
	for name, c := range map[string]struct {
		change func(t *testing.T, path string)
		feed   *feed
		format export.Format
		want   error
		says   string
	}{
		"a folder with other files": {change: func(t *testing.T, path string) {
			remove(t, path, "manifest.json")
		}, want: export.ErrOther, says: "an empty folder"},
		"another store":        {feed: &feed{epoch: "e2"}, want: export.ErrOther, says: "another store"},
		"an older copy":        {feed: &feed{epoch: "e1"}, want: export.ErrOther, says: "restored"},
		"another format":       {format: export.Parquet, want: export.ErrOther, says: "--format jsonl"},
		"another manifest":     {change: put(`{"name":"app"}`), want: export.ErrOther, says: "another program's"},
		"a newer manifest":     {change: put(`{"manifest_format":2}`), want: export.ErrOther, says: "a newer version"},
		"a damaged manifest":   {change: put(`{"manifest_format":`), want: export.ErrDamaged, says: "can't be read"},
		"a file that is short": {change: func(t *testing.T, path string) { truncate(t, path) }, want: export.ErrDamaged, says: "put it back"},
		"a file that is gone":  {change: func(t *testing.T, path string) { remove(t, path, manifestOf(t, path).Files[0].Name) }, want: export.ErrDamaged, says: "put it back"},
	} {
		t.Run(name, func(t *testing.T) {
			path := t.TempDir()
			if _, err := export.Run(t.Context(), config(t, f, folder(t, path), export.JSONL)); err != nil {
				t.Fatal(err)
			}
			if c.change != nil {
				c.change(t, path)
			}
			before := content(t, path)
			other, format := f, export.JSONL
			if c.feed != nil {
				other = c.feed
			}
			if c.format != "" {
				format = c.format
			}
			_, err := export.Run(t.Context(), config(t, other, folder(t, path), format))
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want %v and %q", err, c.want, c.says)
			}
			if content(t, path) != before {
				t.Error("the folder was changed")
			}
		})
	}
}

func put(text string) func(*testing.T, string) {
	return func(t *testing.T, path string) {
		if err := os.WriteFile(filepath.Join(path, "manifest.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func remove(t *testing.T, path, name string) {
	if err := os.Remove(filepath.Join(path, name)); err != nil {
		t.Fatal(err)
	}
}

func truncate(t *testing.T, path string) {
	if err := os.Truncate(filepath.Join(path, manifestOf(t, path).Files[0].Name), 10); err != nil {
		t.Fatal(err)
	}
}

func content(t *testing.T, path string) string {
	var all strings.Builder
	entries, err := os.ReadDir(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		raw, err := os.ReadFile(filepath.Join(path, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&all, "%s %s\n", e.Name(), raw)
	}
	return all.String()
}

var manyRows = flag.Int("export.rows", 30_000, "events in TestMemoryIsConstant; 1000000 for the full run")

// endless makes its events as they are read, so that they need no memory.
type endless struct{ perSlice int }

func (e endless) Feed(_ context.Context, slice int, after eventstore.Cursor, limit int) (eventstore.FeedPage, error) {
	from, _ := strconv.Atoi(string(after))
	to := min(from+limit, e.perSlice)
	page := eventstore.FeedPage{Next: eventstore.Cursor(strconv.Itoa(to)), Behind: int64(e.perSlice - to)}
	for i := from; i < to; i++ {
		page.Events = append(page.Events, eventstore.Event{Stream: fmt.Sprintf("member-%d-%d", slice, i/10), Version: int64(i%10) + 1, Type: "license.played", Schema: 1, Commit: fmt.Sprintf("commit-%d-%d", slice, i),
			Occurred: start, Recorded: start, Trace: "0af7651916cd43dd8448eb211c80319c", Actor: "device", Data: fmt.Appendf(nil, `{"license":"l-%d","report":"r-%d","occurred":"2026-11-01T12:00:00Z"}`, i/10, i)})
	}
	return page, nil
}

// TestMemoryIsConstant logs rows per second and the highest heap in use. The bound does not depend
// on the number of rows.
func TestMemoryIsConstant(t *testing.T) {
	for _, format := range []export.Format{export.JSONL, export.Parquet} {
		var peak uint64
		cfg := config(t, &feed{epoch: "e"}, folder(t, t.TempDir()), format)
		cfg.Source, cfg.FileRows = endless{*manyRows / eventstore.Slices}, 0
		pages := 0
		cfg.OnProgress = func(export.Progress) {
			if pages++; pages%16 == 0 {
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				peak = max(peak, m.HeapInuse)
			}
		}
		began := time.Now()
		sum, err := export.Run(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		took := time.Since(began)
		t.Logf("%s: %d rows, %.0f rows/s, at most %.0f MiB of heap in use", format, sum.Rows, float64(sum.Rows)/took.Seconds(), float64(peak)/(1<<20))
		if peak > 256<<20 {
			t.Errorf("%s: %d MiB of heap for %d rows", format, peak>>20, sum.Rows)
		}
	}
}

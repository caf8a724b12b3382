package export

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/backstay-go/backstay/internal/lru"
	"github.com/backstay-go/backstay/licensesvc/eventstore"
)

// Config says what to export, and where.
type Config struct {
	// Source is the store. Required.
	Source eventstore.Feeder
	// Epoch names the store's life. Required.
	Epoch string
	// Dir is the folder. Required.
	Dir Dir
	// Format is how rows are written. Required.
	Format Format
	// Decoder decodes events. Required.
	Decoder Decoder
	// StreamPrefix is what a stream's name has before the member's id. Default: none.
	StreamPrefix string
	// FileRows is the highest number of rows in a file, rounded up to a page of the feed. Default:
	// 0, which means 250,000.
	FileRows int64
	// OnProgress is called after each page, on the goroutine of Run. Nil: nothing is called.
	OnProgress func(Progress)
	// Clock returns the time that the manifest is stamped with. Nil: time.Now.
	Clock func() time.Time
	_     struct{}
}

// Progress says how far an export is.
type Progress struct {
	// Slice is the slice that is being read, from 0.
	Slice int
	// Rows is the number of rows that this run has read, and Behind the number of events of the
	// slice that are left. -1: it is not known.
	Rows, Behind int64
}

// Summary is what one run did.
type Summary struct {
	// Rows and Files were added by this run.
	Rows  int64 `json:"rows"`
	Files int64 `json:"files"`
	// Unreadable is how many of the rows have a damaged payload.
	Unreadable int64 `json:"unreadable"`
	// Total is the number of rows of the whole export.
	Total int64 `json:"total_rows"`
}

const (
	pageEvents = 1000
	// remembered is the number of streams of a slice whose last row is remembered, so that an event
	// that the feed delivers again is left out.
	remembered = 4096
)

func (c Config) withDefaults() (Config, error) {
	if c.Source == nil || c.Dir == nil || c.Decoder == nil || c.Epoch == "" {
		return c, errors.New("export: Config needs Source, Epoch, Dir and Decoder")
	}
	if _, err := ParseFormat(string(c.Format)); err != nil {
		return c, fmt.Errorf("export: Format %q: %w", c.Format, err)
	}
	if c.FileRows < 0 {
		return c, fmt.Errorf("export: FileRows is %d: give at least 1, or 0 for 250,000", c.FileRows)
	}
	if c.FileRows == 0 {
		c.FileRows = 250_000
	}
	if c.OnProgress == nil {
		c.OnProgress = func(Progress) {}
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	return c, nil
}

// Run adds to an export what is new in the store, slice by slice. If it fails or is cancelled, the
// export is valid up to the last complete file, and the next run goes on from there. A folder must
// have one run at a time. It matches ErrOther if the folder holds something else, and ErrDamaged if
// files of the export are missing.
func Run(ctx context.Context, cfg Config) (Summary, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return Summary{}, err
	}
	m, err := openFolder(cfg.Dir, cfg)
	if err != nil {
		return Summary{}, err
	}
	// An older copy of the store's file has the same epoch, and not the events of the cursors.
	for slice, c := range m.Cursors {
		if c == "" {
			continue
		}
		if _, err := cfg.Source.Feed(ctx, slice, c, 1); err != nil {
			return Summary{}, sourceError(slice, err)
		}
	}
	if err := m.clean(cfg.Dir); err != nil {
		return Summary{}, err
	}
	r := &run{cfg: cfg, manifest: m}
	for slice := range m.Cursors {
		if err := r.slice(ctx, slice); err != nil {
			r.sum.Total = m.Rows
			return r.sum, err
		}
	}
	r.sum.Total = m.Rows
	return r.sum, nil
}

func sourceError(slice int, err error) error {
	if errors.Is(err, eventstore.ErrEpoch) {
		return fmt.Errorf("%w: the store was restored after the last export: export into a new folder, and remove this one when nobody needs it: %w", ErrOther, err)
	}
	return fmt.Errorf("export: read slice %d: %w", slice, err)
}

// run is one run.
type run struct {
	cfg      Config
	manifest *Manifest
	sum      Summary
	read     int64
}

// last is the last row of a stream that was written.
type last struct {
	version int64
	commit  string
}

// slice writes the new events of a slice, file by file.
func (r *run) slice(ctx context.Context, slice int) error {
	p := &pages{run: r, slice: slice, cursor: r.manifest.Cursors[slice], seen: lru.New[string, last](lru.Bounds{Entries: remembered}, nil)}
	for {
		if err := p.next(ctx); err != nil {
			return err
		}
		if len(p.rows) > 0 {
			if err := r.file(ctx, p); err != nil {
				return err
			}
		}
		if p.done {
			return nil
		}
	}
}

// file writes the current page and the ones after it to a file, and lists it in the manifest.
func (r *run) file(ctx context.Context, p *pages) error {
	from := r.manifest.Cursors[p.slice]
	f := File{Slice: p.slice, From: from}
	// The name says where the file ends, which is known only when it is full.
	part := fmt.Sprintf("events-s%02d%s", p.slice, partSuffix)
	w, err := r.cfg.Dir.Create(part)
	if err != nil {
		return failed(part, err)
	}
	sum := newCounter(w)
	err = r.fill(ctx, p, &f, sum)
	if err == nil {
		err = w.Sync()
	}
	if err = errors.Join(err, w.Close()); err != nil {
		return failed(part, errors.Join(err, r.cfg.Dir.Remove(part)))
	}
	f.To, f.Bytes, f.SHA256 = p.cursor, sum.bytes, sum.hash()
	f.Name = fmt.Sprintf("events-s%02d-%s-%s.%s", p.slice, short(f.From), short(f.To), r.cfg.Format)
	if err := r.cfg.Dir.Rename(part, f.Name); err != nil {
		return failed(f.Name, err)
	}
	if err := r.cfg.Dir.Sync(); err != nil {
		return failed(f.Name, err)
	}
	m := r.manifest
	m.Files, m.Cursors[p.slice] = append(m.Files, f), f.To
	m.Rows += f.Rows
	m.Unreadable += f.Unreadable
	if err := m.save(r.cfg.Dir, r.cfg); err != nil {
		return err
	}
	r.sum.Files++
	r.sum.Rows += f.Rows
	r.sum.Unreadable += f.Unreadable
	return nil
}

// fill writes pages until the file is full or the slice has no more.
func (r *run) fill(ctx context.Context, p *pages, f *File, w io.Writer) error {
	to := formats[r.cfg.Format](w)
	for {
		if err := to.write(p.rows); err != nil {
			return err
		}
		f.Rows += int64(len(p.rows))
		f.Unreadable += p.unreadable
		p.rows, p.unreadable = p.rows[:0], 0
		if p.done || f.Rows >= r.cfg.FileRows {
			return to.close()
		}
		if err := p.next(ctx); err != nil {
			return err
		}
	}
}

// pages reads the feed of a slice.
type pages struct {
	run    *run
	slice  int
	cursor eventstore.Cursor
	seen   *lru.Cache[string, last]
	// rows is the current page, and unreadable how many of its rows can't be decoded. done is true
	// if there are no more pages.
	rows       []Row
	unreadable int64
	done       bool
}

// next reads a page.
func (p *pages) next(ctx context.Context) error {
	cfg := p.run.cfg
	page, err := cfg.Source.Feed(ctx, p.slice, p.cursor, pageEvents)
	if err != nil {
		return sourceError(p.slice, err)
	}
	p.done = page.Behind == 0 || len(page.Events) == 0 && page.Next == p.cursor
	p.cursor = page.Next
	for _, e := range page.Events {
		if was, ok := p.seen.Get(e.Stream); ok && (e.Version < was.version || e.Version == was.version && e.Commit == was.commit) {
			continue
		}
		p.seen.Put(e.Stream, last{e.Version, e.Commit}, 1, time.Time{}, time.Time{})
		row, readable := rowOf(cfg.Decoder, cfg.StreamPrefix, e)
		if !readable {
			p.unreadable++
		}
		p.rows = append(p.rows, row)
	}
	p.run.read += int64(len(page.Events))
	cfg.OnProgress(Progress{Slice: p.slice, Rows: p.run.read, Behind: page.Behind})
	return nil
}

// short names a cursor in the name of a file.
func short(c eventstore.Cursor) string {
	sum := sha256.Sum256([]byte(c))
	return hex.EncodeToString(sum[:8])
}

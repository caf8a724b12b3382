package export

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"slices"
	"time"

	"github.com/backstay-go/backstay/licensesvc/eventstore"
)

const (
	// manifestName is the name of the manifest in an export's folder.
	manifestName = "manifest.json"
	// manifestFormat is the version of the manifest's format.
	manifestFormat = 1
	// partSuffix marks a file that is being written.
	partSuffix = ".part"
)

var (
	// ErrOther: the folder holds something else than the export that was asked for.
	ErrOther = errors.New("export: the folder holds something else")
	// ErrDamaged: a file of the export is missing or has another size than the manifest says.
	ErrDamaged = errors.New("export: the export is damaged")
)

// Manifest lists what an export consists of. Files that it does not list are no part of it.
type Manifest struct {
	// Format is the version of the manifest's own format.
	Format int `json:"manifest_format"`
	// Epoch names the life of the store. A restored store has another one.
	Epoch string `json:"epoch"`
	// FileFormat says how rows are written.
	FileFormat Format    `json:"file_format"`
	Columns    []Column  `json:"columns"`
	Updated    time.Time `json:"updated"`
	Rows       int64     `json:"rows"`
	// Unreadable is the number of rows whose payload is damaged: of a known type, but not decodable.
	Unreadable int64 `json:"unreadable"`
	// Cursors are the cursors of the feed, by slice, up to which the files go.
	Cursors []eventstore.Cursor `json:"cursors"`
	Files   []File              `json:"files"`
}

// File is one file of an export.
type File struct {
	Name  string `json:"name"`
	Slice int    `json:"slice"`
	// From and To are the cursors before its first and after its last row.
	From       eventstore.Cursor `json:"from"`
	To         eventstore.Cursor `json:"to"`
	Rows       int64             `json:"rows"`
	Unreadable int64             `json:"unreadable,omitempty"`
	Bytes      int64             `json:"bytes"`
	SHA256     string            `json:"sha256"`
}

// ours matches the names of files that an export writes.
var ours = regexp.MustCompile(`^events-s\d{2}-[0-9a-f]{16}-[0-9a-f]{16}\.(jsonl|parquet)$|\.part$`)

// openFolder reads the manifest of a folder, or makes one in a folder that is new or empty. It
// refuses a folder that holds something else.
func openFolder(d Dir, cfg Config) (*Manifest, error) {
	text, err := readAll(d, manifestName)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		names, err := d.Names()
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if name != manifestName+partSuffix {
				return nil, fmt.Errorf("%w: there is %s and no %s: name a new or an empty folder", ErrOther, name, manifestName)
			}
		}
		m := &Manifest{Format: manifestFormat, Epoch: cfg.Epoch, FileFormat: cfg.Format, Columns: Columns(), Cursors: make([]eventstore.Cursor, eventstore.Slices), Files: []File{}}
		return m, m.save(d, cfg)
	case err != nil:
		return nil, err
	}
	m := &Manifest{}
	if err := json.Unmarshal(text, m); err != nil {
		return nil, fmt.Errorf("%w: %s can't be read: %w; export into a new folder", ErrDamaged, manifestName, err)
	}
	if err := m.fits(cfg); err != nil {
		return nil, err
	}
	for _, f := range m.Files {
		size, err := d.Size(f.Name)
		if err != nil || size != f.Bytes {
			return nil, fmt.Errorf("%w: %s has %d bytes, and the manifest says %d: put it back, or export into a new folder", ErrDamaged, f.Name, size, f.Bytes)
		}
	}
	return m, nil
}

// fits says why a manifest is not that of the export that was asked for.
func (m *Manifest) fits(cfg Config) error {
	switch {
	case m.Format == 0 || len(m.Cursors) != eventstore.Slices && m.Format <= manifestFormat:
		return fmt.Errorf("%w: its %s is another program's: name a new or an empty folder", ErrOther, manifestName)
	case m.Format > manifestFormat:
		return fmt.Errorf("%w: a newer version of this program made it (manifest format %d): use that version, or a new folder", ErrOther, m.Format)
	case m.Epoch != cfg.Epoch:
		return fmt.Errorf("%w: it holds the events of another store, or of this store before it was restored: export into a new folder, and remove this one when nobody needs it", ErrOther)
	case m.FileFormat != cfg.Format:
		return fmt.Errorf("%w: its files are %s: give --format %s, or a new folder", ErrOther, m.FileFormat, m.FileFormat)
	case !slices.Equal(m.Columns, Columns()):
		return fmt.Errorf("%w: its files have other columns, as another version of this program wrote them: export into a new folder", ErrOther)
	}
	return nil
}

// clean removes what an interrupted export left.
func (m *Manifest) clean(d Dir) error {
	names, err := d.Names()
	if err != nil {
		return err
	}
	for _, name := range names {
		if ours.MatchString(name) && !slices.ContainsFunc(m.Files, func(f File) bool { return f.Name == name }) {
			if err := d.Remove(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// save replaces the manifest in one step, durably.
func (m *Manifest) save(d Dir, cfg Config) error {
	m.Updated = cfg.Clock().UTC()
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return write(d, manifestName, func(w io.Writer) error {
		_, err := w.Write(append(text, '\n'))
		return err
	})
}

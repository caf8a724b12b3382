package export

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// Dir is the folder of an export. Names have no separators. Tests replace it to make each call
// fail; elsewhere it is what OpenDir returns.
type Dir interface {
	// Names returns the names of all files.
	Names() ([]string, error)
	// Open opens a file for reading.
	Open(name string) (io.ReadCloser, error)
	// Size returns the size of a file in bytes.
	Size(name string) (int64, error)
	// Create makes a file, or empties it.
	Create(name string) (Writer, error)
	// Rename gives a file another name, in place of a file that has it.
	Rename(from, to string) error
	Remove(name string) error
	// Sync makes new names durable.
	Sync() error
}

// Writer is a file that is being written.
type Writer interface {
	io.WriteCloser
	// Sync makes what was written durable.
	Sync() error
}

// OpenDir returns a folder, and makes it if it does not exist.
func OpenDir(path string) (Dir, error) {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	return folder(path), nil
}

type folder string

func (f folder) path(name string) string { return filepath.Join(string(f), name) }

func (f folder) Names() ([]string, error) {
	entries, err := os.ReadDir(string(f))
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

func (f folder) Open(name string) (io.ReadCloser, error) { return os.Open(f.path(name)) }

func (f folder) Size(name string) (int64, error) {
	info, err := os.Stat(f.path(name))
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (f folder) Create(name string) (Writer, error) { return os.Create(f.path(name)) }
func (f folder) Rename(from, to string) error       { return os.Rename(f.path(from), f.path(to)) }
func (f folder) Remove(name string) error           { return os.Remove(f.path(name)) }

func (f folder) Sync() error {
	d, err := os.Open(string(f))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func readAll(d Dir, name string) ([]byte, error) {
	f, err := d.Open(name)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(f)
	return text, errors.Join(err, f.Close())
}

// write makes a file whole: under another name first, then durable, then under its own name. If it
// fails, it removes what it began.
func write(d Dir, name string, fill func(io.Writer) error) error {
	f, err := d.Create(name + partSuffix)
	if err != nil {
		return failed(name, err)
	}
	err = fill(f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		// The next export removes it if this one can't.
		return failed(name, errors.Join(err, d.Remove(name+partSuffix)))
	}
	if err := d.Rename(name+partSuffix, name); err != nil {
		return failed(name, err)
	}
	return failed(name, d.Sync())
}

func failed(name string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("export: write %s: %w; free space and run it again: it goes on from the last complete file", name, err)
	}
	return fmt.Errorf("export: write %s: %w", name, err)
}

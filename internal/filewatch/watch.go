package filewatch

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/backstay-go/backstay/internal/strictyaml"
)

const (
	// settle is how long a file must stay as it is before it is read: editors and
	// deployments write in several steps.
	settle = 100 * time.Millisecond
	// unsettled is how long a file that changes all the time is waited for, and one that
	// looks as if its end were still to come.
	unsettled = 2 * time.Second
	// recheck is how often the file is looked at whatever the watcher says: events get
	// lost, network file systems have none, and a link further up may be swapped.
	recheck = 5 * time.Second
)

// Watch calls changed whenever the file's content has another digest than seen returns, until the
// context ends or changed returns an error, which it returns. It runs on the caller's goroutine, as
// seen and changed do. changed must let seen return the digest of the content that it read. Watch
// also returns an error if it can't watch any more. It returns the context's error even while the
// file system does not answer.
func Watch(ctx context.Context, file string, seen func() string, changed func(context.Context) error) error {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch %s: %w", file, err)
	}
	defer watcher.Close()
	folder := filepath.Dir(file)
	if err := watcher.Add(folder); err != nil {
		return fmt.Errorf("watch the folder of %s: %w", file, err)
	}
	w := &watch{file: file, seen: seen, changed: changed, timer: time.NewTimer(0)} // the first look is at once
	defer w.timer.Stop()
	look := time.NewTicker(recheck)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case _, ok := <-watcher.Events:
			if !ok {
				return fmt.Errorf("watch %s: the watcher ended", file)
			}
			w.later()
			continue
		case _, ok := <-watcher.Errors:
			if !ok {
				return fmt.Errorf("watch %s: the watcher ended", file)
			}
			w.timer.Reset(settle) // events may have been lost: look
			continue
		case <-look.C:
			if !w.since.IsZero() {
				continue // the timer looks soon
			}
			// The folder may have been made again; adding it twice does nothing.
			_ = watcher.Add(folder)
		case <-w.timer.C:
		}
		if err := w.look(ctx); err != nil {
			return err
		}
	}
}

// watch is the state of one Watch.
type watch struct {
	file    string
	seen    func() string
	changed func(context.Context) error
	timer   *time.Timer
	since   time.Time // when the first change was noticed that was not looked at
}

// later looks when the file has been left alone.
func (w *watch) later() {
	if w.since.IsZero() {
		w.since = time.Now()
	}
	w.timer.Reset(min(settle, max(0, unsettled-time.Since(w.since))))
}

// look calls changed if the content is news. The error is the context's, or that of changed.
func (w *watch) look(ctx context.Context) error {
	text, err := Within(ctx, func() ([]byte, error) { return Read(w.file) })
	if ctx.Err() != nil {
		return ctx.Err()
	}
	news := Digest(text, err) != w.seen()
	if news && err == nil && unfinished(text) && (w.since.IsZero() || time.Since(w.since) < unsettled) {
		w.later()
		return nil
	}
	w.since = time.Time{}
	if !news {
		return nil
	}
	return w.changed(ctx)
}

// unfinished reports whether the end of a text may still be to come.
func unfinished(text []byte) bool { return !bytes.HasSuffix(text, []byte("\n")) }

// Within waits for f, but not longer than the context: a network file system may never answer.
// The goroutine of f then ends when the file system does.
func Within[T any](ctx context.Context, f func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		v, err := f()
		done <- result{v, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

// Digest tells contents apart, and why there is none.
func Digest(text []byte, err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "missing"
	case err != nil:
		return err.Error()
	}
	sum := sha256.Sum256(text)
	return string(sum[:])
}

// Read reads a file that can be read again: no pipe, no device. A file that changes while it
// is read is read once more.
func Read(file string) ([]byte, error) {
	for try := 1; ; try++ {
		before, err := os.Stat(file)
		switch {
		case err != nil:
			return nil, fmt.Errorf("%w; the file must exist and be readable", err)
		case !before.Mode().IsRegular():
			return nil, fmt.Errorf("%s is no regular file, and can't be watched; give a file", file)
		}
		text, err := strictyaml.ReadFile(file)
		if err != nil {
			return nil, err
		}
		after, err := os.Stat(file)
		if try == 3 || err == nil && os.SameFile(before, after) && before.ModTime().Equal(after.ModTime()) && before.Size() == after.Size() {
			return text, nil
		}
	}
}

package policyfile

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
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

// Watch reloads the file whenever its content is another than the one that was read last, until
// the context ends, and calls onReload with what came of it: what is doubtful, and nil or why the
// old policies stay. It runs on the caller's goroutine, as onReload does. It returns the context's
// error, even while the file system does not answer, or why it can't watch any more.
//
// It watches the folder, so that a file replaced by renaming and the symbolic links of Kubernetes
// are seen at once, and looks at the file itself every 5 s, which sees the rest. A burst of changes
// is one: the file is read when it has been left alone for 100 ms, or after 2 s. A file that is
// empty, or whose last line has no end, is taken for half written and left alone for 2 s.
func (s *Set) Watch(ctx context.Context, onReload func([]Problem, error)) error {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("policyfile: watch %s: %w", s.file, err)
	}
	defer watcher.Close()
	folder := filepath.Dir(s.file)
	if err := watcher.Add(folder); err != nil {
		return fmt.Errorf("policyfile: watch the folder of %s: %w", s.file, err)
	}
	w := &watch{Set: s, onReload: onReload, timer: time.NewTimer(0)} // the first look is at once
	defer w.timer.Stop()
	look := time.NewTicker(recheck)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case _, ok := <-watcher.Events:
			if !ok {
				return fmt.Errorf("policyfile: watch %s: the watcher ended", s.file)
			}
			w.later()
			continue
		case _, ok := <-watcher.Errors:
			if !ok {
				return fmt.Errorf("policyfile: watch %s: the watcher ended", s.file)
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
	*Set
	onReload func([]Problem, error)
	timer    *time.Timer
	since    time.Time // when the first change was noticed that was not looked at
}

// later looks when the file has been left alone.
func (w *watch) later() {
	if w.since.IsZero() {
		w.since = time.Now()
	}
	w.timer.Reset(min(settle, max(0, unsettled-time.Since(w.since))))
}

// look reloads the file if its content is news. The error is the context's.
func (w *watch) look(ctx context.Context) error {
	text, err := within(ctx, func() ([]byte, error) { return contentOf(w.file) })
	if ctx.Err() != nil {
		return ctx.Err()
	}
	w.mu.Lock()
	news := digest(text, err) != w.seen
	w.mu.Unlock()
	if news && err == nil && unfinished(text) && (w.since.IsZero() || time.Since(w.since) < unsettled) {
		w.later()
		return nil
	}
	w.since = time.Time{}
	if !news {
		return nil
	}
	r, _ := within(ctx, func() (*reading, error) { return w.read(), nil })
	if ctx.Err() != nil {
		return ctx.Err()
	}
	w.onReload(w.take(r))
	return nil
}

// unfinished reports whether the end of a text may still be to come.
func unfinished(text []byte) bool { return !bytes.HasSuffix(text, []byte("\n")) }

// within waits for f, but not longer than the context: a network file system may never answer.
// The goroutine of f then ends when the file system does.
func within[T any](ctx context.Context, f func() (T, error)) (T, error) {
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

// digest tells contents apart, and why there is none.
func digest(text []byte, err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "missing"
	case err != nil:
		return err.Error()
	}
	sum := sha256.Sum256(text)
	return string(sum[:])
}

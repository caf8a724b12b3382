package policyfile

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// settle is how long a file must stay as it is before it is read: editors and
	// deployments write in several steps.
	settle = 100 * time.Millisecond
	// unsettled is how long a file that changes all the time is waited for.
	unsettled = 2 * time.Second
	// recheck is how often the file is looked at whatever the watcher says: events get
	// lost, network file systems have none, and a link further up may be swapped.
	recheck = 5 * time.Second
)

// Watch calls changed whenever the content of the file is another than before, or the
// file has gone, until the context ends. It returns the context's error, or why it
// can't watch at all. What the file holds when Watch begins is no change; a Set knows
// what it has read, and misses nothing in between.
//
// It watches the folder, so that a file replaced by renaming and the symbolic links of
// Kubernetes are seen at once, and looks at the file itself every 5 s, which sees the
// rest. A burst of changes is one: the file is read when it has been left alone for
// 100 ms, or after 2 s.
func Watch(ctx context.Context, file string, changed func()) error {
	seen := contentOf(file)
	return watch(ctx, file, func(now string) bool {
		before := seen
		seen = now
		return now != before
	}, changed)
}

// watch is Watch, told whether a content is news.
func watch(ctx context.Context, file string, news func(string) bool, changed func()) error {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("policyfile: watch %s: %w", file, err)
	}
	defer watcher.Close()
	folder := filepath.Dir(file)
	if err := watcher.Add(folder); err != nil {
		return fmt.Errorf("policyfile: watch the folder of %s: %w", file, err)
	}
	look := time.NewTicker(recheck)
	defer look.Stop()
	// The first look is at once: the file may have changed before the watcher was there.
	timer := time.NewTimer(0)
	defer timer.Stop()
	var since time.Time // the first event that was not looked at
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case _, ok := <-watcher.Events:
			if !ok {
				return fmt.Errorf("policyfile: watch %s: the watcher ended", file)
			}
			if since.IsZero() {
				since = time.Now()
			}
			timer.Reset(min(settle, max(0, unsettled-time.Since(since))))
			continue
		case _, ok := <-watcher.Errors:
			if !ok {
				return fmt.Errorf("policyfile: watch %s: the watcher ended", file)
			}
			timer.Reset(settle) // events may have been lost: look
			continue
		case <-look.C:
			if !since.IsZero() {
				continue // the timer looks soon
			}
			// The folder may have been made anew; adding it twice does nothing.
			_ = watcher.Add(folder)
		case <-timer.C:
			since = time.Time{}
		}
		if news(contentOf(file)) {
			changed()
		}
	}
}

func contentOf(file string) string { return digest(os.ReadFile(file)) }

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

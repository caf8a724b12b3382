package rulefile

import (
	"context"
	"fmt"
	"sync"

	"github.com/backstay-go/backstay/internal/filewatch"
)

// Watched is a file of rules that is watched. It is safe for concurrent use and need not be closed.
type Watched struct {
	file string

	mu   sync.Mutex
	seen string
	now  Rules
	bad  error
}

// Open loads a file, and returns an error if it is bad.
func Open(file string) (*Watched, error) {
	w := &Watched{file: file}
	if _, err := w.reload(func(Rules) error { return nil }); err != nil {
		return nil, err
	}
	return w, nil
}

// File returns the name of the file.
func (w *Watched) File() string { return w.file }

// Rules returns the rules in force.
func (w *Watched) Rules() Rules {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

// Err returns why the content of the file is not in force, or nil.
func (w *Watched) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.bad
}

// Watch reads the file whenever its content changes, until the context ends. It calls take with rules
// that are good; an error of take refuses them. Then it calls onReload: with the rules that were in
// force before, and nil or the reason why they stay. It runs on the goroutine
// of its caller, as onReload does (take may run on another one), and returns the context's error, or why it can't watch any more.
func (w *Watched) Watch(ctx context.Context, take func(Rules) error, onReload func(before Rules, err error)) error {
	digest := func() string {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.seen
	}
	return filewatch.Watch(ctx, w.file, digest, func(ctx context.Context) error {
		before, err := filewatch.Within(ctx, func() (Rules, error) { return w.reload(take) })
		if ctx.Err() != nil {
			return ctx.Err()
		}
		onReload(before, err)
		return nil
	})
}

// reload reads the file, and returns the rules of before.
func (w *Watched) reload(take func(Rules) error) (before Rules, err error) {
	text, err := filewatch.Read(w.file)
	digest := filewatch.Digest(text, err)
	var next Rules
	if err == nil {
		next, err = Parse(w.file, text)
	} else {
		err = fmt.Errorf("rulefile: %w", err)
	}
	if err == nil {
		err = take(next)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	before, w.seen, w.bad = w.now, digest, err
	if err == nil {
		w.now = next
	}
	return before, err
}

package policyfile

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/backstay-go/backstay/resilience"
)

// Set is the guards of one file. It is safe for concurrent use. Who opened it closes
// it; Watch is its only goroutine, and the caller's own.
type Set struct {
	file    string
	options []resilience.Option

	mu     sync.Mutex
	guards map[string]*resilience.Guard
	closed bool
}

// Open loads the file and makes its guards.
func Open(file string, options ...resilience.Option) (*Set, error) {
	policies, _, err := Load(file)
	if err != nil {
		return nil, err
	}
	s := &Set{file: file, options: options, guards: map[string]*resilience.Guard{}}
	for name, p := range policies {
		g, err := resilience.New(p, options...)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("policyfile: %s: guards.%s: %w", file, name, err), s.Close())
		}
		s.guards[name] = g
	}
	return s, nil
}

// Guard returns the guard of that name, or an error that names those that exist.
func (s *Set) Guard(name string) (*resilience.Guard, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g := s.guards[name]; g != nil {
		return g, nil
	}
	return nil, fmt.Errorf("policyfile: %s has no guard %q; it has %s", s.file, name, strings.Join(slices.Sorted(maps.Keys(s.guards)), ", "))
}

// Reload reads the file again. A bad file changes nothing. Guards keep their state; one
// that is new in the file is made; one that is missing makes the file bad, because
// callers hold it.
func (s *Set) Reload() error {
	policies, _, err := Load(s.file)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return fmt.Errorf("policyfile: %s: %w", s.file, resilience.ErrClosed)
	}
	for _, name := range slices.Sorted(maps.Keys(s.guards)) {
		if _, ok := policies[name]; !ok {
			return fmt.Errorf("%w: %s: guard %q is in use and missing from the file: put it back, or restart", ErrFile, s.file, name)
		}
	}
	// All were checked; what follows can't refuse one and take another.
	var errs []error
	for name, p := range policies {
		if g := s.guards[name]; g != nil {
			errs = append(errs, g.Update(p))
			continue
		}
		g, err := resilience.New(p, s.options...)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		s.guards[name] = g
	}
	return errors.Join(errs...)
}

// settle is how long a file must stay as it is before it is read: editors and
// deployments write in several steps.
const settle = 100 * time.Millisecond

// Watch reloads the file whenever it changes, until the context ends, and tells what
// came of it: nil, or why the old policies stay. See the function Watch.
func (s *Set) Watch(ctx context.Context, told func(error)) error {
	return Watch(ctx, s.file, func() { told(s.Reload()) })
}

// Watch calls changed whenever the file was changed, until the context ends, and
// returns the context's error, or why it can't watch any more. It watches the folder,
// so that replacing the file and symbolic links (as Kubernetes makes them) are seen.
func Watch(ctx context.Context, file string, changed func()) error {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("policyfile: watch %s: %w", file, err)
	}
	defer watcher.Close()
	if err := watcher.Add(filepath.Dir(file)); err != nil {
		return fmt.Errorf("policyfile: watch the folder of %s: %w", file, err)
	}
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case _, ok := <-watcher.Events:
			if !ok {
				return fmt.Errorf("policyfile: watch %s: the watcher ended", file)
			}
			timer.Reset(settle)
		case _, ok := <-watcher.Errors:
			if !ok {
				return fmt.Errorf("policyfile: watch %s: the watcher ended", file)
			}
			timer.Reset(settle) // Events may have been lost: look.
		case <-timer.C:
			changed()
		}
	}
}

// Close closes the guards.
func (s *Set) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	var errs []error
	for _, g := range s.guards {
		errs = append(errs, g.Close())
	}
	return errors.Join(errs...)
}

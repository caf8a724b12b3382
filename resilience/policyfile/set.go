package policyfile

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/backstay-go/backstay/resilience"
)

// Set is the guards of one file. It is safe for concurrent use. Who opened it closes
// it; Watch is its only goroutine, and the caller's own.
type Set struct {
	file    string
	environ []string
	options []resilience.Option

	mu     sync.Mutex
	guards map[string]*resilience.Guard
	seen   string // what the file held when it was last read
	closed bool
}

// Open loads the file, with the overrides of environ (os.Environ's form; nil for
// none), and makes its guards. The set keeps to these overrides.
func Open(file string, environ []string, options ...resilience.Option) (*Set, error) {
	s := &Set{file: file, environ: slices.Clone(environ), options: options, guards: map[string]*resilience.Guard{}}
	policies, err := s.load()
	if err != nil {
		return nil, err
	}
	for name, p := range policies {
		g, err := resilience.New(p, options...)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("policyfile: %s: guards.%s: %w", file, name, err), s.Close())
		}
		s.guards[name] = g
	}
	return s, nil
}

// load reads the file, and keeps what it held.
func (s *Set) load() (Policies, error) {
	text, err := os.ReadFile(s.file)
	s.mu.Lock()
	s.seen = digest(text, err)
	s.mu.Unlock()
	if err != nil {
		return nil, unreadable(err)
	}
	policies, _, err := Parse(s.file, text, s.environ...)
	return policies, err
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

// Reload reads the file again. A bad or missing file changes nothing. Guards keep
// their state; one that is new in the file is made; one that is missing makes the file
// bad, because callers hold it.
func (s *Set) Reload() error {
	policies, err := s.load()
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

// Watch reloads the file whenever it changes, until the context ends, and tells what
// came of it: nil, or why the old policies stay. A change since the file was last read
// is not missed. See the function Watch.
func (s *Set) Watch(ctx context.Context, told func(error)) error {
	return watch(ctx, s.file, func(now string) bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return now != s.seen
	}, func() { told(s.Reload()) })
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

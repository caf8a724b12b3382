package policyfile

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/backstay-go/backstay/internal/filewatch"
	"github.com/backstay-go/backstay/internal/strictyaml"
	"github.com/backstay-go/backstay/resilience"
)

// Set is the guards of one file. It is safe for concurrent use, and all its methods may be called
// from a guard's listener: no lock is held while a listener, an option or a callback of the
// configuration runs. The caller that opened it must close it; it has no goroutine but those of
// Watch.
type Set struct {
	file   string
	config Config

	// reading is held while the file is read and the read gets its number, so that the higher
	// number is the newer content.
	reading sync.Mutex
	reads   int

	mu       sync.Mutex
	guards   map[string]*resilience.Guard
	made     []*resilience.Guard // by the set, which closes them
	seen     string              // a digest of what the file held when it was last read
	accepted *reading            // the newest content that was taken
	pending  *reading            // what is to be applied next
	applying bool                // somebody applies, and takes what is pending too
	closed   bool
}

// reading is what one read of the file brought.
type reading struct {
	number   int
	text     []byte
	err      error // of the read
	doc      *strictyaml.Document
	content  content
	warnings []Problem
	// made are the guards that are new in the file, until the set takes them over.
	made map[string]*resilience.Guard
}

// Open loads the file and makes its guards, or puts its policies in force on those of the
// configuration. Environ and Options of the configuration stay for as long as the set does.
func Open(file string, config Config) (*Set, error) {
	config.Environ, config.Sections, config.Own = slices.Clone(config.Environ), slices.Clone(config.Sections), maps.Clone(config.Own)
	s := &Set{file: file, config: config, guards: map[string]*resilience.Guard{}}
	for name, own := range config.Own {
		if g, ok := own.(*resilience.Guard); ok {
			s.guards[name] = g
		}
	}
	if _, err := s.Reload(); err != nil {
		return nil, errors.Join(err, s.Close())
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

// Guards returns all guards, by name.
func (s *Set) Guards() []*resilience.Guard {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*resilience.Guard
	for _, name := range slices.Sorted(maps.Keys(s.guards)) {
		all = append(all, s.guards[name])
	}
	return all
}

// Warnings returns what is doubtful in the file that is in force.
func (s *Set) Warnings() []Problem {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.accepted == nil {
		return nil
	}
	return slices.Clone(s.accepted.warnings)
}

// Reload reads the file again, and returns what is doubtful in it. A bad or missing file changes
// nothing, in any section. Guards keep their state; one that is new in the file is made. A guard or
// an operation that is missing makes the file bad, because callers hold it: take it out with a
// restart.
//
// If another Reload is at work, such as the one that called the listener that calls this one, that
// one puts the file in force too, before it returns. The content that was read last always wins.
func (s *Set) Reload() ([]Problem, error) {
	return s.take(s.read())
}

// read reads the file, and remembers what it held.
func (s *Set) read() *reading {
	s.reading.Lock()
	defer s.reading.Unlock()
	text, err := filewatch.Read(s.file)
	s.reads++
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = filewatch.Digest(text, err)
	return &reading{number: s.reads, text: text, err: err}
}

// take checks a content and puts it in force.
func (s *Set) take(r *reading) ([]Problem, error) {
	if r.err != nil {
		return nil, fmt.Errorf("policyfile: %w", r.err)
	}
	r.doc, r.content = s.config.read(s.file, r.text)
	for _, part := range r.content.parts {
		r.doc.Check(part.inUse()...)
	}
	r.doc.Check(s.refused(r)...)
	outdated, err := s.accept(r)
	if outdated != nil {
		err = errors.Join(err, outdated.drop())
	}
	if err != nil {
		return r.doc.Problems(), err
	}
	return r.warnings, s.applyPending()
}

// drop closes the guards that were made for a content that is not put in force.
func (r *reading) drop() error {
	var errs []error
	for _, g := range r.made {
		errs = append(errs, g.Close())
	}
	return errors.Join(errs...)
}

// build makes a guard that is new in the content. What a guard refuses is then known before any
// part of the content is put in force.
func (s *Set) build(r *reading, name string) error {
	var options []resilience.Option
	if s.config.Options != nil {
		options = s.config.Options(name)
	}
	g, err := resilience.New(r.content.guards[name], options...)
	if err != nil {
		return err
	}
	if r.made == nil {
		r.made = map[string]*resilience.Guard{}
	}
	r.made[name] = g
	return nil
}

// refused are the policies that the guards of the set, new guards, or the program's own updaters
// refuse.
func (s *Set) refused(r *reading) (found []Problem) {
	next := r.content.guards
	for _, name := range slices.Sorted(maps.Keys(next)) {
		var err error
		switch own := s.updater(name).(type) {
		case nil:
			err = s.build(r, name)
		case interface {
			CheckUpdate(resilience.Policy) error
		}:
			err = own.CheckUpdate(next[name])
		}
		if invalid := (*resilience.PolicyError)(nil); errors.As(err, &invalid) {
			for _, f := range invalid.Findings {
				found = append(found, Problem{Field: Key + "." + name + "." + f.Field, Message: f.Problem, Suggestion: f.Change})
			}
			continue
		}
		if err != nil && !errors.Is(err, resilience.ErrClosed) {
			found = append(found, Problem{Field: Key + "." + name, Message: "can't be put in force: " + err.Error(), Suggestion: "put it back, or restart"})
		}
	}
	return found
}

// accept makes a content the one to be applied next, if it is good and nothing newer is there. It
// returns the content that is not applied: this one, or one that was pending; nil if there is none.
func (s *Set) accept(r *reading) (outdated *reading, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return r, fmt.Errorf("policyfile: %s: %w", s.file, resilience.ErrClosed)
	}
	if s.accepted != nil {
		if s.accepted.number > r.number {
			return r, nil
		}
		r.doc.Check(missing(s.accepted.content.guards, r.content.guards)...)
	}
	if err := r.doc.Err(); err != nil {
		return r, err
	}
	r.warnings = r.doc.Problems()
	outdated = s.pending
	s.accepted, s.pending = r, r
	return outdated, nil
}

// missing are the guards and operations that are in use and not in the new policies.
func missing(now, next Policies) (found []Problem) {
	for _, name := range slices.Sorted(maps.Keys(now)) {
		p, ok := next[name]
		if !ok {
			found = append(found, Problem{Field: Key + "." + name, Message: "is in use and missing from the file", Suggestion: "put it back, or restart"})
			continue
		}
		if now[name].Default.Stale != nil && p.Default.Stale == nil {
			found = append(found, noStale(name+".default"))
		}
		for _, op := range slices.Sorted(maps.Keys(now[name].Operations)) {
			if _, ok := p.Operations[op]; !ok {
				found = append(found, Problem{Field: Key + "." + name + ".operations." + op, Message: "is in use and missing from the file", Suggestion: "put it back, or restart"})
			} else if now[name].Operations[op].Stale != nil && p.Operations[op].Stale == nil {
				found = append(found, noStale(name+".operations."+op))
			}
		}
	}
	return found
}

// noStale: calls that remember values are refused by an operation that allows none of them.
func noStale(operation string) Problem {
	return Problem{Field: Key + "." + operation + ".stale", Message: "is in use and missing from the file", Suggestion: "put it back, with a max_age of 1ms to serve nothing stale, or restart"}
}

// applyPending puts the pending content in force. If another call is already at work, that one does
// it before it returns.
func (s *Set) applyPending() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.applying {
		return nil
	}
	s.applying = true
	defer func() { s.applying = false }()
	var errs []error
	for s.pending != nil {
		r := s.pending
		s.pending = nil
		func() {
			s.mu.Unlock()
			defer s.mu.Lock()
			errs = append(errs, s.apply(r))
		}()
	}
	return errors.Join(errs...)
}

// apply puts a content in force that was checked as a whole, so that no part of it is refused
// any more. A guard that the program closed meanwhile is left alone.
func (s *Set) apply(r *reading) error {
	var errs []error
	c := r.content
	for _, name := range slices.Sorted(maps.Keys(c.guards)) {
		switch u := s.updater(name); {
		case u == nil:
			s.add(name, r)
		default:
			if err := u.Update(c.guards[name]); !errors.Is(err, resilience.ErrClosed) {
				errs = append(errs, err)
			}
		}
	}
	for _, part := range c.parts {
		errs = append(errs, part.use())
	}
	return errors.Join(append(errs, r.drop())...)
}

// updater is what has the policy of that name; nil if nothing has.
func (s *Set) updater(name string) Updater {
	if own := s.config.Own[name]; own != nil {
		return own
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if g := s.guards[name]; g != nil {
		return g
	}
	return nil
}

// add takes over a guard that was made for a content. A set that was closed meanwhile does not.
func (s *Set) add(name string, r *reading) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g := r.made[name]; g != nil && !s.closed {
		s.guards[name], s.made = g, append(s.made, g)
		delete(r.made, name)
	}
}

// Close closes the guards that the set made.
func (s *Set) Close() error {
	s.mu.Lock()
	s.closed = true
	made := slices.Clone(s.made)
	s.mu.Unlock()
	var errs []error
	for _, g := range made {
		errs = append(errs, g.Close())
	}
	return errors.Join(errs...)
}

package schema

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

var (
	// ErrUnfit: the stored schema is not one that this program can work on. The text says why,
	// and what to do.
	ErrUnfit = errors.New("the store's schema does not fit")
	// ErrLockLost: another process has taken the lock over. Nothing is damaged: run Apply again.
	ErrLockLost = errors.New("schema: the lock was lost to another process: try again")
)

// Status compares the store with the schema. It changes nothing.
func (s Schema) Status(ctx context.Context, db Database) (Status, error) {
	progress, err := db.Progress(ctx)
	if err != nil {
		return Status{}, fmt.Errorf("schema: read the record: %w", err)
	}
	st := s.compare(progress)
	if len(st.Problems) > 0 {
		return st, nil
	}
	columns, err := db.Columns(ctx)
	if err != nil {
		return Status{}, fmt.Errorf("schema: read the columns: %w", err)
	}
	st.Problems = s.differences(columns)
	return st, nil
}

// compare compares the recorded steps with the known ones.
func (s Schema) compare(progress []Progress) Status {
	st := Status{Needed: len(s.Steps)}
	for n, p := range progress {
		switch {
		case p.Number != n+1:
			st.Problems = append(st.Problems, fmt.Sprintf("the store has recorded step %d where step %d should be: restore a backup", p.Number, n+1))
			return st
		case n >= len(s.Steps) && p.Breaks:
			st.Problems = append(st.Problems, fmt.Sprintf("the store has step %d (%s), which programs that don't know it can't work with; this program knows %d steps: run a newer program", p.Number, p.Name, len(s.Steps)))
		case n < len(s.Steps) && p.Name != s.Steps[n].Name:
			st.Problems = append(st.Problems, fmt.Sprintf("step %d of the store is %q, and %q here: it is another program's store", p.Number, p.Name, s.Steps[n].Name))
			return st
		}
		if !p.Complete {
			if n < len(s.Steps) {
				st.Begun = p.Done
			}
			break
		}
		st.Version++
	}
	if st.Version < len(s.Steps) {
		st.Pending = s.Steps[st.Version:]
		var names []string
		for _, p := range st.Pending {
			names = append(names, p.Name)
		}
		st.Problems = append(st.Problems, fmt.Sprintf("the store has %d of %d schema steps and lacks: %s; run licensesvc schema apply", st.Version, len(s.Steps), strings.Join(names, ", ")))
	}
	return st
}

// differences returns the columns that are missing or have another type. Further columns are
// allowed: a newer program may have added them.
func (s Schema) differences(found map[string]map[string]string) (problems []string) {
	for _, table := range slices.Sorted(maps.Keys(s.Tables)) {
		if found[table] == nil {
			problems = append(problems, fmt.Sprintf("table %s is missing: restore it from a backup", table))
			continue
		}
		for _, column := range slices.Sorted(maps.Keys(s.Tables[table])) {
			want := s.Tables[table][column]
			switch got, ok := found[table][column]; {
			case !ok:
				problems = append(problems, fmt.Sprintf("table %s has no column %s (%s): restore it from a backup", table, column, want))
			case got != want:
				problems = append(problems, fmt.Sprintf("column %s of table %s has type %s, not %s: restore it from a backup", column, table, got, want))
			}
		}
	}
	return problems
}

// Apply takes the steps that the store lacks and returns the status after that. A step that
// removes data is taken only if lose contains its name; if it is not, no step is taken. An error
// that matches ErrUnfit means that the store can't be brought to this schema.
func (s Schema) Apply(ctx context.Context, db Database, lose ...string) (Status, error) {
	if err := s.Check(); err != nil {
		return Status{}, err
	}
	st, err := s.Status(ctx, db)
	if err != nil || len(st.Pending) == 0 {
		return st, errors.Join(err, unfit(st))
	}
	lock, err := db.Lock(ctx)
	if err != nil {
		return st, fmt.Errorf("schema: take the lock: %w", err)
	}
	err = s.take(ctx, db, lock, lose)
	// The lock is given back also if the context has ended.
	if err = errors.Join(err, lock.Release(context.WithoutCancel(ctx))); err != nil {
		return st, err
	}
	st, err = s.Status(ctx, db)
	return st, errors.Join(err, unfit(st))
}

// Plan returns the status, with the steps that Apply would take. An error that matches ErrUnfit
// means that Apply would take none.
func (s Schema) Plan(ctx context.Context, db Database, lose ...string) (Status, error) {
	st, err := s.Status(ctx, db)
	switch {
	case err != nil:
		return st, err
	case len(st.Pending) == 0:
		return st, unfit(st)
	}
	return st, st.takeable(lose)
}

// takeable returns an error if the pending steps can't be taken.
func (s Status) takeable(lose []string) error {
	if len(s.Problems) > 1 { // One says that steps are pending.
		return unfit(s)
	}
	for _, step := range s.Pending {
		if step.Loses != "" && !slices.Contains(lose, step.Name) {
			return fmt.Errorf("%w: step %q removes data (%s) and is taken only if it is named; nothing was done", ErrUnfit, step.Name, step.Loses)
		}
	}
	return nil
}

// take takes the pending steps under the lock. What is pending is read again, because another
// process may have had the lock before.
func (s Schema) take(ctx context.Context, db Database, lock Lock, lose []string) error {
	progress, err := db.Progress(ctx)
	if err != nil {
		return err
	}
	st := s.compare(progress)
	if len(st.Pending) == 0 {
		return nil
	}
	if err := st.takeable(lose); err != nil {
		return err
	}
	for n := st.Version; n < len(s.Steps); n++ {
		from := 0
		if n == st.Version {
			from = st.Begun
		}
		if err := s.run(ctx, db, lock, n, from); err != nil {
			return fmt.Errorf("schema: step %d (%s): %w", n+1, s.Steps[n].Name, err)
		}
	}
	return nil
}

// run takes a step from a statement on. After a crash the statement that was running runs again.
func (s Schema) run(ctx context.Context, db Database, lock Lock, n, from int) error {
	step := s.Steps[n]
	p := Progress{Number: n + 1, Name: step.Name, Breaks: step.Breaks, Done: from}
	if err := lock.Record(ctx, p); err != nil { // This proves that the lock is held.
		return err
	}
	for p.Done < len(step.Statements) {
		st := step.Statements[p.Done]
		there := false
		if st.Column != "" {
			columns, err := db.Columns(ctx)
			if err != nil {
				return err
			}
			_, there = columns[st.Table][st.Column]
		}
		if !there {
			if err := lock.Run(ctx, st.Text); err != nil {
				return fmt.Errorf("statement %d: %w", p.Done+1, err)
			}
		}
		p.Done++
		p.Complete = p.Done == len(step.Statements)
		if err := lock.Record(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// unfit returns the status's problems as an error, or nil if there are none.
func unfit(st Status) error {
	if st.OK() {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrUnfit, st)
}

// Ensure brings a store to the schema before it is used. If keep is set it takes no step, and a
// store that lacks one is refused. Steps that remove data are never taken here.
func (s Schema) Ensure(ctx context.Context, db Database, keep bool) error {
	if !keep {
		_, err := s.Apply(ctx, db)
		return err
	}
	st, err := s.Status(ctx, db)
	return errors.Join(err, unfit(st))
}

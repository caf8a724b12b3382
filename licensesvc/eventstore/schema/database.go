package schema

import "context"

// Progress is one step as the store has recorded it.
type Progress struct {
	Number int
	Name   string
	// Done is the number of statements that were run. Complete says that all were.
	Done     int
	Complete bool
	Breaks   bool
}

// Database is a store whose schema is kept in steps.
type Database interface {
	// Progress returns the recorded steps, in order. A store without a record has none.
	Progress(ctx context.Context) ([]Progress, error)
	// Columns returns the type of each column that exists, by table.
	Columns(ctx context.Context) (map[string]map[string]string, error)
	// Lock waits for the lock under which steps are taken, and prepares the record. The caller
	// must release the lock.
	Lock(ctx context.Context) (Lock, error)
}

// Lock is the right to take steps. It can be lost; every call then fails with ErrLockLost.
type Lock interface {
	// Run runs a statement and returns once the whole store has taken it over.
	Run(ctx context.Context, statement string) error
	// Record stores a step's progress. It stores nothing if the lock was lost.
	Record(ctx context.Context, p Progress) error
	// Release gives the lock back.
	Release(ctx context.Context) error
}

package policyfile

import (
	"context"
	"fmt"

	"github.com/backstay-go/backstay/internal/filewatch"
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
	err := filewatch.Watch(ctx, s.file, s.digest, func(ctx context.Context) error {
		r, _ := filewatch.Within(ctx, func() (*reading, error) { return s.read(), nil })
		if ctx.Err() != nil {
			return ctx.Err()
		}
		onReload(s.take(r))
		return nil
	})
	if ctx.Err() != nil {
		return err
	}
	return fmt.Errorf("policyfile: %w", err)
}

// digest returns the digest of what the file held when it was last read.
func (s *Set) digest() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen
}

package filewatch

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestAFileSystemThatDoesNotAnswer keeps nobody longer than the context: a dead network file
// system may hold a read for ever.
func TestAFileSystemThatDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		answer := make(chan struct{})
		defer close(answer) // the goroutine ends when the file system answers
		began := time.Now()
		_, err := Within(ctx, func() (int, error) { <-answer; return 1, nil })
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Minute {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		if n, err := Within(t.Context(), func() (int, error) { return 1, nil }); n != 1 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	})
}

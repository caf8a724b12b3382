package record_test

import (
	"context"
	"io"
	"testing"

	"github.com/backstay-go/backstay/resilience"
	"github.com/backstay-go/backstay/resilience/record"
)

// BenchmarkRecorded shows what a record adds to a call.
func BenchmarkRecorded(b *testing.B) {
	call := func(context.Context) (int, error) { return 1, nil }
	run := func(b *testing.B, options ...resilience.Option) {
		p := policy()
		p.Bulkhead.Limit = 64
		g, err := resilience.New(p, options...)
		if err != nil {
			b.Fatal(err)
		}
		defer g.Close()
		b.ReportAllocs()
		for b.Loop() {
			if _, err := resilience.Do(context.Background(), g, call); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("unheard", func(b *testing.B) { run(b) })
	b.Run("recorded", func(b *testing.B) {
		w, err := record.NewWriter(io.Discard, record.Options{MaxBytes: 1 << 50})
		if err != nil {
			b.Fatal(err)
		}
		run(b, resilience.WithListener(w))
		if err := w.Close(); err != nil {
			b.Fatal(err)
		}
	})
}

package resilience

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// section is one table: contenders that do the same work, and the row that the
// others are held against.
type section struct {
	title, against string
	refused        bool
	more           bool // compare by difference, not by ratio
	rows           []contender
	// bar says in the table what ours must reach.
	bar string
}

var sections = []section{
	{title: "The call succeeds; all policies on that the library has", against: "context.WithTimeout", rows: happy,
		bar: "The bar for Backstay: at most 0.31 x `context.WithTimeout`, at most 0.5 x cep21/circuit, 1 allocation, and no fewer calls with two cores than with one."},
	{title: "The breaker is open", against: "gobreaker alone", refused: true, rows: open,
		bar: "The bar: as fast as gobreaker's open path (61 ns where it was set, and 60 for us), no allocation."},
	{title: "The bulkhead is full", against: "gobreaker, open", refused: true, rows: full,
		bar: "The bar is that of the open breaker."},
	{title: "The call selects on its context", against: "context.WithTimeout", rows: selecting,
		bar: "The bar: at most 0.9 x `context.WithTimeout`, 4 allocations."},
	{title: "The operation hedges, and no hedge is needed", against: "context.WithTimeout and a goroutine", rows: hedging,
		bar: "The bar: at most 700 ns, 4 allocations."},
	{title: "Somebody listens", against: "no listener", more: true, rows: heard,
		bar: "The bar: at most 2 allocations and 500 ns more than no listener while spans are not sampled; bound metrics (package telemetry/bound) included. With metrics of the SDK it can't be reached: the last two rows are the SDK's own part."},
}

// rounds of one table; the best of each row counts, and rows take turns, so that
// what else the machine does falls on all.
const (
	rounds = 60
	slice  = 5 * time.Millisecond
)

// measured is one row's best times, ns a call.
type measured struct{ serial, parallel, allocs float64 }

// TestCost measures every row and, with -write, writes cost.md. What does not
// depend on the machine, the allocations of our own rows, is held to the bar.
func TestCost(t *testing.T) {
	var page strings.Builder
	fmt.Fprintf(&page, "# What a call costs\n\nMade by `make bench`: %s, best of %d rounds of %v in turn, ns a call. Ratios count, not times.\n", machine(), rounds, slice)
	for _, s := range sections {
		results := measure(t, s)
		base := results[slices.IndexFunc(s.rows, func(c contender) bool { return c.name == s.against })].serial
		column, against := "x "+s.against, func(ns float64) string { return fmt.Sprintf("%.2f", ns/base) }
		if s.more {
			column, against = "more than "+s.against, func(ns float64) string { return fmt.Sprintf("%.0f", ns-base) }
		}
		fmt.Fprintf(&page, "\n## %s\n%s\n\n| | one caller | one caller per core | %s | allocations |\n|-|-|-|-|-|\n", s.title, s.bar, column)
		for i, r := range results {
			fmt.Fprintf(&page, "| %s | %.0f | %.0f | %s | %.0f |\n", s.rows[i].name, r.serial, r.parallel, against(r.serial), r.allocs)
			if most := s.rows[i].allocs; most != unbounded && r.allocs > float64(most) {
				t.Errorf("%s: %s: %v allocations; want at most %d", s.title, s.rows[i].name, r.allocs, most)
			}
		}
	}
	write(t, "cost.md", page.String())
}

func measure(t *testing.T, s section) []measured {
	ctx := t.Context()
	calls := make([]func(context.Context) error, len(s.rows))
	results := make([]measured, len(s.rows))
	for i, c := range s.rows {
		calls[i] = c.make(t)
		if err := calls[i](ctx); (err != nil) != s.refused {
			t.Fatalf("%s: %v", c.name, err)
		}
		results[i].allocs = testing.AllocsPerRun(100, func() { _ = calls[i](ctx) })
	}
	n := rounds
	if !*writes {
		n = 1 // the figures are not kept
	}
	for range n {
		for i, call := range calls {
			serial, parallel := serially(ctx, call), atOnce(ctx, call)
			if r := &results[i]; r.serial == 0 {
				r.serial, r.parallel = serial, parallel
			} else {
				r.serial, r.parallel = min(r.serial, serial), min(r.parallel, parallel)
			}
		}
	}
	return results
}

// BenchmarkCost has the same rows for profiles and single looks.
func BenchmarkCost(b *testing.B) {
	for _, s := range sections {
		for _, c := range s.rows {
			call := c.make(b)
			b.Run(s.title+"/"+c.name+"/serial", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					_ = call(b.Context())
				}
			})
			b.Run(s.title+"/"+c.name+"/parallel", func(b *testing.B) {
				b.ReportAllocs()
				ctx := b.Context()
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						_ = call(ctx)
					}
				})
			})
		}
	}
}

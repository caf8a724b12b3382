package cassandra

import (
	"errors"
	"fmt"

	"github.com/backstay-go/backstay/clients/cassandra/internal/driver"
	"github.com/backstay-go/backstay/resilience"
)

// Outcome is the outcome of a conditional write.
type Outcome uint8

// The outcomes of a conditional write.
const (
	// NotRun: the write was certainly not done; the error says why. The zero value.
	NotRun Outcome = iota
	// Applied: the conditions held, and the write was done.
	Applied
	// NotApplied: the conditions did not hold. Current has the values that are stored.
	NotApplied
	// Unknown: the write may have been done, or may be done later. The error matches
	// ErrOutcomeUnknown. Read at a serial level to find out; do not simply repeat the
	// write.
	Unknown
)

// String returns not run, applied, not applied or unknown.
func (o Outcome) String() string {
	switch o {
	case NotRun:
		return "not run"
	case Applied:
		return "applied"
	case NotApplied:
		return "not applied"
	}
	return "unknown"
}

// CASResult is the outcome of a conditional write.
type CASResult struct {
	Outcome Outcome
	// Current holds, if the write was not applied, the values that made the conditions
	// fail: one map per row, by column. Null is nil. A row that does not exist has no
	// columns. A column that can't be read is left out.
	Current []map[string]any
	Info    Info
}

// Applied reports whether the write was done.
func (r CASResult) Applied() bool { return r.Outcome == Applied }

// appliedColumn is the first column of the answer to a conditional write.
const appliedColumn = "[applied]"

// CAS runs a conditional statement. If it is known whether the statement was applied,
// the error is nil. An unknown outcome has both an Outcome and an error.
func (q *Query) CAS() (CASResult, error) {
	x, err := q.execution(nil)
	if err == nil && !x.st.conditional {
		err = x.wrong("it has no IF; run it with Exec")
	}
	if err != nil {
		return CASResult{}, err
	}
	res, err := x.cas(q.context())
	q.info = res.Info
	return res, err
}

// ScanCAS is CAS in gocql's form: it scans the values that made the conditions fail
// into dest, one pointer per column. Without dest they are dropped.
func (q *Query) ScanCAS(dest ...any) (applied bool, err error) {
	x, err := q.execution(nil)
	if err == nil && !x.st.conditional {
		err = x.wrong("it has no IF; run it with Exec")
	}
	if err != nil {
		return false, err
	}
	page, info, err := x.run(q.context())
	q.info = info
	if err != nil {
		return false, err
	}
	return x.scanApplied(page, dest)
}

// scanApplied first reads whether the write was applied, and then the values for dest.
// So a value that does not fit does not hide the outcome.
func (x *execution) scanApplied(page driver.Page, dest []any) (applied bool, err error) {
	columns := len(page.Columns())
	all := make([]any, columns)
	if columns == 0 || page.Rows() == 0 {
		return false, x.noOutcome(errNoRow)
	}
	if columns > 1 && len(dest) > 0 && len(dest) != columns-1 {
		return false, x.wrong(fmt.Sprintf("ScanCAS has %d values, and there are %d columns", len(dest), columns-1))
	}
	all[0] = &applied
	for i := 1; i < columns && i <= len(dest); i++ {
		all[i] = dest[i-1]
	}
	if !page.Next(all...) {
		return applied, x.unreadable(page.Err())
	}
	return applied, nil
}

// MapScanCAS is CAS in gocql's form: it puts the values that made the conditions fail
// into the map.
func (q *Query) MapScanCAS(into map[string]any) (applied bool, err error) {
	res, err := q.CAS()
	if err == nil && len(res.Current) > 0 {
		for name, v := range res.Current[0] {
			into[name] = v
		}
	}
	return res.Applied(), err
}

var (
	errNoRow     = errors.New("the answer has no row")
	errNoApplied = errors.New("the answer has no [applied]")
)

// noOutcome is the error of an answer that does not say whether the write was applied.
func (x *execution) noOutcome(err error) error {
	return &Error{Kind: ErrOutcomeUnknown, OutcomeUnknown: true, Sent: true, Code: -1, Message: err.Error(), Statement: x.st.shown,
		verdict: resilience.Verdict{Outcome: resilience.Ignored, Repeat: resilience.RepeatNever}}
}

// casOf reads the answer of a conditional write. It reads separately whether the write
// was applied, so that this is known even if a part of the row can't be read.
func casOf(page driver.Page) (CASResult, error) {
	res := CASResult{Outcome: NotApplied}
	first := true
	for {
		row, ok := page.Row()
		if !ok {
			break
		}
		applied, ok := row[appliedColumn].(bool)
		if !ok && first {
			return CASResult{Outcome: Unknown}, errNoApplied
		}
		if first && applied {
			res.Outcome = Applied
		}
		first = false
		if !applied {
			res.Current = append(res.Current, current(row))
		}
	}
	switch {
	case first && page.Err() != nil:
		return CASResult{Outcome: Unknown}, page.Err()
	case first:
		return CASResult{Outcome: Unknown}, errNoRow
	}
	return res, nil
}

// current is a row of a conditional write's answer without the outcome.
func current(row map[string]any) map[string]any {
	values := make(map[string]any, len(row))
	for name, v := range row {
		if name != appliedColumn {
			values[name] = v
		}
	}
	return values
}

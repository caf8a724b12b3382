package cassandra

import (
	"errors"

	"github.com/backstay-go/backstay/clients/cassandra/internal/driver"
)

// Outcome is what became of a conditional write.
type Outcome uint8

// The outcomes of a conditional write.
const (
	// NotRun: it certainly was not done; the error says why. The zero value.
	NotRun Outcome = iota
	// Applied: its conditions held, and it was done.
	Applied
	// NotApplied: its conditions did not hold. Current has the values that are there.
	NotApplied
	// Unknown: it may have been done, or be done later. The error matches
	// ErrOutcomeUnknown. Find out by reading at a serial level; do not just repeat it.
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
	// Current holds the values that made the conditions fail, a row each, by column,
	// if the write was not applied. A row that does not exist has no columns.
	Current []map[string]any
	Info    Info
}

// Applied reports whether the write was done.
func (r CASResult) Applied() bool { return r.Outcome == Applied }

// appliedColumn is what a conditional write answers first.
const appliedColumn = "[applied]"

// CAS runs a conditional statement. The error is nil if it was applied or not; an
// unknown outcome has both an Outcome and an error.
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

// ScanCAS is CAS in gocql's form: values that made the conditions fail are scanned
// into dest, one pointer a column. Without dest they are dropped.
func (q *Query) ScanCAS(dest ...any) (applied bool, err error) {
	x, err := q.execution(nil)
	if err == nil && !x.st.conditional {
		err = x.wrong("it has no IF; run it with Exec")
	}
	if err != nil {
		return false, err
	}
	page, info, err := x.run(q.context())
	if q.info = info; err != nil {
		return false, err
	}
	it := &Iter{query: q, execution: x, page: page, info: q.info}
	columns := len(page.Columns())
	all := make([]any, columns)
	for i := range all {
		switch {
		case i == 0:
			all[i] = &applied
		case i-1 < len(dest):
			all[i] = dest[i-1]
		}
	}
	if columns > 1 && len(dest) > 0 && len(dest) != columns-1 {
		return false, x.wrong("ScanCAS has another number of values than there are columns")
	}
	if !it.Scan(all...) {
		if it.err != nil {
			return false, it.err
		}
		return false, x.wrong("the answer has no row")
	}
	return applied, nil
}

// MapScanCAS is CAS in gocql's form: the values that made the conditions fail are
// put into the map.
func (q *Query) MapScanCAS(into map[string]any) (applied bool, err error) {
	res, err := q.CAS()
	if err == nil && len(res.Current) > 0 {
		for name, v := range res.Current[0] {
			into[name] = v
		}
	}
	return res.Applied(), err
}

// casOf reads the answer of a conditional write.
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
			return CASResult{Outcome: Unknown}, errors.New("the answer has no [applied]")
		}
		if first && applied {
			res.Outcome = Applied
		}
		first = false
		if !applied {
			delete(row, appliedColumn)
			res.Current = append(res.Current, row)
		}
	}
	if err := page.Err(); err != nil {
		return CASResult{Outcome: Unknown}, err
	}
	if first {
		return CASResult{Outcome: Unknown}, errors.New("the answer has no row")
	}
	return res, nil
}

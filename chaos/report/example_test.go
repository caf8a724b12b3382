package report_test

import (
	"fmt"

	"github.com/backstay-go/backstay/chaos/report"
)

// A report is filled in, decided, and then written.
func ExampleReport_Decide() {
	r := &report.Report{Title: "the catalog is slow", Checks: []report.Check{
		{Name: "faults happened", Precondition: true, Promised: "the plan hits some requests", Seen: "40 of 100", Verdict: report.Passed},
		{Name: "goodput", Promised: "most requests get what they have a right to", Seen: "38 %", Bound: "at least 95 %", Verdict: report.Failed},
	}}
	fmt.Println(r.Decide()) // then r.Save(dir, name), or WriteHTML, WriteJSON and WriteJUnit
	for _, c := range r.Sorted() {
		fmt.Println(c.Verdict, c.Name)
	}
	// Output:
	// failed
	// failed goodput
	// passed faults happened
}

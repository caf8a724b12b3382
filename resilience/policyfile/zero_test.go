package policyfile_test

import (
	"testing"

	"github.com/backstay-go/backstay/resilience/policyfile"
)

// TestAWrittenZeroMeansZero: where a field's zero value in Go stands for its default, a zero
// in a file or a variable says none; where none makes no sense, it is a finding.
func TestAWrittenZeroMeansZero(t *testing.T) {
	const file = `
guards:
  a:
    bulkhead: {limit: 2}
    budget: {ratio: 0, burst: 0}
    breaker: {jitter: 0}
    default: {timeout: 1s, idempotent: true, retry: {max_attempts: 1, base_delay: 0s}, hedge: {delay: 1ms, max_hedges: 0}}
`
	policies, findings, err := policyfile.Parse("a.yaml", []byte(file))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range findings {
		t.Log(f)
	}
	p := policies["a"]
	if p.Budget.Ratio >= 0 || p.Budget.Burst >= 0 || p.Breaker.Jitter >= 0 || p.Default.Retry.BaseDelay >= 0 || p.Default.Hedge.MaxHedges >= 0 {
		t.Errorf("%+v %+v %+v %+v", p.Budget, p.Breaker, p.Default.Retry, p.Default.Hedge)
	}
	if w := p.Worst(); w.Attempts(1000) != 1000 {
		t.Errorf("%d attempts of 1000 calls", w.Attempts(1000))
	}
}

package rulefile_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/backstay-go/backstay/licensesvc/license"
)

// decided returns a member's history, and a request that is granted.
func decided(t testing.TB, rules license.Rules) (license.State, license.Command) {
	h := &history{t: t, rules: rules}
	for i := range 5 {
		h.must(h.grant("premium", fmt.Sprint("d", i%2), fmt.Sprintf("nova-%03d", i), start.Add(time.Duration(i)*time.Hour)))
	}
	return h.state, license.Request{License: "new", Device: "d0", Member: on("premium"), Title: title("nova-009"), At: start.Add(day)}
}

// TestADecisionByDataAllocates at most once more than one by code.
func TestADecisionByDataAllocates(t *testing.T) {
	allocations := func(rules license.Rules) float64 {
		state, c := decided(t, rules)
		return testing.AllocsPerRun(100, func() {
			if _, err := license.Decide(state, c, rules); err != nil {
				t.Fatal(err)
			}
		})
	}
	code := allocations(license.DefaultRules())
	for _, file := range []string{"default.yaml", "example.yaml"} {
		if data := allocations(load(t, file).Rules); data > code+1 {
			t.Errorf("%s: %g allocations, %g by code", file, data, code)
		}
	}
}

// many returns the rules of the example, with one more for each of a thousand titles.
func many(t testing.TB) license.Rules {
	example := load(t, "example.yaml")
	versions := append([]license.Version(nil), example.Versions...)
	for i := range 1000 {
		versions[0].Rules = append(versions[0].Rules, license.Rule{Name: fmt.Sprint("title ", i), When: license.Selector{Titles: []string{fmt.Sprintf("other-%04d", i)}},
			Says: []license.Setting{{Field: license.TitleDownloads, Value: 1}}})
	}
	rules, conflicts := license.Compile(versions...)
	if len(conflicts) > 0 {
		t.Fatal(conflicts)
	}
	return rules
}

// BenchmarkDecide compares rules as data with rules in code. Both are run in turn, so that what
// else the machine does slows both. The metric data/code is the ratio of their medians.
func BenchmarkDecide(b *testing.B) {
	code := license.DefaultRules()
	for _, bench := range []struct {
		name  string
		rules license.Rules
	}{{"default", loaded(b, "default.yaml")}, {"example", loaded(b, "example.yaml")}, {"1000 titles", many(b)}} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			inCode, c := decided(b, code)
			inData, _ := decided(b, bench.rules)
			run := func(state license.State, rules license.Rules) time.Duration {
				began := time.Now()
				for range 10 {
					if _, err := license.Decide(state, c, rules); err != nil {
						b.Fatal(err)
					}
				}
				return time.Since(began)
			}
			var byCode, byData []time.Duration
			for b.Loop() {
				byCode = append(byCode, run(inCode, code))
				byData = append(byData, run(inData, bench.rules))
			}
			slices.Sort(byCode)
			slices.Sort(byData)
			half := len(byCode) / 2
			b.ReportMetric(float64(byData[half])/float64(byCode[half]), "data/code")
			b.ReportMetric(float64(byCode[half].Nanoseconds())/10, "ns/code")
			b.ReportMetric(float64(byData[half].Nanoseconds())/10, "ns/data")
		})
	}
}

func loaded(t testing.TB, file string) license.Rules { return load(t, file).Rules }

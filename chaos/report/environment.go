package report

import (
	"fmt"
	"net/url"
	"os"
	"runtime"
	"strings"
)

// Environment is the machine of a run, without which its figures mean little.
type Environment struct {
	// Go is the version of Go. System is the operating system and the architecture.
	Go     string `json:"go"`
	System string `json:"system"`
	// Processor names the kind of processor, if it is known. Cores is how many the run could use.
	Processor string `json:"processor,omitempty"`
	Cores     int    `json:"cores"`
}

// Here describes this machine.
func Here() Environment {
	return Environment{Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH, Processor: processor(), Cores: runtime.GOMAXPROCS(0)}
}

// processor reads the kind of processor where Linux says it.
func processor() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// String describes the machine in one line. It is empty if it is not known.
func (e Environment) String() string {
	if e.Cores == 0 {
		return ""
	}
	text := fmt.Sprintf("%s, %s, %d cores", e.Go, e.System, e.Cores)
	if e.Processor != "" {
		text += ", " + e.Processor
	}
	return text
}

// Link returns the address of a trace, or an empty string if it is not known where traces are
// shown.
func (r *Report) Link(trace string) string {
	if trace == "" || !strings.Contains(r.TraceURL, "{trace}") {
		return ""
	}
	return strings.ReplaceAll(r.TraceURL, "{trace}", url.PathEscape(trace))
}

// occurring returns those of the values that occur in a bucket.
func (r *Report) occurring(values []Value, in func(bucket int, name string) bool) []legendKey {
	var keys []legendKey
	for i, v := range values {
		for b := range r.Buckets {
			if in(b, v.Name) {
				keys = append(keys, legendKey{v, nuance(values, i)})
				break
			}
		}
	}
	return keys
}

// legendKey is a value in a legend, with its shade.
type legendKey struct {
	Value
	Nuance int
}

// OutcomeLegend returns the outcomes that occurred.
func (r *Report) OutcomeLegend() []legendKey {
	return r.occurring(r.Outcomes, func(b int, name string) bool { return r.Buckets[b].Outcomes[name] > 0 })
}

// SourceLegend returns the sources that occurred, of any dependency.
func (r *Report) SourceLegend() []legendKey {
	return r.occurring(r.Sources, func(b int, name string) bool {
		for _, d := range r.Dependencies {
			if r.Buckets[b].Sources[d+" "+name] > 0 {
				return true
			}
		}
		return false
	})
}

// StateLegend returns the states that occurred in the lanes, in the order in which they did.
func (r *Report) StateLegend() []string {
	var states []string
	seen := map[string]bool{}
	for _, lane := range r.Lanes {
		for _, s := range lane.Spans {
			if !seen[s.State] {
				seen[s.State] = true
				states = append(states, s.State)
			}
		}
	}
	return states
}

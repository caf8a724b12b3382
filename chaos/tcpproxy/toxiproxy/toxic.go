package toxiproxy

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/backstay-go/backstay/chaos"
)

// toxic is one fault of a proxy, as the interface shows it.
type toxic struct {
	Attributes map[string]int64 `json:"attributes"`
	Name       string           `json:"name"`
	Type       string           `json:"type"`
	Stream     string           `json:"stream"`
	Toxicity   float64          `json:"toxicity"`

	kind toxicType
	from time.Duration // when it was made, from the injector's start
}

// change is the body of a request about a toxic.
type change struct {
	Attributes map[string]json.RawMessage `json:"attributes"`
	Name       string                     `json:"name"`
	Type       string                     `json:"type"`
	Stream     string                     `json:"stream"`
	Toxicity   *float64                   `json:"toxicity"`
}

// with returns the toxic changed as a request says. Attributes of other types are left out.
func (t toxic) with(c change) (toxic, *failure) {
	old := t.Attributes
	t.Attributes = map[string]int64{}
	for _, a := range t.kind.attributes() {
		t.Attributes[a.name] = old[a.name]
		raw, ok := c.Attributes[a.name]
		if !ok {
			continue
		}
		var n int64
		if err := json.Unmarshal(raw, &n); err != nil {
			return t, errBody.because(err.Error())
		}
		if n < 0 || n > a.max {
			return t, errBody.because(fmt.Sprintf("%s is %d; give 0 to %d", a.name, n, a.max))
		}
		t.Attributes[a.name] = n
	}
	if c.Toxicity != nil {
		t.Toxicity = *c.Toxicity
	}
	if !(t.Toxicity >= 0 && t.Toxicity <= 1) {
		return t, errBody.because(fmt.Sprintf("toxicity is %g, not from 0 to 1", t.Toxicity))
	}
	return t, nil
}

// rule returns the toxic as a rule of a plan. It returns false if the toxic does nothing.
func (t toxic) rule(dependency string) (chaos.Rule, bool) {
	w := chaos.What{Direction: t.Stream}
	acts := t.kind.fault(t.Attributes, &w)
	return chaos.Rule{Name: t.Name, Where: chaos.Where{Dependency: dependency}, When: chaos.When{From: t.from},
		Often: chaos.Often{Probability: &t.Toxicity}, What: w, TTL: chaos.MaxTTL}, acts
}

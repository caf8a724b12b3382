package toxiproxy

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/backstay-go/backstay/chaos"
)

// attributes are those of each type; all are whole numbers.
var attributes = map[string][]string{
	"latency":    {"latency", "jitter"},
	"bandwidth":  {"rate"},
	"slow_close": {"delay"},
	"timeout":    {"timeout"},
	"reset_peer": {"timeout"},
	"slicer":     {"average_size", "size_variation", "delay"},
	"limit_data": {"bytes"},
}

// toxic is one fault of a proxy, as the interface shows it.
type toxic struct {
	Attributes map[string]int64 `json:"attributes"`
	Name       string           `json:"name"`
	Type       string           `json:"type"`
	Stream     string           `json:"stream"`
	Toxicity   float64          `json:"toxicity"`

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

// with is the toxic with what a request says; attributes of other types are left out.
func (t toxic) with(c change) (toxic, *failure) {
	old := t.Attributes
	t.Attributes = map[string]int64{}
	for _, name := range attributes[t.Type] {
		t.Attributes[name] = old[name]
		raw, ok := c.Attributes[name]
		if !ok {
			continue
		}
		var n int64
		if err := json.Unmarshal(raw, &n); err != nil {
			return t, errBody.because(err.Error())
		}
		if n < 0 {
			return t, errBody.because(fmt.Sprintf("%s is %d, below 0", name, n))
		}
		t.Attributes[name] = n
	}
	if c.Toxicity != nil {
		t.Toxicity = *c.Toxicity
	}
	if !(t.Toxicity >= 0 && t.Toxicity <= 1) {
		return t, errBody.because(fmt.Sprintf("toxicity is %g, not from 0 to 1", t.Toxicity))
	}
	return t, nil
}

// rule is the toxic in the language of plans; false means that it does nothing.
func (t toxic) rule(dependency string) (chaos.Rule, bool) {
	ms := func(name string) time.Duration { return time.Duration(t.Attributes[name]) * time.Millisecond }
	w := chaos.What{Direction: t.Stream}
	some := true
	switch t.Type {
	case "latency":
		w.Kind, w.Delay, w.Jitter = chaos.Latency, ms("latency"), ms("jitter")
		some = w.Delay > 0 || w.Jitter > 0
		if early := w.Jitter - w.Delay; early > 0 {
			// What would have to come before it was sent comes at once.
			last := w.Delay + w.Jitter
			w.Histogram = []chaos.Bucket{{Count: uint64(early)}, {UpTo: last, Count: uint64(last)}}
			w.Delay, w.Jitter = 0, 0
		}
	case "bandwidth":
		w.Kind, w.BytesPerS = chaos.Bandwidth, t.Attributes["rate"]*1000
		some = w.BytesPerS > 0
	case "slow_close":
		w.Kind, w.Delay = chaos.SlowClose, ms("delay")
		some = w.Delay > 0
	case "timeout":
		w.Kind, w.Delay = chaos.Blackhole, ms("timeout")
	case "reset_peer":
		// It waits for the next bytes of its stream, which it keeps.
		w.Kind, w.Delay = chaos.Reset, ms("timeout")
	case "slicer":
		w.Kind, w.ChunkBytes, w.Delay = chaos.Slice, t.Attributes["average_size"], time.Duration(t.Attributes["delay"])*time.Microsecond
		w.ChunkVary = max(0, min(t.Attributes["size_variation"], w.ChunkBytes-1))
		some = w.ChunkBytes > 0
	case "limit_data":
		w.Kind, w.Bytes = chaos.Truncate, t.Attributes["bytes"]
	}
	p := t.Toxicity
	return chaos.Rule{Name: t.Name, Where: chaos.Where{Dependency: dependency}, When: chaos.When{From: t.from},
		Often: chaos.Often{Probability: &p}, What: w, TTL: chaos.MaxTTL}, some
}

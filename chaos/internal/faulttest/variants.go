package faulttest

import (
	"fmt"
	"time"

	"github.com/backstay-go/backstay/chaos"
)

// A Variant is a parameter of a kind, and two faults that differ in it alone.
type Variant struct {
	Kind      chaos.Kind
	Parameter string
	A, B      chaos.What
}

// Name is the kind and the parameter.
func (v Variant) Name() string { return string(v.Kind) + "/" + v.Parameter }

// pair changes two equal faults: both are made fit for the parameter, which b then has or
// has otherwise.
type pair struct{ both, b func(*chaos.What) }

// Variants are those of every parameter of every kind at a place. It panics if a
// parameter is new and has no pair here. unit is the length of delays; answers must be
// longer than 40 bytes.
func Variants(place string, unit time.Duration) []Variant {
	ms := unit
	pairs := map[string]pair{
		"delay":        {nil, func(w *chaos.What) { w.Delay += 2 * ms }},
		"jitter":       {func(w *chaos.What) { w.Delay = 2 * ms }, func(w *chaos.What) { w.Jitter = ms }},
		"distribution": {func(w *chaos.What) { w.Delay, w.Jitter = 2*ms, ms }, func(w *chaos.What) { w.Distribution = chaos.Normal }},
		"shape":        {func(w *chaos.What) { w.Delay, w.Distribution, w.Max = ms, chaos.Pareto, 4*ms }, func(w *chaos.What) { w.Shape = 9 }},
		"histogram":    {nil, func(w *chaos.What) { w.Delay, w.Histogram = 0, []chaos.Bucket{{UpTo: ms}, {UpTo: 3 * ms, Count: 1}} }},
		"max":          {func(w *chaos.What) { w.Delay = 2 * ms }, func(w *chaos.What) { w.Max = ms }},
		"at":           {nil, func(w *chaos.What) { w.At = "after" }},
		"message":      {nil, func(w *chaos.What) { w.Message = "so it says" }},
		"code":         {nil, func(w *chaos.What) { w.Code = "unavailable" }},
		"fields":       {nil, func(w *chaos.What) { w.Fields = map[string]string{"received": "7"} }},
		"status":       {nil, func(w *chaos.What) { w.Status = 307 }},
		"headers":      {nil, func(w *chaos.What) { w.Headers = map[string]string{"X-Harm": "done"} }},
		"body":         {nil, func(w *chaos.What) { w.Body = "another body" }},
		"retry_after":  {nil, func(w *chaos.What) { w.RetryAfter = 7 * time.Second }},
		"direction":    {nil, func(w *chaos.What) { w.Direction = chaos.Upstream }},
		"bytes":        {nil, func(w *chaos.What) { w.Bytes += 3 }},
		"bytes_per_s":  {nil, func(w *chaos.What) { w.BytesPerS = max(8, w.BytesPerS/2) }},
		"chunk_bytes":  {nil, func(w *chaos.What) { w.ChunkBytes += 5 }},
		"chunk_vary":   {func(w *chaos.What) { w.ChunkBytes = 12 }, func(w *chaos.What) { w.ChunkVary = 11 }},
		"after_bytes":  {nil, func(w *chaos.What) { w.AfterBytes = 20 }},
		"after_uptime": {nil, func(w *chaos.What) { w.AfterUptime = 2 * ms }},
		"limit":        {nil, func(w *chaos.What) { w.Limit++ }},
		"period":       {nil, func(w *chaos.What) { w.Period *= 2 }},
		"skew":         {nil, func(w *chaos.What) { w.Skew = -w.Skew }},
		"peers":        {nil, func(w *chaos.What) { w.Peers = []string{"node3"} }},
		"one_way":      {nil, func(w *chaos.What) { w.OneWay = true }},
		"free_bytes":   {nil, func(w *chaos.What) { w.Free = 1 << 20 }},
	}
	var all []Variant
	for _, k := range chaos.Kinds() {
		for _, parameter := range k.At(place) {
			p, ok := pairs[parameter]
			if !ok {
				panic(fmt.Sprintf("faulttest: no pair for the parameter %s of %s", parameter, k.Kind))
			}
			v := Variant{Kind: k.Kind, Parameter: parameter, A: base(k.Kind, ms)}
			if p.both != nil {
				p.both(&v.A)
			}
			v.B = v.A
			p.b(&v.B)
			if place == chaos.CQL && parameter == "direction" && k.Kind != chaos.Truncate && k.Kind != chaos.Corrupt {
				v.B.Direction = chaos.Downstream // upstream is what they do by default
			}
			all = append(all, v)
		}
	}
	return all
}

// base is a fault with what its kind needs, and what makes it visible.
func base(kind chaos.Kind, unit time.Duration) chaos.What {
	w := chaos.What{Kind: kind}
	info, _ := kind.Info()
	for _, parameter := range info.Needs {
		switch parameter {
		case "delay":
			w.Delay = unit
		case "skew":
			w.Skew = time.Hour
		case "status":
			w.Status = 503
		case "limit":
			w.Limit = 1
		case "period":
			w.Period = 3 * time.Minute
		case "bytes_per_s":
			w.BytesPerS = 200
		case "chunk_bytes":
			w.ChunkBytes, w.Delay = 20, unit/4 // pieces that can be distinguished
		case "code":
			w.Code = "write_timeout"
		case "peers":
			w.Peers = []string{"node2"}
		}
	}
	switch kind {
	case chaos.Latency, chaos.SlowBody, chaos.SlowAccept:
		w.Delay = unit
	case chaos.Truncate:
		w.Bytes = 10
	}
	return w
}

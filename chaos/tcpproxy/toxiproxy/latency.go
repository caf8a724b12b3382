package toxiproxy

import "github.com/backstay-go/backstay/chaos"

// latency delivers bytes late, by a time that varies by the jitter.
type latency struct{}

func (latency) attributes() []attribute { return []attribute{ms("latency"), ms("jitter")} }

func (latency) fault(values map[string]int64, w *chaos.What) bool {
	w.Kind, w.Delay, w.Jitter = chaos.Latency, inMS(values["latency"]), inMS(values["jitter"])
	if early := w.Jitter - w.Delay; early > 0 {
		// Bytes whose delay would be negative are delivered at once.
		last := w.Delay + w.Jitter
		w.Histogram = []chaos.Bucket{{Count: uint64(early)}, {UpTo: last, Count: uint64(last)}}
		w.Delay, w.Jitter = 0, 0
		return true
	}
	return w.Delay > 0
}

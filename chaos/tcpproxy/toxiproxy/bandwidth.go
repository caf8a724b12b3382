package toxiproxy

import "github.com/backstay-go/backstay/chaos"

// bandwidth passes rate kilobytes per second; 0 means no limit.
type bandwidth struct{}

func (bandwidth) attributes() []attribute { return []attribute{count("rate")} }

func (bandwidth) fault(values map[string]int64, w *chaos.What) bool {
	w.Kind, w.BytesPerS = chaos.Bandwidth, values["rate"]*1000
	return w.BytesPerS > 0
}

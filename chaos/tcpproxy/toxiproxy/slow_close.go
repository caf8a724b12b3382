package toxiproxy

import "github.com/backstay-go/backstay/chaos"

// slowClose passes the end of the stream on late.
type slowClose struct{}

func (slowClose) attributes() []attribute { return []attribute{ms("delay")} }

func (slowClose) fault(values map[string]int64, w *chaos.What) bool {
	w.Kind, w.Delay = chaos.SlowClose, inMS(values["delay"])
	return w.Delay > 0
}

package toxiproxy

import "github.com/backstay-go/backstay/chaos"

// timeout swallows data and closes the connection after a time; 0 means never.
type timeout struct{}

func (timeout) attributes() []attribute { return []attribute{ms("timeout")} }

func (timeout) fault(values map[string]int64, w *chaos.What) bool {
	w.Kind, w.Delay = chaos.Blackhole, inMS(values["timeout"])
	return true
}

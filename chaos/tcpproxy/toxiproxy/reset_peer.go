package toxiproxy

import "github.com/backstay-go/backstay/chaos"

// resetPeer resets the connection some time after the next bytes of its stream arrive. It
// does not pass those bytes on.
type resetPeer struct{}

func (resetPeer) attributes() []attribute { return []attribute{ms("timeout")} }

func (resetPeer) fault(values map[string]int64, w *chaos.What) bool {
	w.Kind, w.Delay = chaos.Reset, inMS(values["timeout"])
	return true
}

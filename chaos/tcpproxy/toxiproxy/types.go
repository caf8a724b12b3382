package toxiproxy

import (
	"time"

	"github.com/backstay-go/backstay/chaos"
)

// A toxicType is one type of toxic. Each has a file.
type toxicType interface {
	// attributes returns the attributes, all whole numbers, that the type takes.
	attributes() []attribute
	// fault fills in what a toxic with these attributes does; the direction is already set
	// to that of the toxic's stream. It returns false if the toxic does nothing.
	fault(values map[string]int64, w *chaos.What) bool
}

// types lists the types of Toxiproxy.
var types = map[string]toxicType{
	"bandwidth":  bandwidth{},
	"latency":    latency{},
	"limit_data": limitData{},
	"noop":       noop{},
	"reset_peer": resetPeer{},
	"slicer":     slicer{},
	"slow_close": slowClose{},
	"timeout":    timeout{},
}

// typeOf returns the type of that name: one of Toxiproxy's, or else a kind of fault on TCP.
func typeOf(name string) (toxicType, bool) {
	if t, ok := types[name]; ok {
		return t, true
	}
	kind := chaos.Kind(name)
	return faultKind{kind}, kind.AppliesTo(chaos.TCP)
}

// maxCount is the highest value of an attribute that is not a time.
const maxCount = 1 << 50

// An attribute is a whole number from 0 to max.
type attribute struct {
	name string
	max  int64
}

// count makes an attribute that is not a time.
func count(name string) attribute { return attribute{name, maxCount} }

// length makes an attribute that is a time in a unit. No fault lasts longer than
// chaos.MaxTTL.
func length(name string, unit time.Duration) attribute {
	return attribute{name, int64(chaos.MaxTTL / unit)}
}

// ms makes an attribute that is a time in milliseconds.
func ms(name string) attribute { return length(name, time.Millisecond) }

// inMS returns the value of a time attribute in milliseconds.
func inMS(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

package toxiproxy

import (
	"time"

	"github.com/backstay-go/backstay/chaos"
)

// slicer sends bytes in pieces, with a delay in microseconds between the pieces.
type slicer struct{}

func (slicer) attributes() []attribute {
	return []attribute{count("average_size"), count("size_variation"), length("delay", time.Microsecond)}
}

func (slicer) fault(values map[string]int64, w *chaos.What) bool {
	w.Kind, w.ChunkBytes, w.Delay = chaos.Slice, values["average_size"], time.Duration(values["delay"])*time.Microsecond
	w.ChunkVary = max(0, min(values["size_variation"], w.ChunkBytes-1))
	return w.ChunkBytes > 0
}

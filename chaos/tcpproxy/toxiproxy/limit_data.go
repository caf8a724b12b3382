package toxiproxy

import "github.com/backstay-go/backstay/chaos"

// limitData closes the connection after a number of bytes.
type limitData struct{}

func (limitData) attributes() []attribute { return []attribute{count("bytes")} }

func (limitData) fault(values map[string]int64, w *chaos.What) bool {
	w.Kind, w.Bytes = chaos.Truncate, values["bytes"]
	return true
}

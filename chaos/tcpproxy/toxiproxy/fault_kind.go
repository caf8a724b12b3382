package toxiproxy

import (
	"slices"

	"github.com/backstay-go/backstay/chaos"
)

// faultKind is a type of toxic for a kind of fault of plans. It has the name of the kind.
// Its attributes are the parameters that are whole numbers, with times in milliseconds.
type faultKind struct{ kind chaos.Kind }

func (k faultKind) parameters() []string {
	info, _ := k.kind.Info()
	return info.At(chaos.TCP)
}

func (k faultKind) attributes() []attribute {
	var all []attribute
	for _, p := range k.parameters() {
		switch p {
		case "delay", "jitter", "max", "after_uptime":
			all = append(all, ms(p))
		case "bytes", "bytes_per_s", "chunk_bytes", "chunk_vary", "after_bytes":
			all = append(all, count(p))
		case "limit":
			all = append(all, attribute{p, 1<<31 - 1})
		}
	}
	return all
}

func (k faultKind) fault(values map[string]int64, w *chaos.What) bool {
	w.Kind = k.kind
	if !slices.Contains(k.parameters(), "direction") {
		w.Direction = ""
	}
	w.Delay, w.Jitter, w.Max, w.AfterUptime = inMS(values["delay"]), inMS(values["jitter"]), inMS(values["max"]), inMS(values["after_uptime"])
	w.Bytes, w.BytesPerS, w.AfterBytes = values["bytes"], values["bytes_per_s"], values["after_bytes"]
	w.ChunkBytes, w.ChunkVary, w.Limit = values["chunk_bytes"], values["chunk_vary"], int(values["limit"])
	return true
}

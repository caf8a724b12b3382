package toxiproxy

import "github.com/backstay-go/backstay/chaos"

// noop does nothing.
type noop struct{}

func (noop) attributes() []attribute                  { return nil }
func (noop) fault(map[string]int64, *chaos.What) bool { return false }

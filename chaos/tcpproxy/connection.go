package tcpproxy

import (
	"maps"
	"slices"
	"time"
)

// Connection is one open connection, at one moment.
type Connection struct {
	// Client is the address that it came from. Began is when it was accepted.
	Client string    `json:"client"`
	Began  time.Time `json:"began"`
	// Up and Down are the bytes that were passed to the upstream and to the client.
	Up   int64 `json:"up_bytes"`
	Down int64 `json:"down_bytes"`
	// Faults are the rules that were applied to it so far, by name.
	Faults []string `json:"faults"`
}

// Connections lists the open connections, the oldest first: which ones a fault hit,
// and how far each has come.
func (p *Proxy) Connections() []Connection {
	p.mu.Lock()
	relays := slices.Collect(maps.Keys(p.relays))
	p.mu.Unlock()
	all := make([]Connection, 0, len(relays))
	for _, r := range relays {
		r.mu.Lock()
		faults := slices.Sorted(maps.Keys(r.reported))
		r.mu.Unlock()
		all = append(all, Connection{Client: r.clientTCP.RemoteAddr().String(), Began: r.began, Up: r.up.Load(), Down: r.down.Load(), Faults: append([]string{}, faults...)})
	}
	slices.SortFunc(all, func(a, b Connection) int { return a.Began.Compare(b.Began) })
	return all
}

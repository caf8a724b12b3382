package tcpproxy

import (
	"maps"
	"slices"
	"time"
)

// Connection is one open connection, at one moment.
type Connection struct {
	// Client is the address that the connection came from, and Began the time at which
	// it was accepted.
	Client string    `json:"client"`
	Began  time.Time `json:"began"`
	// Up and Down count the bytes that were passed to the upstream and to the client.
	Up   int64 `json:"up_bytes"`
	Down int64 `json:"down_bytes"`
	// Faults are the names of the rules that have acted on it so far.
	Faults []string `json:"faults"`
}

// Connections lists the open connections, the oldest first, with the faults that acted on
// each and the bytes that each has passed.
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

package cqlproxy

import "sync"

// maxPrepared bounds how many statements are known by id. A statement that was forgotten is
// learned again in the same way as one that was prepared before the proxy started.
const maxPrepared = 20_000

// prepared stores statements by the id that nodes gave them. Nodes compute the id from
// keyspace and text, so it means the same on each node. It is safe for concurrent use.
type prepared struct {
	mu        sync.RWMutex
	byID      map[string]*statement
	addresses bool // one of them reads nodes' addresses
}

func (p *prepared) find(id []byte) *statement {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.byID[string(id)]
}

func (p *prepared) learn(id []byte, r *request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.byID == nil {
		p.byID = make(map[string]*statement)
	}
	for old := range p.byID {
		if len(p.byID) < maxPrepared {
			break
		}
		delete(p.byID, old)
	}
	p.byID[string(id)] = r.prepares
	p.addresses = p.addresses || r.addresses()
}

// watches reports whether the answer to an EXECUTE may contain addresses.
func (p *prepared) watches() bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.addresses
}

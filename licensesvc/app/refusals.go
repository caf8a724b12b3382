package app

import (
	"errors"
	"sync"
	"time"

	"github.com/backstay-go/backstay/internal/lru"
	"github.com/backstay-go/backstay/licensesvc/license"
)

// refusals remembers the newest refusals by command, so that the same command gets the same
// answer when it is sent again, whatever has changed meanwhile. It forgets the oldest ones, and
// all when the process ends; such a command is then decided anew. It is safe for concurrent use.
type refusals struct {
	mu     sync.Mutex
	recent *lru.Cache[string, *Refused]
}

// refusalBytes bounds the memory of the remembered refusals.
const refusalBytes = 4 << 20

func newRefusals() *refusals {
	return &refusals{recent: lru.New[string, *Refused](lru.Bounds{Size: refusalBytes}, nil)}
}

// of returns the refusal that the command was answered with before, or nil.
func (r *refusals) of(c *command) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if refused, ok := r.recent.Get(c.entry() + c.Content); ok {
		return refused
	}
	return nil
}

// keep remembers the answer of a command if it is a refusal that the rules gave, and returns it.
// A license that is not there may still arrive through another instance, and a clock may be
// corrected: such a command is decided anew.
func (r *refusals) keep(c *command, err error) error {
	var refused *Refused
	if !errors.As(err, &refused) {
		return err
	}
	switch refused.Code {
	case license.NotFound, license.Invalid, license.IDTaken, license.NewerEvents:
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	key := c.entry() + c.Content
	r.recent.Put(key, refused, int64(512+2*len(key)+len(refused.Detail)+64*len(refused.DecidedOn)), time.Time{}, time.Time{})
	return err
}

package cassandra

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/backstay-go/backstay/licensesvc/eventstore"
)

// place is a decoded cursor: the entry at which to continue, the version of its stream up to which
// events were already read, and the mark of the last entry that was read from.
type place struct {
	position, version int64
	mark              string
}

// sameLife checks that the entry from which a reader read last is still there. In a keyspace that
// was restored from a snapshot it is missing, or was written again with another mark.
func (s *Store) sameLife(ctx context.Context, slice int, at place) error {
	last := at.position - 1
	if at.version > 0 {
		last = at.position
	}
	if last < 0 {
		return nil
	}
	entries, err := s.entries(ctx, ProfileRead, slice, last/pageEntries, last, 1)
	switch {
	case err != nil:
		return failed(fmt.Sprintf("read the log of slice %d", slice), err)
	case len(entries) == 0, entries[0].position != last, entries[0].mark != at.mark:
		return eventstore.ErrEpoch
	}
	return nil
}

func (s *Store) cursor(slice int, at place) eventstore.Cursor {
	return eventstore.Cursor(base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "c2 %s %d %d %d %s", s.epoch, slice, at.position, at.version, at.mark)))
}

func (s *Store) parse(slice int, c eventstore.Cursor) (place, error) {
	bad := func(why string) (place, error) {
		return place{}, fmt.Errorf("%w: cursor of slice %d: %s", eventstore.ErrInvalid, slice, why)
	}
	if slice < 0 || slice >= eventstore.Slices {
		return bad(fmt.Sprintf("there are slices 0 to %d", eventstore.Slices-1))
	}
	if c == "" {
		return place{}, nil
	}
	text, err := base64.RawURLEncoding.DecodeString(string(c))
	parts := strings.Fields(string(text))
	if err != nil || len(parts) < 5 || len(parts) > 6 || parts[0] != "c2" {
		return bad("it is none of this store's")
	}
	if parts[1] != s.epoch {
		return place{}, eventstore.ErrEpoch
	}
	of, err1 := strconv.Atoi(parts[2])
	position, err2 := strconv.ParseInt(parts[3], 10, 64)
	version, err3 := strconv.ParseInt(parts[4], 10, 64)
	switch {
	case errors.Join(err1, err2, err3) != nil || position < 0 || version < 0:
		return bad("it is damaged")
	case of != slice:
		return bad("it is of another slice")
	}
	at := place{position: position, version: version}
	if len(parts) == 6 {
		at.mark = parts[5]
	}
	return at, nil
}

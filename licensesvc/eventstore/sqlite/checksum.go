package sqlite

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/backstay-go/backstay/licensesvc/eventstore"
)

// castagnoli is the table of the CRC-32C polynomial, for which most processors have an
// instruction.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum covers every stored field of an event. Each text is preceded by its length, so that
// moving bytes from one field to the next changes the sum. Tags are added only if there are any:
// older events have none, and keep their sums.
func checksum(e *eventstore.Event) int64 {
	buffer := make([]byte, 0, 512)
	for _, n := range []int64{e.Version, int64(e.Schema), eventstore.Nanos(e.Occurred), eventstore.Nanos(e.Recorded)} {
		buffer = binary.BigEndian.AppendUint64(buffer, uint64(n))
	}
	texts := append(make([]string, 0, 24), e.Stream, e.ID, e.Type, e.Commit, e.Cause, e.Correlation, e.Trace, e.Actor)
	for _, text := range append(texts, e.Tags...) {
		buffer = binary.BigEndian.AppendUint32(buffer, uint32(len(text)))
		buffer = append(buffer, text...)
	}
	return int64(crc32.Update(crc32.Checksum(buffer, castagnoli), castagnoli, e.Data))
}

// undamaged compares an event with its stored checksum.
func undamaged(e *eventstore.Event, stored any) error {
	if sum, ok := stored.(int64); !ok || sum != checksum(e) {
		return fmt.Errorf("%w: event %d of stream %s does not match its checksum: restore a backup, or see licensesvc verify", eventstore.ErrCorrupt, e.Version, e.Stream)
	}
	return nil
}

// misplaced is the error of an event that is not where it belongs.
func misplaced(e *eventstore.Event, stream string, version int64) error {
	return fmt.Errorf("%w: stream %s has event %d of stream %s where version %d should be: restore a backup, or see licensesvc verify", eventstore.ErrCorrupt, stream, e.Version, e.Stream, version)
}

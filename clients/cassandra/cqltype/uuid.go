package cqltype

import (
	"encoding/hex"
	"fmt"
	"time"
)

// UUID is a value of CQL's uuid and timeuuid. Other named types of 16 bytes, such as
// those of UUID libraries, can be bound and scanned too.
type UUID [16]byte

// uuidText is how many bytes a UUID has as text.
const uuidText = 36

// ParseUUID reads the form that String writes, in upper or lower case.
func ParseUUID(text string) (UUID, error) {
	var u UUID
	if len(text) != uuidText || text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-' {
		return UUID{}, fmt.Errorf("cqltype: not a UUID: want 8-4-4-4-12 hexadecimal digits")
	}
	digits := text[:8] + text[9:13] + text[14:18] + text[19:23] + text[24:]
	if _, err := hex.Decode(u[:], []byte(digits)); err != nil {
		return UUID{}, fmt.Errorf("cqltype: not a UUID: want 8-4-4-4-12 hexadecimal digits")
	}
	return u, nil
}

// String returns the UUID in lower case, as 8-4-4-4-12 digits.
func (u UUID) String() string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}

// MarshalText implements encoding.TextMarshaler with String.
func (u UUID) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler with ParseUUID.
func (u *UUID) UnmarshalText(text []byte) (err error) {
	*u, err = ParseUUID(string(text))
	return err
}

// Time returns the time that a UUID of version 1, CQL's timeuuid, holds; the zero time
// for other versions.
func (u UUID) Time() time.Time {
	if u[6]>>4 != 1 {
		return time.Time{}
	}
	ticks := int64(u[6]&0x0f)<<56 | int64(u[7])<<48 | int64(u[4])<<40 | int64(u[5])<<32 |
		int64(u[0])<<24 | int64(u[1])<<16 | int64(u[2])<<8 | int64(u[3])
	// Ticks are of 100 ns, since the Gregorian calendar began.
	const before1970 = 122192928000000000
	ticks -= before1970
	return time.Unix(ticks/1e7, ticks%1e7*100).UTC()
}

package cassandra

import (
	"hash/fnv"
	"math"
)

// filter is a Bloom filter of the commit ids of a sealed bucket. It has no false negatives: an id
// that it does not contain is not in the bucket. Of other ids, it wrongly contains about one in
// two thousand, which costs a read. A bucket takes two bytes per commit, so a stream of 100,000
// commits takes 200 kB.
type filter []byte

const (
	bitsPerID   = 16
	hashesPerID = 11
)

// newFilter makes a filter of all ids. It depends only on them, so all writers make the same.
func newFilter(ids []string) filter {
	f := make(filter, max(8, len(ids)*bitsPerID/8))
	for _, id := range ids {
		f.each(id, func(at *byte, bit byte) bool { *at |= bit; return true })
	}
	return f
}

// mayContain reports whether an id may be in the filter. A nil filter may contain any.
func (f filter) mayContain(id string) bool {
	return len(f) == 0 || f.each(id, func(at *byte, bit byte) bool { return *at&bit != 0 })
}

// each calls do for the bits of an id until it returns false, and reports whether it never did.
func (f filter) each(id string, do func(at *byte, bit byte) bool) bool {
	h := fnv.New64a()
	h.Write([]byte(id)) // never fails
	sum := h.Sum64()
	// The finalizer of MurmurHash3 spreads ids that differ in their last letters only.
	sum ^= sum >> 33
	sum *= 0xff51afd7ed558ccd
	sum ^= sum >> 33
	step := sum>>32 | 1
	for range hashesPerID {
		bit := (sum & math.MaxUint32) % uint64(len(f)*8)
		if !do(&f[bit/8], 1<<(bit%8)) {
			return false
		}
		sum += step
	}
	return true
}

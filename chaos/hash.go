package chaos

import "math"

// A roll generates the random numbers of one decision. It is a pure function of seed,
// rule, request identity and attempt.
//
// The hash must never change, so it does not use a hash of the standard library. It is
// FNV-1a with 64 bits (http://www.isthe.com/chongo/tech/comp/fnv/) over the parts, each
// text with its length before it, then the finalizer of SplitMix64 (Steele, Lea, Flood,
// "Fast splittable pseudorandom number generators", OOPSLA 2014), because FNV
// alone spreads the last bytes badly. hash_test.go compares it with literal values.
type roll uint64

const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
	golden    = 0x9E3779B97F4A7C15 // increment of SplitMix64: 2^64 / golden ratio
)

func newRoll(seed uint64, rule, identity string, attempt int) roll {
	h := hashWord(fnvOffset, seed)
	h = hashText(h, rule)
	h = hashText(h, identity)
	h = hashWord(h, uint64(attempt))
	return roll(mix(h))
}

func hashWord(h, w uint64) uint64 {
	for range 8 {
		h = (h ^ w&0xff) * fnvPrime
		w >>= 8
	}
	return h
}

func hashText(h uint64, s string) uint64 {
	h = hashWord(h, uint64(len(s)))
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * fnvPrime
	}
	return h
}

func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

// word returns the nth number of the decision, which has 64 random bits.
func (r roll) word(n uint64) uint64 { return mix(uint64(r) + (n+1)*golden) }

// unit returns the nth number as a value in [0, 1).
func (r roll) unit(n uint64) float64 { return float64(r.word(n)>>11) / (1 << 53) }

// normal returns a draw from the standard normal distribution (Box and Muller), which uses
// numbers n and n+1.
func (r roll) normal(n uint64) float64 {
	u := 1 - r.unit(n) // in (0, 1], so that the logarithm exists
	return math.Sqrt(-2*math.Log(u)) * math.Cos(2*math.Pi*r.unit(n+1))
}

// These constants say which number of a decision is used for what. Delays use the numbers
// from drawDelay on.
const (
	drawChosen = 0
	drawBytes  = 1
	drawDelay  = 16
)

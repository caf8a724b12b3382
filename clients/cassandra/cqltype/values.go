package cqltype

import (
	"fmt"
	"math/big"
	"strings"
	"time"
)

// Duration is a value of CQL's duration: months, days and nanoseconds do not convert
// into each other, and all have the same sign.
type Duration struct {
	Months, Days int32
	Nanoseconds  int64
}

// String returns the duration as CQL writes it, for example 1mo2d3h0m0s.
func (d Duration) String() string {
	var b strings.Builder
	months, days, rest := int64(d.Months), int64(d.Days), time.Duration(d.Nanoseconds)
	if months < 0 || days < 0 || rest < 0 {
		b.WriteByte('-')
		months, days, rest = -months, -days, -rest
	}
	if months != 0 {
		fmt.Fprintf(&b, "%dmo", months)
	}
	if days != 0 {
		fmt.Fprintf(&b, "%dd", days)
	}
	if rest != 0 || months == 0 && days == 0 {
		b.WriteString(rest.String())
	}
	return b.String()
}

// Decimal is a value of CQL's decimal: Unscaled x 10^-Scale. A nil Unscaled is zero.
type Decimal struct {
	Unscaled *big.Int
	Scale    int32
}

// String returns all digits, for example -12.50.
func (d Decimal) String() string {
	if d.Unscaled == nil {
		return "0"
	}
	if d.Scale <= 0 {
		text := d.Unscaled.String()
		if d.Scale < 0 && d.Unscaled.Sign() != 0 {
			// Not written out: the scale comes from the server and may be huge.
			return fmt.Sprintf("%se%d", text, -int64(d.Scale))
		}
		return text
	}
	const longest = 1000
	if d.Scale > longest {
		return fmt.Sprintf("%se-%d", d.Unscaled, d.Scale)
	}
	digits := new(big.Int).Abs(d.Unscaled).String()
	if missing := int(d.Scale) + 1 - len(digits); missing > 0 {
		digits = strings.Repeat("0", missing) + digits
	}
	point := len(digits) - int(d.Scale)
	sign := ""
	if d.Unscaled.Sign() < 0 {
		sign = "-"
	}
	return sign + digits[:point] + "." + digits[point:]
}

// Entry is one entry of a map whose keys Go can't use as keys, such as map<list<int>, text>.
type Entry struct{ Key, Value any }

// Unset as a bound value leaves its column as it is, where nil would delete it. It needs
// Cassandra 2.2 (protocol 4) or later, and does not stand inside another value.
type Unset struct{}

package report

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/backstay-go/backstay/chaos/load"
	"github.com/backstay-go/backstay/internal/quantile"
)

// Latencies holds the latency of every request of an interval of a run, the shortest first, in
// whole microseconds, so that any quantile of them is exact. In JSON it is base64 of unsigned
// varints, as in package encoding/binary. Each is the difference from the one before. A
// request takes about two bytes.
type Latencies []time.Duration

// LatenciesOf returns the latencies of the samples, measured from the time at which each was
// meant to start.
func LatenciesOf(samples []load.Sample) Latencies {
	all := make(Latencies, 0, len(samples))
	for _, s := range samples {
		all = append(all, max(0, s.Latency()).Truncate(time.Microsecond))
	}
	slices.Sort(all)
	return all
}

// Quantile returns the shortest latency within which at least the share q of the requests
// ended, or 0 if there are no requests.
func (l Latencies) Quantile(q float64) time.Duration { return quantile.Of(l, q) }

// Interval returns bounds between which the quantile lies in 95 of 100 runs that differ by
// chance alone. The ranks of a quantile have a binomial distribution.
func (l Latencies) Interval(q float64) (from, to time.Duration) {
	if len(l) == 0 {
		return 0, 0
	}
	n := float64(len(l))
	spread := 1.96 * math.Sqrt(n*q*(1-q))
	return l[l.rank(math.Floor(n*q-spread))], l[l.rank(math.Ceil(n*q+spread)+1)]
}

// rank returns the index of the nth latency, counted from 1.
func (l Latencies) rank(n float64) int { return int(min(max(n, 1), float64(len(l)))) - 1 }

// MarshalText implements encoding.TextMarshaler.
func (l Latencies) MarshalText() ([]byte, error) {
	var raw []byte
	last := int64(0)
	for _, d := range l {
		us := d.Microseconds()
		if us < last {
			return nil, fmt.Errorf("report: latencies are not sorted: %s after %dµs", d, last)
		}
		raw = binary.AppendUvarint(raw, uint64(us-last))
		last = us
	}
	return base64.StdEncoding.AppendEncode(nil, raw), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (l *Latencies) UnmarshalText(text []byte) error {
	raw, err := base64.StdEncoding.AppendDecode(nil, text)
	if err != nil {
		return fmt.Errorf("report: latencies: %w", err)
	}
	all := Latencies{}
	last := uint64(0)
	for len(raw) > 0 {
		d, n := binary.Uvarint(raw)
		if n <= 0 || d > uint64(math.MaxInt64/int64(time.Microsecond))-last {
			return errors.New("report: latencies: they end in the middle of one, or one is longer than time can be")
		}
		last, raw = last+d, raw[n:]
		all = append(all, time.Duration(last)*time.Microsecond)
	}
	*l = all
	return nil
}

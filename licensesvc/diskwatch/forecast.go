package diskwatch

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// State says what the disk allows.
type State string

// The states of a disk.
const (
	// OK: everything is allowed.
	OK State = "ok"
	// Alarm: everything is allowed, and somebody should act.
	Alarm State = "alarm"
	// Full: only releases, renewals and reads are allowed.
	Full State = "full"
)

// Limits say when a disk is short.
type Limits struct {
	// AlarmDays raises the alarm when fewer days are left. Default: 14.
	AlarmDays float64
	// AlarmBytes raises the alarm when less is free. Default: 4 x FullBytes.
	AlarmBytes int64
	// FullBytes refuses new licenses when less is free, while there is still room
	// for releases and renewals. Default: 256 MiB.
	FullBytes int64
	_         struct{}
}

// Check returns every problem at once.
func (l Limits) Check() error {
	var errs []error
	if l.AlarmDays < 0 {
		errs = append(errs, fmt.Errorf("diskwatch: AlarmDays is %g: give days above zero, or 0 for 14", l.AlarmDays))
	}
	if l.FullBytes < 0 {
		errs = append(errs, fmt.Errorf("diskwatch: FullBytes is %d: give bytes above zero, or 0 for 256 MiB", l.FullBytes))
	}
	if l.AlarmBytes < 0 {
		errs = append(errs, fmt.Errorf("diskwatch: AlarmBytes is %d: give bytes above zero, or 0 for 4 x FullBytes", l.AlarmBytes))
	}
	if l.AlarmBytes > 0 && l.AlarmBytes < l.withDefaults().FullBytes {
		errs = append(errs, fmt.Errorf("diskwatch: AlarmBytes is %d, below FullBytes, %d: the alarm would come after the refusals; raise it", l.AlarmBytes, l.withDefaults().FullBytes))
	}
	return errors.Join(errs...)
}

func (l Limits) withDefaults() Limits {
	if l.AlarmDays == 0 {
		l.AlarmDays = 14
	}
	if l.FullBytes == 0 {
		l.FullBytes = 256 << 20
	}
	if l.AlarmBytes == 0 {
		l.AlarmBytes = 4 * l.FullBytes
	}
	return l
}

// Sample is one look at the disk and the store.
type Sample struct {
	At time.Time
	// Free is what the disk has left, Used what the store takes, in bytes.
	Free, Used int64
	// Events is how many events the store holds.
	Events int64
}

// Forecast is what the samples say.
type Forecast struct {
	State State `json:"state"`
	// Why says what raised an alarm or what is refused; empty when all is well.
	Why           string  `json:"why,omitempty"`
	FreeBytes     int64   `json:"free_bytes"`
	StoreBytes    int64   `json:"store_bytes"`
	Events        int64   `json:"events"`
	BytesPerEvent float64 `json:"bytes_per_event"`
	EventsPerHour float64 `json:"events_per_hour"`
	// DaysLeft until FullBytes is reached. Negative: too early to say, or the store
	// does not grow.
	DaysLeft float64 `json:"days_left"`
}

// minSpan is the time that samples must span before days are forecast from them.
const minSpan = time.Minute

// Predict makes a forecast from samples in the order of time. It takes bytes an
// event over the whole store, and the rate of events as the median of the slopes
// between pairs of samples (Theil-Sen), which a burst or a clean-up does not bend.
func Predict(samples []Sample, limits Limits) Forecast {
	limits = limits.withDefaults()
	f := Forecast{State: OK, DaysLeft: -1}
	if len(samples) == 0 {
		return f
	}
	last := samples[len(samples)-1]
	f.FreeBytes, f.StoreBytes, f.Events = last.Free, last.Used, last.Events
	if last.Events > 0 {
		f.BytesPerEvent = float64(last.Used) / float64(last.Events)
	}
	if last.At.Sub(samples[0].At) >= minSpan {
		f.EventsPerHour = max(0, slope(samples)*3600)
		if perDay := f.EventsPerHour * 24 * f.BytesPerEvent; perDay > 0 {
			f.DaysLeft = max(0, float64(last.Free-limits.FullBytes)/perDay)
		}
	}
	switch {
	case last.Free < limits.FullBytes:
		f.State, f.Why = Full, fmt.Sprintf("%d MiB are free, fewer than the %d MiB kept for releases and renewals; free the disk or give a larger one", last.Free>>20, limits.FullBytes>>20)
	case last.Free < limits.AlarmBytes:
		f.State, f.Why = Alarm, fmt.Sprintf("%d MiB are free; new licenses are refused from %d MiB on", last.Free>>20, limits.FullBytes>>20)
	case f.DaysLeft >= 0 && f.DaysLeft < limits.AlarmDays:
		f.State, f.Why = Alarm, fmt.Sprintf("the disk lasts %.1f days at %.0f events an hour of %.0f bytes each", f.DaysLeft, f.EventsPerHour, f.BytesPerEvent)
	}
	return f
}

// slope is the median of events a second between pairs of samples.
func slope(samples []Sample) float64 {
	var slopes []float64
	for i, a := range samples {
		for _, b := range samples[i+1:] {
			if d := b.At.Sub(a.At).Seconds(); d > 0 {
				slopes = append(slopes, float64(b.Events-a.Events)/d)
			}
		}
	}
	if len(slopes) == 0 {
		return 0
	}
	slices.Sort(slopes)
	mid := len(slopes) / 2
	if len(slopes)%2 == 1 {
		return slopes[mid]
	}
	return (slopes[mid-1] + slopes[mid]) / 2
}

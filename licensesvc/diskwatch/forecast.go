package diskwatch

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// State says which requests the disk still allows.
type State string

// These are the states of a disk.
const (
	// OK means that everything is allowed.
	OK State = "ok"
	// Alarm means that everything is allowed, but somebody should act.
	Alarm State = "alarm"
	// Full means that only releases, renewals and reads are allowed.
	Full State = "full"
)

// Limits say when the disk is running out of space.
type Limits struct {
	// AlarmDays raises the alarm when fewer days than this are left. Default: 14.
	AlarmDays float64
	// AlarmBytes raises the alarm when fewer bytes than this are free. Default: 4 x FullBytes.
	AlarmBytes int64
	// FullBytes makes the service refuse new licenses when fewer bytes than this are free, while
	// there is still room for releases and renewals. Default: 256 MiB.
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

// Sample is one measurement of the disk and the store.
type Sample struct {
	At time.Time
	// Free is the free space on the disk, and Used the size of the store, in bytes.
	Free, Used int64
	// Events is how many events the store holds.
	Events int64
}

// Forecast is the result of Predict.
type Forecast struct {
	State State `json:"state"`
	// Why says why there is an alarm or what is refused. It is empty in the state OK.
	Why           string  `json:"why,omitempty"`
	FreeBytes     int64   `json:"free_bytes"`
	StoreBytes    int64   `json:"store_bytes"`
	Events        int64   `json:"events"`
	BytesPerEvent float64 `json:"bytes_per_event"`
	EventsPerHour float64 `json:"events_per_hour"`
	// DaysLeft is the number of days until only FullBytes are free. It is negative if it is too
	// early to say, or if the store does not grow.
	DaysLeft float64 `json:"days_left"`
}

// minSpan is the time that samples must span before days are forecast from them.
const minSpan = time.Minute

// Predict makes a forecast from samples, which must be in the order of time. The bytes per event
// are an average over the whole store. The rate of events is the median of the slopes between
// pairs of samples (Theil-Sen estimator), so a burst or a clean-up hardly affects it.
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

// slope returns the median of the rates, in events per second, between pairs of samples.
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

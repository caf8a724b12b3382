package license

import (
	"slices"
	"time"
)

// usage says how much of each limit is in use at a moment.
type usage struct {
	// devices are the devices that hold licenses, licenses is the number of these, device of those on
	// the device in question, and studio of those of the studio.
	devices  map[string]bool
	licenses int
	device   int
	studio   int
	// title is the number of licenses for the title within a year, and plays of its plays. month is
	// the number of licenses within the calendar month.
	title int
	plays int
	month int
}

// usageAt counts the use at a moment, for a license. The license named except is not counted as
// held, so that a decision about it does not count it.
func (s State) usageAt(at time.Time, about *License, except string) usage {
	return s.usageUntil(at, at, about, except)
}

// usageUntil is usageAt that also counts the plays after the moment, up to until.
func (s State) usageUntil(at, until time.Time, about *License, except string) usage {
	u := usage{devices: map[string]bool{}}
	from := at.Add(-Year)
	for _, p := range s.licenses {
		l := p.license()
		if l.ID != except && l.ActiveAt(at) {
			u.devices[l.Device] = true
			u.licenses++
			if l.Studio == about.Studio {
				u.studio++
			}
			if l.Device == about.Device {
				u.device++
			}
		}
		if sameMonth(l.Granted, at) {
			u.month++
		}
		if l.Title != about.Title {
			continue
		}
		if l.Granted.After(from) {
			u.title++
		}
		u.plays += l.playsBetween(from, until)
	}
	return u
}

// sameMonth reports whether two times are in one calendar month, in UTC.
func sameMonth(a, b time.Time) bool {
	a, b = a.UTC(), b.UTC()
	return a.Month() == b.Month() && a.Year() == b.Year()
}

// nextMonth returns when the next calendar month begins, in UTC.
func nextMonth(at time.Time) time.Time {
	year, month, _ := at.UTC().Date()
	return time.Date(year, month+1, 1, 0, 0, 0, 0, time.UTC)
}

// frees returns when fewer than limit of the times are within a year, or the zero time if that is
// so already, or never will be. It sorts the times.
func frees(times []time.Time, limit int) time.Time {
	if limit <= 0 || len(times) < limit {
		return time.Time{}
	}
	slices.SortFunc(times, time.Time.Compare)
	return times[len(times)-limit].Add(Year)
}

// moreFrom returns from when more is allowed if what is left is used at a moment.
func moreFrom(times []time.Time, at time.Time, limit, left int) time.Time {
	return frees(append(times, slices.Repeat([]time.Time{at}, left+1)...), limit)
}

// grantTimes returns when licenses for a title were granted within a year.
func (s State) grantTimes(title string, at time.Time) (times []time.Time) {
	for _, p := range s.licenses {
		l := p.license()
		if l.Title == title && l.Granted.After(at.Add(-Year)) {
			times = append(times, l.Granted)
		}
	}
	return times
}

// renewalTimes returns when licenses for a title were renewed within a year.
func (s State) renewalTimes(title string, at time.Time) (times []time.Time) {
	for _, p := range s.licenses {
		l := p.license()
		if l.Title != title {
			continue
		}
		for _, t := range l.Renewed {
			if t.After(at.Add(-Year)) {
				times = append(times, t)
			}
		}
	}
	return times
}

// playTimes returns when plays of a title began within a year. Plays that are only counted by the
// day count for its beginning.
func (s State) playTimes(title string, at time.Time) (times []time.Time) {
	from := at.Add(-Year)
	for _, p := range s.licenses {
		l := p.license()
		if l.Title != title {
			continue
		}
		for _, p := range l.Plays {
			if p.After(from) {
				times = append(times, p)
			}
		}
		for _, d := range l.PlayDays {
			if d.Day >= dayOf(from) {
				times = append(times, slices.Repeat([]time.Time{time.Unix(d.Day*86400, 0).UTC()}, d.Plays)...)
			}
		}
	}
	return times
}

func earliest(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

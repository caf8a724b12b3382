package license_test

import (
	"fmt"
	"math"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/backstay-go/backstay/licensesvc/license"
)

// anyTime draws times of our days, the zero time, and times that are far away or no whole number
// of nanoseconds since 1970 can hold.
func anyTime() *rapid.Generator[time.Time] {
	return rapid.OneOf(
		rapid.Just(time.Time{}),
		rapid.Custom(func(t *rapid.T) time.Time { return time.Unix(0, rapid.Int64().Draw(t, "nanoseconds")).UTC() }),
		rapid.SampledFrom([]time.Time{
			time.Unix(0, 0).UTC(), time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC), time.Date(1600, 1, 1, 0, 0, 0, 0, time.UTC),
			time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC),
		}))
}

// TestAStateKeepsEveryLicense: the form in which a state holds a license loses nothing.
func TestAStateKeepsEveryLicense(t *testing.T) {
	text := rapid.SampledFrom([]string{"", "a", "b-001"})
	count := rapid.OneOf(rapid.IntRange(0, 3), rapid.SampledFrom([]int{math.MaxInt32, math.MaxInt32 + min(1, math.MaxInt-math.MaxInt32)}))
	rapid.Check(t, func(t *rapid.T) {
		var want []license.License
		for n := range rapid.IntRange(0, 4).Draw(t, "licenses") {
			l := license.License{
				ID: fmt.Sprint("l", n), Device: text.Draw(t, "device"), Title: text.Draw(t, "title"), Studio: text.Draw(t, "studio"), Plan: text.Draw(t, "plan"),
				Limits:  license.Limits{Devices: count.Draw(t, "devices"), Licenses: 1, StudioDownloads: 2, TitleDownloads: 3, TitlePlays: 4},
				Granted: anyTime().Draw(t, "granted"), Since: anyTime().Draw(t, "since"), Expires: anyTime().Draw(t, "expires"),
				Playback: time.Duration(rapid.Int64().Draw(t, "playback")), Began: anyTime().Draw(t, "began"), Provisional: rapid.Bool().Draw(t, "provisional"),
				Downloaded: anyTime().Draw(t, "downloaded"), PlayCount: count.Draw(t, "plays"), FirstPlay: anyTime().Draw(t, "first"),
				RenewalCount: count.Draw(t, "renewals"), Released: anyTime().Draw(t, "released"), Revoked: anyTime().Draw(t, "revoked"), Reason: text.Draw(t, "reason"),
			}
			if rapid.Bool().Draw(t, "more") {
				l.Plays, l.PlayDays = []time.Time{anyTime().Draw(t, "play")}, []license.PlayDay{{Day: 3, Plays: 4}}
				l.Renewals, l.Reports, l.Newer = []string{"r"}, []string{"p", "q"}, []string{"license.moved@2"}
			}
			want = append(want, l)
		}
		state := license.Restore(want)
		for _, l := range want {
			got, ok := state.License(l.ID)
			if a, b := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", l); !ok || a != b {
				t.Fatalf("\n%s, want\n%s", a, b)
			}
		}
	})
}

// TestAStateKeepsEveryField: a new field of a license is one that a state holds.
func TestAStateKeepsEveryField(t *testing.T) {
	var want license.License
	fields := reflect.ValueOf(&want).Elem()
	for i := range fields.NumField() {
		switch f := fields.Field(i); v := f.Addr().Interface().(type) {
		case *string:
			*v = fmt.Sprint("text ", i)
		case *int:
			*v = i + 1
		case *bool:
			*v = true
		case *time.Time:
			*v = start.Add(time.Duration(i))
		case *time.Duration:
			*v = time.Duration(i)
		case *license.Limits:
			for n := range f.NumField() {
				f.Field(n).SetInt(int64(n + 1))
			}
		default: // a slice
			f.Set(reflect.MakeSlice(f.Type(), i, i))
		}
		if fields.Field(i).IsZero() {
			t.Errorf("field %s has no value here: give it one", fields.Type().Field(i).Name)
		}
	}
	got, _ := license.Restore([]license.License{want}).License(want.ID)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("\n%+v, want\n%+v", got, want)
	}
}

// TestAStateIsSmall: a member with ten licenses takes less than 3 kB, and one more costs what one
// license takes, not what all take.
func TestAStateIsSmall(t *testing.T) {
	grant := func(n int) license.Granted {
		return license.Granted{License: fmt.Sprintf("lic-%032d", n), Device: "device-a", Title: "meridian-002", Studio: "meridian", Plan: "standard", At: start, Expires: start.Add(time.Hour)}
	}
	var state license.State
	for n := range 10 {
		var err error
		if state, err = license.Fold(state, grant(n)); err != nil {
			t.Fatal(err)
		}
	}
	if size := state.Size(); size > 3000 {
		t.Errorf("%d bytes", size)
	}
	var event license.Event = grant(10)
	if n := testing.AllocsPerRun(100, func() {
		if _, err := license.Fold(state, event); err != nil {
			t.Fatal(err)
		}
	}); n > 6 {
		t.Errorf("one more license: %v allocations", n)
	}
}

package chaostest

import (
	"net/http"
	"testing"
	"time"

	"github.com/backstay-go/backstay/chaos/report"
)

// TestChecksFindWhatIsWrong gives the checks one answer that is wrong in one way each.
func TestChecksFindWhatIsWrong(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	right := seen{kind: askRequest, license: "l1", status: http.StatusCreated, outcome: gotDone, keyed: true,
		call: call{body: map[string]string{"title": "t", "device": "d"}}, granted: grant{Title: "t", Device: "d", Granted: now, Expires: now.Add(time.Hour)}}
	with := func(change func(*seen)) seen {
		s := right
		change(&s)
		return s
	}
	for name, c := range map[string]struct {
		answer seen
		check  func(run) report.Check
		want   report.Verdict
	}{
		"nothing is wrong":   {right, run.sensible, report.Passed},
		"another title":      {with(func(s *seen) { s.granted.Title = "u" }), run.sensible, report.Failed},
		"another device":     {with(func(s *seen) { s.granted.Device = "e" }), run.sensible, report.Failed},
		"it lasts no time":   {with(func(s *seen) { s.granted.Expires = now }), run.sensible, report.Failed},
		"no key":             {with(func(s *seen) { s.keyed = false }), run.sensible, report.Failed},
		"no key on a repeat": {with(func(s *seen) { s.keyed, s.repeated = false, true }), run.sensible, report.Passed},
		"a member is said to be unknown": {with(func(s *seen) { s.outcome, s.code = gotRefused, "membership_unknown" }), func(r run) report.Check {
			r.answers = append(r.answers, right)
			return r.sensible()
		}, report.Failed},
		"shown":               {with(func(s *seen) { s.kind, s.status = askShow, http.StatusOK }), run.nobodyForgotten, report.Passed},
		"said not to exist":   {with(func(s *seen) { s.kind, s.status = askPlay, http.StatusNotFound }), run.nobodyForgotten, report.Failed},
		"a title without one": {with(func(s *seen) { s.status, s.license = http.StatusNotFound, "" }), run.nobodyForgotten, report.Undecided},
	} {
		t.Run(name, func(t *testing.T) {
			if got := c.check(run{answers: []seen{c.answer}, recorder: newRecorder()}); got.Verdict != c.want {
				t.Errorf("%s, %v; want %s", got.Seen, got.Details, c.want)
			}
		})
	}
}

// TestRepeatsAreOfTheWholeRun: every promise is repeated up to a bound, and done requests fill
// the rest.
func TestRepeatsAreOfTheWholeRun(t *testing.T) {
	c := &clients{}
	for n := range 1000 {
		outcome := gotDone
		if n%10 == 0 {
			outcome = gotPromised
		}
		c.all = append(c.all, seen{id: string(rune(n)), kind: askRequest, license: "l", outcome: outcome})
	}
	chosen, promised, last := c.toRepeat(), 0, ""
	for _, s := range chosen {
		if s.outcome == gotPromised {
			promised++
		} else {
			last = s.id
		}
	}
	if len(chosen) != repeats || promised != repeats/2 || last < string(rune(400)) {
		t.Errorf("%d chosen, %d promised, the last done is number %d", len(chosen), promised, []rune(last)[0])
	}
}

package rulefile_test

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/backstay-go/backstay/licensesvc/license"
	"github.com/backstay-go/backstay/licensesvc/rulefile"
)

const day = 24 * time.Hour

var start = time.Date(2026, 11, 10, 12, 0, 0, 0, time.UTC)

func load(t testing.TB, file string) rulefile.Rules {
	t.Helper()
	r, err := rulefile.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func title(id string) license.Title {
	return license.Title{ID: id, Studio: id[:len(id)-4], Known: true, Offline: true, Terms: license.Terms{
		Version: "t1", StudioDownloads: 200, TitleDownloadsPerYear: 20, TitlePlaysPerYear: 50, License: 60 * day, Renewal: 30 * day, Playback: 72 * time.Hour,
	}}
}

func on(plan string) license.Member { return license.Member{Status: license.MemberActive, Plan: plan} }

// history runs commands under rules.
type history struct {
	t      testing.TB
	rules  license.Rules
	state  license.State
	events []license.Event
	n      int
}

func (h *history) try(c license.Command) (license.Decision, *license.Refusal) {
	h.t.Helper()
	d, err := license.Decide(h.state, c, h.rules)
	var refusal *license.Refusal
	if err != nil && !errors.As(err, &refusal) {
		h.t.Fatal(err)
	}
	if err == nil {
		h.state, h.events = d.Next, append(h.events, d.Events...)
	}
	return d, refusal
}

func (h *history) grant(plan, device, film string, at time.Time) (license.Decision, *license.Refusal) {
	h.t.Helper()
	h.n++
	return h.try(license.Request{License: fmt.Sprint("l", h.n), Device: device, Member: on(plan), Title: title(film), At: at})
}

func (h *history) renew(plan, id, film string, at time.Time) (license.Decision, *license.Refusal) {
	h.t.Helper()
	h.n++
	return h.try(license.Renew{License: id, Request: fmt.Sprint("r", h.n), Member: on(plan), Title: title(film), At: at})
}

func (h *history) must(d license.Decision, r *license.Refusal) license.Decision {
	h.t.Helper()
	if r != nil {
		h.t.Fatal(r)
	}
	return d
}

func (h *history) refused(r *license.Refusal, want license.Code, until time.Time) {
	h.t.Helper()
	if r == nil || r.Code != want || !r.Until.Equal(until) {
		h.t.Fatalf("%v, until %v; want %s until %s", r, r, want, until)
	}
}

func warned(d license.Decision, code string) (license.Warning, bool) {
	for _, w := range d.Warnings {
		if w.Code == code {
			return w, true
		}
	}
	return license.Warning{}, false
}

// TestThePublicRules decides by the example file.
func TestThePublicRules(t *testing.T) {
	rules := load(t, "example.yaml").Rules
	t.Run("a hundred downloads on a device", func(t *testing.T) {
		h := &history{t: t, rules: rules}
		for i := range 100 {
			h.must(h.grant("premium", "phone", fmt.Sprintf("nova-%03d", i), start))
		}
		_, r := h.grant("premium", "phone", "other-001", start)
		h.refused(r, license.DeviceDownloadLimit, time.Time{})
	})
	t.Run("30 days, then 48 hours from the first play, and a notice", func(t *testing.T) {
		h := &history{t: t, rules: rules}
		d := h.must(h.grant("basic", "phone", "nova-001", start))
		if end := d.License.ExpiresAt(); !end.Equal(start.Add(30*day)) || !d.License.NoticeFrom().Equal(start.Add(23*day)) {
			t.Errorf("ends %s, notice from %s", end, d.License.NoticeFrom())
		}
		if _, soon := warned(d, license.WarnEndsSoon); soon {
			t.Error("a notice on the first day")
		}
		d = h.must(h.try(license.Play{License: "l1", Report: "p", At: start.Add(25 * day)}))
		if w, soon := warned(d, license.WarnEndsSoon); !soon || w.Left != 2 || !d.License.ExpiresAt().Equal(start.Add(27*day)) {
			t.Errorf("%+v, ends %s", d.Warnings, d.License.ExpiresAt())
		}
	})
	t.Run("devices by plan, removable", func(t *testing.T) {
		h := &history{t: t, rules: rules}
		h.must(h.grant("basic", "phone", "nova-001", start))
		_, r := h.grant("basic", "tablet", "nova-002", start)
		h.refused(r, license.DeviceLimit, time.Time{})
		h.must(h.try(license.Release{License: "l1", At: start}))
		h.must(h.grant("basic", "tablet", "nova-002", start))
	})
	t.Run("a monthly quota", func(t *testing.T) {
		h := &history{t: t, rules: rules}
		for i := range 15 {
			h.must(h.grant("ads", "phone", fmt.Sprintf("nova-%03d", i), start))
		}
		december := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
		_, r := h.grant("ads", "phone", "nova-100", start.Add(5*day))
		h.refused(r, license.MonthLimit, december)
		h.must(h.grant("ads", "phone", "nova-100", december))
	})
	t.Run("a title leaves", func(t *testing.T) {
		h := &history{t: t, rules: rules}
		leaves := time.Date(2027, 4, 1, 0, 0, 0, 0, time.UTC)
		d := h.must(h.grant("basic", "phone", "capstan-002", leaves.Add(-10*day)))
		if !d.License.Expires.Equal(leaves) {
			t.Errorf("ends %s", d.License.Expires)
		}
		_, r := h.renew("basic", "l1", "capstan-002", leaves)
		h.refused(r, license.TitleLeft, time.Time{})
		_, r = h.grant("basic", "phone", "capstan-002", leaves)
		h.refused(r, license.TitleLeft, time.Time{})
	})
	t.Run("no downloads to a television", func(t *testing.T) {
		h := &history{t: t, rules: rules}
		_, r := h.try(license.Request{License: "l", Device: "d", DeviceKind: "tv", Country: "DE", Member: on("premium"), Title: title("nova-001"), At: start})
		h.refused(r, license.PlanWithoutDownload, time.Time{})
	})
	t.Run("the next version decides from its date on", func(t *testing.T) {
		for at, devices := range map[time.Time]int64{start: 2, time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC): 4} {
			r := rules.Resolve(license.Subject{Plan: "standard", At: at})
			if n, _ := r.Value(license.Devices); n != devices {
				t.Errorf("at %s: %d devices by %s", at, n, r.Version)
			}
		}
	})
}

// TestRenewalsAreDecided: by the plan of the day, and by the renewals that the title allows.
func TestRenewalsAreDecided(t *testing.T) {
	rules := load(t, "example.yaml").Rules
	t.Run("after a change to a plan with one device", func(t *testing.T) {
		h := &history{t: t, rules: rules}
		for i := range 4 {
			h.must(h.grant("premium", fmt.Sprint("d", i), fmt.Sprintf("nova-%03d", i), start))
		}
		for i := range 4 {
			_, r := h.renew("basic", fmt.Sprint("l", i+1), fmt.Sprintf("nova-%03d", i), start.Add(day))
			h.refused(r, license.DeviceLimit, time.Time{})
		}
		for _, id := range []string{"l1", "l2", "l3"} {
			h.must(h.try(license.Release{License: id, At: start.Add(day)}))
		}
		d := h.must(h.renew("basic", "l4", "nova-003", start.Add(2*day)))
		if d.License.Plan != "basic" || d.License.Limits.Devices != 1 {
			t.Errorf("%+v", d.License)
		}
		if found := license.Audit(h.events); len(found) > 0 {
			t.Error(found)
		}
	})
	t.Run("of a title, over all its licenses, warned of before the last", func(t *testing.T) {
		h := &history{t: t, rules: rules}
		h.must(h.grant("premium", "phone", "nova-001", start))
		h.must(h.grant("premium", "tablet", "nova-001", start))
		first := start.Add(day)
		for i := range 12 {
			d := h.must(h.renew("premium", fmt.Sprint("l", 1+i%2), "nova-001", first.Add(time.Duration(i)*day)))
			last, isLast := warned(d, license.WarnLastRenewal)
			none, isNone := warned(d, license.WarnNoRenewalLeft)
			if isLast != (i == 10) || isNone != (i == 11) || isLast && (last.Left != 1 || !last.From.Equal(first.Add(license.Year))) || isNone && !none.From.Equal(first.Add(license.Year)) {
				t.Fatalf("renewal %d: %+v", i+1, d.Warnings)
			}
		}
		_, r := h.renew("premium", "l1", "nova-001", first.Add(20*day))
		h.refused(r, license.TitleRenewalLimit, first.Add(license.Year))
	})
	t.Run("none left for a title of once a year", func(t *testing.T) {
		h := &history{t: t, rules: rules}
		h.must(h.grant("premium", "phone", "meridian-002", start))
		d := h.must(h.renew("premium", "l1", "meridian-002", start.Add(day)))
		if w, ok := warned(d, license.WarnNoRenewalLeft); !ok || !w.From.Equal(start.Add(day+license.Year)) {
			t.Errorf("%+v", d.Warnings)
		}
		_, r := h.renew("premium", "l1", "meridian-002", start.Add(2*day))
		h.refused(r, license.TitleRenewalLimit, start.Add(day+license.Year))
	})
}

// commands draws commands over few ids, so that they meet.
func commands(now time.Time) *rapid.Generator[license.Command] {
	return rapid.Custom(func(t *rapid.T) license.Command {
		id := fmt.Sprint("l", rapid.IntRange(0, 12).Draw(t, "license"))
		film := title(fmt.Sprintf("nova-%03d", rapid.IntRange(0, 3).Draw(t, "title")))
		report := fmt.Sprint("r", rapid.IntRange(0, 30).Draw(t, "report"))
		member := on(rapid.SampledFrom([]string{"basic", "standard", "premium", "gold"}).Draw(t, "plan"))
		country := rapid.SampledFrom([]string{"", "DE", "FR"}).Draw(t, "country")
		req := license.Request{License: id, Device: fmt.Sprint("d", rapid.IntRange(0, 4).Draw(t, "device")), Country: country,
			DeviceKind: rapid.SampledFrom([]string{"", "phone", "tv"}).Draw(t, "kind"), Member: member, Title: film, At: now}
		switch rapid.IntRange(0, 8).Draw(t, "kind of command") {
		case 0, 1, 2, 3:
			return req
		case 4:
			return license.Promise{Request: req, Until: now.Add(time.Hour), Now: now}
		case 5:
			return license.Renew{License: id, Request: report, Country: country, Member: member, Title: film, At: now}
		case 6:
			return license.Play{License: id, Report: report, At: now}
		case 7:
			return license.ReportPlay{License: id, Report: report, Occurred: now, At: now}
		}
		return license.Release{License: id, At: now}
	})
}

// TestRulesAsDataEqualRulesInCode over random histories: the same decisions, warnings and refusals.
func TestRulesAsDataEqualRulesInCode(t *testing.T) {
	data, code := load(t, "default.yaml").Rules, license.DefaultRules()
	rapid.Check(t, func(t *rapid.T) {
		var state license.State
		now := start
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 24*20).Draw(t, "pass")) * time.Hour)
			c := commands(now).Draw(t, "command")
			byData, refusedByData := license.Decide(state, c, data)
			byCode, refusedByCode := license.Decide(state, c, code)
			if !reflect.DeepEqual(byData, byCode) || !reflect.DeepEqual(refusedByData, refusedByCode) || data.ProvisionalAt(now) != code.ProvisionalAt(now) {
				t.Fatalf("%+v:\n%+v, %v\n%+v, %v", c, byData, refusedByData, byCode, refusedByCode)
			}
			state = byData.Next
			if refusedByData != nil || len(byData.Events) == 0 {
				continue
			}
		}
	})
}

// TestNoHistoryBreaksTheExample: whatever is asked, the audit finds nothing.
func TestNoHistoryBreaksTheExample(t *testing.T) {
	rules := load(t, "example.yaml").Rules
	rapid.Check(t, func(t *rapid.T) {
		var state license.State
		var events []license.Event
		now := start
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 24*10).Draw(t, "pass")) * time.Hour)
			if d, err := license.Decide(state, commands(now).Draw(t, "command"), rules); err == nil && len(d.Events) > 0 {
				state, events = d.Next, append(events, d.Events...)
			}
		}
		if found := license.Audit(events); len(found) > 0 {
			t.Fatalf("%+v", found)
		}
	})
}

// TestTheMostSpecificRuleAnswers against a search that is as slow as it is simple.
func TestTheMostSpecificRuleAnswers(t *testing.T) {
	some := func(names ...string) *rapid.Generator[[]string] {
		return rapid.Custom(func(t *rapid.T) []string {
			if rapid.Bool().Draw(t, "any") {
				return nil
			}
			return names[:rapid.IntRange(1, len(names)).Draw(t, "some")]
		})
	}
	rapid.Check(t, func(t *rapid.T) {
		v := license.Version{Name: "v"}
		for i := range rapid.IntRange(1, 12).Draw(t, "rules") {
			r := license.Rule{Name: fmt.Sprint(i), Says: []license.Setting{{Field: license.Field(rapid.IntRange(0, 2).Draw(t, "field")), Value: int64(i)}}, When: license.Selector{
				Plans: some("p", "q").Draw(t, "plans"), Studios: some("s", "t").Draw(t, "studios"), Titles: some("a", "b").Draw(t, "titles"),
				Countries: some("DE", "FR").Draw(t, "countries"), DeviceKinds: some("tv", "phone").Draw(t, "kinds"),
			}}
			if rapid.Bool().Draw(t, "dated") {
				r.From, r.Until = start, start.Add(day)
			}
			with := license.Version{Rules: append(v.Rules[:len(v.Rules):len(v.Rules)], r)}
			if _, conflicts := license.Compile(with); len(conflicts) == 0 {
				v.Rules = with.Rules
			}
		}
		rules, _ := license.Compile(v)
		q := license.Subject{Plan: rapid.SampledFrom([]string{"p", "q", "r"}).Draw(t, "plan"), Studio: rapid.SampledFrom([]string{"s", "t"}).Draw(t, "studio"),
			Title: rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "title"), Country: rapid.SampledFrom([]string{"DE", "FR", ""}).Draw(t, "country"),
			DeviceKind: rapid.SampledFrom([]string{"tv", "phone", ""}).Draw(t, "kind"), At: start.Add(time.Duration(rapid.IntRange(-1, 2).Draw(t, "days")) * day)}
		got := rules.Resolve(q)
		for _, f := range license.Fields()[:3] {
			want := slowest(v.Rules, q, f)
			rule, ok := got.Rule(f)
			if value, said := got.Value(f); said != ok || ok != (want != nil) || ok && (rule.Name != want.Name || value != want.Says[0].Value) {
				t.Fatalf("%s of %+v: %v, %t, want %v", f, q, rule, ok, want)
			}
		}
	})
}

// slowest finds the rule that answers, by the order in the documentation.
func slowest(rules []license.Rule, q license.Subject, f license.Field) (found *license.Rule) {
	in := func(list []string, v string) bool {
		for _, one := range list {
			if one == v {
				return true
			}
		}
		return len(list) == 0
	}
	more := func(a, b license.Selector) bool {
		for _, pair := range [][2][]string{{a.Titles, b.Titles}, {a.Studios, b.Studios}, {a.Countries, b.Countries}, {a.DeviceKinds, b.DeviceKinds}, {a.Plans, b.Plans}} {
			if (len(pair[0]) > 0) != (len(pair[1]) > 0) {
				return len(pair[0]) > 0
			}
		}
		return false
	}
	for i, r := range rules {
		w := r.When
		holds := in(w.Plans, q.Plan) && in(w.Studios, q.Studio) && in(w.Titles, q.Title) && in(w.Countries, q.Country) && in(w.DeviceKinds, q.DeviceKind) &&
			!q.At.Before(r.From) && (r.Until.IsZero() || q.At.Before(r.Until))
		if holds && r.Says[0].Field == f && (found == nil || more(w, found.When)) {
			found = &rules[i]
		}
	}
	return found
}

package rulefile

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/backstay-go/backstay/internal/plural"
	"github.com/backstay-go/backstay/licensesvc/license"
)

// Explanation says what holds for a subject, and why.
type Explanation struct {
	// Version is the version that decides.
	Version string `json:"version"`
	// Subject is what was asked about.
	Subject string `json:"subject"`
	// Fields has an entry for each field, in the order of the file.
	Fields []Explained `json:"fields"`
}

// Explained says what holds for one field.
type Explained struct {
	Field string `json:"field"`
	// Value is what the rules say, and Rule the rule that says it. Both are empty if no rule says
	// anything.
	Value string `json:"value,omitempty"`
	Rule  string `json:"rule,omitempty"`
	// Sentence says it for people, with the reason.
	Sentence string `json:"sentence"`
	// Instead lists the other rules that say the field, with the reason why each does not answer.
	Instead []string `json:"instead,omitempty"`
}

// Explain says which rule answers for each field of a subject, and why.
func (r Rules) Explain(s license.Subject) Explanation {
	ruling := r.Resolve(s)
	e := Explanation{Version: ruling.Version, Subject: subjectOf(s)}
	version := r.version(ruling.Version)
	for _, f := range license.Fields() {
		e.Fields = append(e.Fields, explain(version, &ruling, s, f))
	}
	return e
}

// version returns a version by its name.
func (r Rules) version(name string) license.Version {
	i := slices.IndexFunc(r.Versions, func(v license.Version) bool { return v.Name == name })
	if i < 0 {
		return license.Version{}
	}
	return r.Versions[i]
}

func explain(v license.Version, ruling *license.Ruling, s license.Subject, f license.Field) Explained {
	e := Explained{Field: f.String()}
	rule, ok := ruling.Rule(f)
	if ok {
		value, _ := ruling.Value(f)
		e.Value, e.Rule = valueOf(f, value), rule.Name
		e.Sentence = fmt.Sprintf("%s. Rule %q answers, which holds for %s%s.", sentenceOf(f, value), rule.Name, rule.When, timesOf(rule))
	} else {
		e.Sentence = nothingSaid[f]
	}
	for _, other := range v.Rules {
		value, says := other.Value(f)
		if !says || other.Name == rule.Name {
			continue
		}
		why := other.Mismatch(s)
		if why == "" {
			why = fmt.Sprintf("rule %q is more specific", rule.Name)
		} else {
			why = "it " + why
		}
		e.Instead = append(e.Instead, fmt.Sprintf("rule %q says %s, but %s.", other.Name, valueOf(f, value), why))
	}
	return e
}

// nothingSaid says what holds if no rule says anything.
var nothingSaid = map[license.Field]string{
	license.Devices:          "No rule allows any device, so there are no downloads.",
	license.Licenses:         "No rule limits the downloads that a member holds.",
	license.DeviceDownloads:  "No rule limits the downloads on one device.",
	license.StudioDownloads:  "No rule limits the downloads of a studio; the catalog's terms do.",
	license.TitleDownloads:   "No rule limits how often the title may be downloaded; the catalog's terms do.",
	license.TitlePlays:       "No rule limits how often the title may be played; the catalog's terms do.",
	license.TitleRenewals:    "No rule limits how often the title's downloads may be renewed.",
	license.MonthDownloads:   "No rule limits the downloads in a month.",
	license.StudioConcurrent: "No rule limits the downloads of the studio over all members.",
	license.LicenseFor:       "No rule says how long an unwatched download lasts; the catalog's terms do.",
	license.RenewalFor:       "No rule says how long a renewed download lasts; the catalog's terms do.",
	license.PlaybackFor:      "No rule says how long a download lasts after its first play; the catalog's terms do.",
	license.NoticeFor:        "No rule asks for a reminder before the end.",
	license.Leaves:           "No rule says that the title leaves.",
}

// sentenceOf says a value in words.
func sentenceOf(f license.Field, value int64) string {
	text := valueOf(f, value)
	switch f {
	case license.Devices:
		if value == 0 {
			return "No device may hold downloads"
		}
		return "At most " + text + " may hold downloads at once"
	case license.Licenses:
		return "A member may hold at most " + text + " at once"
	case license.DeviceDownloads:
		return "A device may hold at most " + text + " at once"
	case license.StudioDownloads:
		return "A member may hold at most " + text + " of the studio, or fewer if the catalog's terms say so"
	case license.TitleDownloads:
		return "The title may be downloaded at most " + text + " within 365 days, or less often if the catalog's terms say so"
	case license.TitlePlays:
		return "The title may be played at most " + text + " within 365 days, or less often if the catalog's terms say so"
	case license.TitleRenewals:
		if value == 0 {
			return "Downloads of the title can't be renewed"
		}
		return "Downloads of the title may be renewed at most " + text + " within 365 days"
	case license.MonthDownloads:
		return "A member may begin at most " + text + " in a calendar month"
	case license.StudioConcurrent:
		return "All members together may hold at most " + text + " of the studio at once"
	case license.LicenseFor:
		return "An unwatched download lasts " + text + ", or less if the catalog's terms say so"
	case license.RenewalFor:
		return "A renewed download lasts " + text + ", or less if the catalog's terms say so"
	case license.PlaybackFor:
		return "A download lasts " + text + " after its first play, or less if the catalog's terms say so"
	case license.NoticeFor:
		return "The member is reminded in the last " + text
	}
	return "The title leaves at " + text + ", and its downloads end"
}

// valueOf returns a value as text, with its unit.
func valueOf(f license.Field, value int64) string {
	switch f {
	case license.Leaves:
		return time.UnixMilli(value).UTC().Format(time.RFC3339)
	case license.LicenseFor, license.RenewalFor, license.PlaybackFor, license.NoticeFor:
		return durationOf(time.Duration(value))
	case license.Devices:
		return count(value, "device")
	case license.TitleDownloads, license.TitlePlays, license.TitleRenewals:
		return count(value, "time")
	}
	return count(value, "download")
}

// durationOf returns a duration in days or hours if it has no smaller parts.
func durationOf(d time.Duration) string {
	switch {
	case d > 0 && d%(24*time.Hour) == 0:
		return count(int64(d/(24*time.Hour)), "day")
	case d > 0 && d%time.Hour == 0:
		return count(int64(d/time.Hour), "hour")
	}
	return d.String()
}

func count(n int64, noun string) string { return plural.Count(int(n), noun) }

// timesOf says when a rule holds, if it does not always.
func timesOf(r license.Rule) string {
	var text string
	if !r.From.IsZero() {
		text += " from " + r.From.Format(time.RFC3339)
	}
	if !r.Until.IsZero() {
		text += " until " + r.Until.Format(time.RFC3339)
	}
	return text
}

// subjectOf describes what is asked about.
func subjectOf(s license.Subject) string {
	var parts []string
	for _, p := range [][2]string{{"plan", s.Plan}, {"studio", s.Studio}, {"title", s.Title}, {"country", s.Country}, {"device kind", s.DeviceKind}} {
		if p[1] == "" {
			parts = append(parts, p[0]+" not known")
			continue
		}
		parts = append(parts, p[0]+" "+p[1])
	}
	return strings.Join(parts, ", ") + ", at " + s.At.UTC().Format(time.RFC3339)
}

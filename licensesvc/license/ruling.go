package license

import (
	"slices"
	"time"
)

// Field is a limit or a term that a rule can set.
type Field int

// These are the fields of a rule. Limits are numbers, durations are nanoseconds, and Leaves is in
// milliseconds since 1970.
const (
	Devices Field = iota
	Licenses
	DeviceDownloads
	StudioDownloads
	TitleDownloads
	TitlePlays
	TitleRenewals
	MonthDownloads
	// StudioConcurrent is the highest number of licenses of the studio's titles that are in force at
	// once, over all members. It needs an event store that checks conditions over several streams.
	StudioConcurrent
	LicenseFor
	RenewalFor
	PlaybackFor
	NoticeFor
	Leaves
	fields
)

var fieldNames = [fields]string{
	"devices", "licenses", "device_downloads", "studio_downloads", "title_downloads_per_year", "title_plays_per_year", "title_renewals_per_year",
	"downloads_per_month", "studio_concurrent", "license", "renewal", "playback", "notice", "leaves",
}

// String returns the name of the field in a file of rules.
func (f Field) String() string { return fieldNames[f] }

// Fields returns all fields.
func Fields() []Field {
	all := make([]Field, fields)
	for i := range all {
		all[i] = Field(i)
	}
	return all
}

// Subject is what rules can depend on.
type Subject struct {
	Plan, Studio, Title string
	// Country and DeviceKind may be empty if they are not known. A rule that names any then does
	// not match.
	Country, DeviceKind string
	// At is the time of the decision.
	At time.Time
}

// Ruling is the answer of the rules for a subject: what each field is, and which rule says so. It
// is a value.
type Ruling struct {
	// Version is the version of the rules that answered.
	Version string
	values  [fields]int64
	by      [fields]int32 // the place of the rule, plus one
	rules   []Rule
}

// Value returns what the rules say about a field, and false if no rule says anything.
func (r *Ruling) Value(f Field) (int64, bool) { return r.values[f], r.by[f] != 0 }

// Rule returns the rule that answered for a field, and false if there is none.
func (r *Ruling) Rule(f Field) (Rule, bool) {
	if i := int(r.by[f]); i > 0 && i <= len(r.rules) {
		return r.rules[i-1], true
	}
	return Rule{}, false
}

func (r *Ruling) set(f Field, value int64, by int32) {
	if r.by[f] == 0 {
		r.values[f], r.by[f] = value, by
	}
}

// least returns what the rules say about a field, or what the title's terms say if that is less.
func (r *Ruling) least(f Field, terms int64) int64 {
	if v, ok := r.Value(f); ok {
		return min(v, terms)
	}
	return terms
}

// Limits returns the limits for a title with the given terms.
func (r *Ruling) Limits(t Terms) Limits {
	l := Limits{
		Devices: int(r.values[Devices]), Licenses: int(r.values[Licenses]), DeviceDownloads: int(r.values[DeviceDownloads]), MonthDownloads: int(r.values[MonthDownloads]),
		StudioDownloads: int(r.least(StudioDownloads, int64(t.StudioDownloads))), TitleDownloads: int(r.least(TitleDownloads, int64(t.TitleDownloadsPerYear))),
		TitlePlays: int(r.least(TitlePlays, int64(t.TitlePlaysPerYear))), TitleRenewals: int(r.values[TitleRenewals]),
	}
	if v, ok := r.Value(TitleRenewals); ok && v == 0 {
		l.TitleRenewals = -1
	}
	return l
}

// Terms returns the terms of a title under the rules. A rule can shorten them, not extend them: they
// are what the studio allows.
func (r *Ruling) Terms(t Terms) Terms {
	t.License = time.Duration(r.least(LicenseFor, int64(t.License)))
	t.Renewal = time.Duration(r.least(RenewalFor, int64(t.Renewal)))
	if v, ok := r.Value(PlaybackFor); ok && (t.Playback == 0 || time.Duration(v) < t.Playback) {
		t.Playback = time.Duration(v)
	}
	return t
}

// Leaves returns when the title leaves, and false if no rule says that it does.
func (r *Ruling) Leaves() (time.Time, bool) {
	v, ok := r.Value(Leaves)
	return time.UnixMilli(v).UTC(), ok
}

// ending returns the end of a license that would last until a time: not after the title leaves.
func (r *Ruling) ending(expires time.Time) time.Time {
	if leaves, ok := r.Leaves(); ok && leaves.Before(expires) {
		return leaves
	}
	return expires
}

func (r *Ruling) noticeSeconds() int64 { return r.values[NoticeFor] / int64(time.Second) }

// Rules are the service's rules for decisions. What a studio allows for a title is not part of them;
// it comes with the title, and rules can only be stricter. Rules do not change once they are made,
// and are safe for concurrent use. Make them with DefaultRules or Compile.
type Rules struct{ versions []version }

// version is one version of the rules.
type version struct {
	name string
	// from is when the version begins to decide, in milliseconds since 1970.
	from        int64
	provisional time.Duration
	// spanning are the names of the rules that depend on the streams of several members.
	spanning []string
	// resolve answers for a subject. It sets what it says in the ruling.
	resolve func(s *Subject, r *Ruling)
}

// IsZero reports whether there are no rules.
func (r Rules) IsZero() bool { return len(r.versions) == 0 }

// Resolve returns what holds for a subject.
func (r Rules) Resolve(s Subject) Ruling {
	var ruling Ruling
	if v := r.at(s.At); v != nil {
		ruling.Version = v.name
		v.resolve(&s, &ruling)
	}
	return ruling
}

// VersionAt returns the version that decides at a time. Events and records refer to it.
func (r Rules) VersionAt(at time.Time) string {
	if v := r.at(at); v != nil {
		return v.name
	}
	return ""
}

// ProvisionalAt returns how long a license lasts that is granted while the event store is not
// available. Zero: no provisional licenses are granted.
func (r Rules) ProvisionalAt(at time.Time) time.Duration {
	if v := r.at(at); v != nil {
		return v.provisional
	}
	return 0
}

// Spanning returns the names of the rules that depend on the streams of several members, as version
// and name. Not every event store can decide by them.
func (r Rules) Spanning() (names []string) {
	for _, v := range r.versions {
		for _, name := range v.spanning {
			names = append(names, v.name+": "+name)
		}
	}
	return names
}

// at returns the newest version that has begun, or the first one if none has.
func (r Rules) at(at time.Time) *version {
	if len(r.versions) == 0 {
		return nil
	}
	ms := at.UnixMilli()
	for i := len(r.versions) - 1; i > 0; i-- {
		if r.versions[i].from <= ms {
			return &r.versions[i]
		}
	}
	return &r.versions[0]
}

// Versions returns the names of all versions, the oldest first.
func (r Rules) Versions() []string {
	names := make([]string, 0, len(r.versions))
	for _, v := range r.versions {
		names = append(names, v.name)
	}
	return names
}

// planLimits is what one plan allows under the default rules.
type planLimits struct{ devices, licenses int64 }

// DefaultRules returns the rules that a service has that is given no file. They are written in
// code: the same rules as data must decide the same.
func DefaultRules() Rules {
	plans := map[string]planLimits{"basic": {1, 15}, "standard": {2, 30}, "premium": {4, 100}}
	return Rules{versions: []version{{name: "2026-11", provisional: time.Hour, resolve: func(s *Subject, r *Ruling) {
		if plan, ok := plans[s.Plan]; ok {
			r.set(Devices, plan.devices, 1)
			r.set(Licenses, plan.licenses, 1)
		}
	}}}}
}

// oneOf reports whether a selector matches a value: it names the value, or nothing.
func oneOf(selected []string, value string) bool {
	return len(selected) == 0 || slices.Contains(selected, value)
}

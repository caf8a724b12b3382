package license

import (
	"errors"
	"fmt"
	"time"
)

// Year is the period over which downloads and plays of a title are counted. It is a rolling
// window that ends at the moment of the decision.
const Year = 365 * 24 * time.Hour

// RenewalGrace is how long a license can still be renewed after it has expired.
const RenewalGrace = 30 * 24 * time.Hour

// clockSkew is the highest accepted error of a device's clock.
const clockSkew = 10 * time.Minute

// Rules are the service's rules for decisions. A studio's terms are not part of them; they come
// with the title. A Rules value must not change after it was made.
type Rules struct {
	// Version is recorded in every event that was decided by these rules. Required.
	Version string `json:"version" yaml:"version"`
	// Plans holds what each membership plan allows. A plan that is not listed allows nothing.
	Plans map[string]PlanLimits `json:"plans" yaml:"plans"`
	// Provisional is how long a license lasts that was granted while the event store was not
	// available. Zero: no provisional licenses are granted.
	Provisional time.Duration `json:"provisional" yaml:"provisional"`
}

// PlanLimits is what one plan allows.
type PlanLimits struct {
	// Devices is the highest number of devices that hold licenses at once. 0: no downloads.
	Devices int `json:"devices" yaml:"devices"`
	// Licenses is the highest number of licenses that a member holds at once, over all studios.
	// 0: no limit.
	Licenses int `json:"licenses" yaml:"licenses"`
}

// DefaultRules returns the rules that the service starts with.
func DefaultRules() Rules {
	return Rules{
		Version: "2026-11",
		Plans: map[string]PlanLimits{
			"basic":    {Devices: 1, Licenses: 15},
			"standard": {Devices: 2, Licenses: 30},
			"premium":  {Devices: 4, Licenses: 100},
		},
		Provisional: time.Hour,
	}
}

// Check returns every problem of the rules at once, or nil.
func (r Rules) Check() error {
	var errs []error
	if r.Version == "" {
		errs = append(errs, errors.New("rules: version is empty: name them, events refer to it"))
	}
	if len(r.Plans) == 0 {
		errs = append(errs, errors.New("rules: plans is empty: nobody could download; list the plans"))
	}
	for name, p := range r.Plans {
		if p.Devices < 0 {
			errs = append(errs, fmt.Errorf("rules: plans.%s.devices is %d: give 0 or more", name, p.Devices))
		}
		if p.Licenses < 0 {
			errs = append(errs, fmt.Errorf("rules: plans.%s.licenses is %d: give 0 or more", name, p.Licenses))
		}
	}
	if r.Provisional < 0 {
		errs = append(errs, fmt.Errorf("rules: provisional is %s: give 0 or more", r.Provisional))
	}
	return errors.Join(errs...)
}

// Limits are the limits under which a license was granted. They are stored with it.
type Limits struct {
	Devices         int `json:"devices"`
	Licenses        int `json:"licenses,omitempty"`
	StudioDownloads int `json:"studio_downloads"`
	TitleDownloads  int `json:"title_downloads_per_year"`
	TitlePlays      int `json:"title_plays_per_year"`
}

func limitsOf(plan PlanLimits, t Terms) Limits {
	return Limits{Devices: plan.Devices, Licenses: plan.Licenses, StudioDownloads: t.StudioDownloads,
		TitleDownloads: t.TitleDownloadsPerYear, TitlePlays: t.TitlePlaysPerYear}
}

// A rule refuses what the question asks for, or returns nil. Each rule is one function of this
// file. A new rule is a function, a place in one of the lists below, a Code in refusal.go, and a
// recount in audit.go.
type rule func(q question) *Refusal

var (
	// toDownload must hold for a member and a title before anything is counted.
	toDownload = []rule{notSuspended, isMember, isInCatalog, isOffline, planDownloads}
	// toHold must hold for each license that a member holds.
	toHold = []rule{deviceLimit, licenseLimit, studioLimit}
	// toGet must hold in addition for a license that is new.
	toGet = []rule{titleYearLimit}
	// toRenew must hold for a license that is renewed, toPlay for one that is played.
	toRenew = []rule{renewalGrace}
	toPlay  = []rule{playYearLimit}
)

// question is what rules are asked: may the member have this license, renew it, or play it?
type question struct {
	at     time.Time
	member Member
	title  Title
	plan   PlanLimits
	// license is the license in question. A new one has a title, a studio, a device and limits.
	license License
	usage   usage
}

// ask returns the question about a license under the rules. Its usage is not counted yet.
func (r Rules) ask(at time.Time, m Member, t Title, l License) question {
	plan := r.Plans[m.Plan]
	l.Limits = limitsOf(plan, t.Terms)
	return question{at: at, member: m, title: t, plan: plan, license: l}
}

// broken returns the refusals of the rules that are broken, in the order of the rules.
func (q question) broken(rules ...rule) (refusals []*Refusal) {
	for _, rule := range rules {
		if refusal := rule(q); refusal != nil {
			refusals = append(refusals, refusal)
		}
	}
	return refusals
}

// first returns the refusal of the first rule that is broken, or nil.
func (q question) first(rules ...rule) *Refusal {
	if broken := q.broken(rules...); len(broken) > 0 {
		return broken[0]
	}
	return nil
}

func notSuspended(q question) *Refusal {
	if q.member.Status != MemberSuspended {
		return nil
	}
	return refuse(MembershipSuspended, "the membership is suspended; it has to be settled first")
}

func isMember(q question) *Refusal {
	if q.member.Status == MemberActive {
		return nil
	}
	return refuse(MembershipUnknown, "there is no such membership")
}

func isInCatalog(q question) *Refusal {
	if q.title.Known {
		return nil
	}
	return refuse(TitleUnknown, "the catalog has no title %q", q.title.ID)
}

func isOffline(q question) *Refusal {
	if q.title.Offline {
		return nil
	}
	return refuse(TitleNotOffline, "the studio does not allow title %q offline", q.title.ID)
}

func planDownloads(q question) *Refusal {
	if q.plan.Devices > 0 {
		return nil
	}
	return refuse(PlanWithoutDownload, "plan %q has no downloads", q.member.Plan)
}

func deviceLimit(q question) *Refusal {
	limit, used := q.license.Limits.Devices, q.usage.devices
	if used[q.license.Device] || len(used) < limit {
		return nil
	}
	return over(DeviceLimit, limit, "%d devices hold downloads, the plan allows %d; release the downloads of one", len(used), limit)
}

func licenseLimit(q question) *Refusal {
	limit, used := q.license.Limits.Licenses, q.usage.licenses
	if limit == 0 || used < limit {
		return nil
	}
	return over(LicenseLimit, limit, "%d downloads are held, the plan allows %d; release one", used, limit)
}

func studioLimit(q question) *Refusal {
	limit, used := q.license.Limits.StudioDownloads, q.usage.studio
	if used < limit {
		return nil
	}
	return over(StudioLimit, limit, "%d downloads of studio %q are held, it allows %d; release one", used, q.license.Studio, limit)
}

func titleYearLimit(q question) *Refusal {
	limit, used := q.license.Limits.TitleDownloads, q.usage.title
	if used < limit {
		return nil
	}
	r := over(TitleYearLimit, limit, "title %q was downloaded %d times within a year, %d are allowed", q.license.Title, used, limit)
	r.Until = q.usage.titleFrees
	return r
}

func renewalGrace(q question) *Refusal {
	ended := q.license.ExpiresAt()
	if q.at.Sub(ended) <= RenewalGrace {
		return nil
	}
	return refuse(Expired, "license %s expired at %s, too long ago to renew; request a new one", q.license.ID, ended.Format(time.RFC3339))
}

func playYearLimit(q question) *Refusal {
	limit, used := q.license.Limits.TitlePlays, q.usage.plays
	if used < limit {
		return nil
	}
	r := over(PlayYearLimit, limit, "title %q was played %d times within a year, %d are allowed", q.license.Title, used, limit)
	r.Until = q.usage.playFrees
	return r
}

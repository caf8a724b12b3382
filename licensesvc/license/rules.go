package license

import "time"

// Year is the period over which downloads and plays of a title are counted. It is a rolling
// window that ends at the moment of the decision.
const Year = 365 * 24 * time.Hour

// RenewalGrace is how long a license can still be renewed after it has expired.
const RenewalGrace = 30 * 24 * time.Hour

// clockSkew is the highest accepted error of a device's clock.
const clockSkew = 10 * time.Minute

// Limits are the limits under which a license was granted or last renewed. They are stored with it.
type Limits struct {
	// Devices is the highest number of devices that hold licenses at once. 0: no downloads.
	Devices int `json:"devices"`
	// Licenses is the highest number of licenses that a member holds at once, over all studios, and
	// DeviceDownloads of those on one device. 0: no limit.
	Licenses        int `json:"licenses,omitempty"`
	DeviceDownloads int `json:"device_downloads,omitempty"`
	StudioDownloads int `json:"studio_downloads"`
	TitleDownloads  int `json:"title_downloads_per_year"`
	TitlePlays      int `json:"title_plays_per_year"`
	// TitleRenewals is the highest number of renewals of the title's licenses in a [Year]. 0: no
	// limit. -1: the title's licenses can't be renewed.
	TitleRenewals int `json:"title_renewals_per_year,omitempty"`
	// MonthDownloads is the highest number of licenses that a member gets in a calendar month, in
	// UTC. 0: no limit.
	MonthDownloads int `json:"downloads_per_month,omitempty"`
}

// A rule refuses what the question asks for, or returns nil. Each rule is one function of this
// file. A new rule is a function, a place in one of the lists below, a Code in refusal.go, and, if it
// depends on the member's stream alone, a recount in audit.go.
type rule func(q question) *Refusal

var (
	// toDownload must hold for a member and a title before anything is counted.
	toDownload = []rule{notSuspended, isMember, isInCatalog, isOffline, hasNotLeft, planDownloads}
	// toHold must hold for each license that a member holds.
	toHold = []rule{deviceLimit, deviceDownloadLimit, licenseLimit, studioLimit, studioConcurrentLimit}
	// toGet must hold in addition for a license that is new.
	toGet = []rule{titleYearLimit, monthLimit}
	// toRenew must hold for a license that is renewed, before anything is counted, and toExtend after.
	toRenew  = []rule{renewalGrace}
	toExtend = []rule{renewalDeviceLimit, deviceDownloadLimit, licenseLimit, studioLimit, studioConcurrentLimit, titleRenewalLimit}
	// toPlay must hold for a license that is played.
	toPlay = []rule{playYearLimit}
)

// question is what rules are asked: may the member have this license, renew it, or play it?
type question struct {
	at     time.Time
	member Member
	title  Title
	// license is the license in question. A new one has a title, a studio, a device and limits.
	license License
	ruling  *Ruling
	usage   usage
	// held is the number of the studio's other licenses that all members hold, if the rules limit it.
	held int
	// state is what was counted. It says when more is allowed.
	state State
}

// ask returns the question about a license under the rules. Its usage is not counted yet.
func (r Rules) ask(s State, at time.Time, m Member, t Title, l License) question {
	ruling := r.Resolve(Subject{Plan: m.Plan, Studio: l.Studio, Title: l.Title, Country: l.Country, DeviceKind: l.DeviceKind, At: at})
	l.Limits = ruling.Limits(t.Terms)
	t.Terms = ruling.Terms(t.Terms)
	return question{at: at, member: m, title: t, license: l, ruling: &ruling, state: s}
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

func hasNotLeft(q question) *Refusal {
	leaves, ok := q.ruling.Leaves()
	if !ok || q.at.Before(leaves) {
		return nil
	}
	return refuse(TitleLeft, "title %q left the catalog at %s", q.license.Title, leaves.Format(time.RFC3339))
}

func planDownloads(q question) *Refusal {
	if q.license.Limits.Devices > 0 {
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

// renewalDeviceLimit is stricter than deviceLimit: after a change to a plan with fewer devices, no
// license is renewed until the member has released the downloads of as many devices as are too many.
func renewalDeviceLimit(q question) *Refusal {
	limit, n := q.license.Limits.Devices, len(q.usage.devices)
	if !q.usage.devices[q.license.Device] {
		n++
	}
	if n <= limit {
		return nil
	}
	return over(DeviceLimit, limit, "%d devices hold downloads, the plan allows %d; release the downloads of %d, then renew", n, limit, n-limit)
}

func deviceDownloadLimit(q question) *Refusal {
	limit, used := q.license.Limits.DeviceDownloads, q.usage.device
	if limit == 0 || used < limit {
		return nil
	}
	return over(DeviceDownloadLimit, limit, "%d downloads are on device %q, %d are allowed on one device; release one", used, q.license.Device, limit)
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

func studioConcurrentLimit(q question) *Refusal {
	limit, ok := q.ruling.Value(StudioConcurrent)
	if !ok || int64(q.held) < limit {
		return nil
	}
	return over(StudioConcurrentLimit, int(limit), "%d downloads of studio %q are held by all members together, it allows %d at once; try again later", q.held, q.license.Studio, limit)
}

func titleYearLimit(q question) *Refusal {
	limit, used := q.license.Limits.TitleDownloads, q.usage.title
	if used < limit {
		return nil
	}
	r := over(TitleYearLimit, limit, "title %q was downloaded %d times within a year, %d are allowed", q.license.Title, used, limit)
	r.Until = frees(q.state.grantTimes(q.license.Title, q.at), limit)
	return r
}

func monthLimit(q question) *Refusal {
	limit, used := q.license.Limits.MonthDownloads, q.usage.month
	if limit == 0 || used < limit {
		return nil
	}
	r := over(MonthLimit, limit, "%d downloads were made this month, the plan allows %d", used, limit)
	r.Until = nextMonth(q.at)
	return r
}

func titleRenewalLimit(q question) *Refusal {
	limit := q.license.Limits.TitleRenewals
	if limit == 0 {
		return nil
	}
	limit = max(0, limit)
	times := q.state.renewalTimes(q.license.Title, q.at)
	if len(times) < limit {
		return nil
	}
	r := over(TitleRenewalLimit, limit, "downloads of title %q were renewed %d times within a year, %d are allowed", q.license.Title, len(times), limit)
	r.Until = frees(times, limit)
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
	r.Until = frees(q.state.playTimes(q.license.Title, q.at), limit)
	return r
}

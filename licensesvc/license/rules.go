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

// Terms are what a studio allows for a title.
type Terms struct {
	// Version names the terms.
	Version string
	// StudioDownloads is the highest number of the studio's titles that a member may hold at
	// once.
	StudioDownloads int
	// TitleDownloadsPerYear is the highest number of licenses for the title that a member may get
	// in a [Year]. TitlePlaysPerYear is the highest number of plays that may begin in a [Year].
	TitleDownloadsPerYear, TitlePlaysPerYear int
	// License is the duration of a new license. Renewal is its duration after a renewal. Playback
	// is its duration after its first play has begun.
	License, Renewal, Playback time.Duration
}

// Member is what is known about a member at the time of a decision.
type Member struct {
	// Status is MemberActive, MemberSuspended or MemberUnknown.
	Status string
	Plan   string
}

// These are the states of a membership.
const (
	MemberActive    = "active"
	MemberSuspended = "suspended"
	MemberUnknown   = "unknown"
)

// Title is what is known about a title at the time of a decision.
type Title struct {
	ID     string
	Studio string
	// Known is false if the catalog does not have the title.
	Known bool
	// Offline says whether the title may be taken offline at all.
	Offline bool
	Terms   Terms
}

// Basis says which data of which dependency a decision used.
type Basis struct {
	Dependency string `json:"dependency"`
	// Source is live, hedge, cache, stale or static. For the event store it can also be remote:
	// the data came from another region and may lack the newest events.
	Source string `json:"source"`
	// AgeSeconds is the age of the data; 0 for live data.
	AgeSeconds int64 `json:"age_s"`
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

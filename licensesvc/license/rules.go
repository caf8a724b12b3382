package license

import (
	"errors"
	"fmt"
	"time"
)

// Year is the span in which downloads and plays of a title are counted. It rolls:
// a count looks back from the moment of the decision.
const Year = 365 * 24 * time.Hour

// RenewalGrace is how long after its expiry a license can still be renewed.
const RenewalGrace = 30 * 24 * time.Hour

// Rules are what the service itself decides by; a studio's terms come with the
// title. A Rules value is not changed after it was made.
type Rules struct {
	// Version names the rules in every event decided by them. Required.
	Version string `json:"version" yaml:"version"`
	// Plans says what each plan of a membership allows. A plan that is not listed
	// allows nothing.
	Plans map[string]PlanLimits `json:"plans" yaml:"plans"`
	// Provisional is how long a license lasts that was granted while the event store
	// could not take it. Zero: none are granted.
	Provisional time.Duration `json:"provisional" yaml:"provisional"`
}

// PlanLimits is what one plan allows.
type PlanLimits struct {
	// Devices is how many devices may hold licenses at once. 0: no downloads.
	Devices int `json:"devices" yaml:"devices"`
	// Licenses is how many licenses a member may hold at once, all studios together.
	// 0: no bound.
	Licenses int `json:"licenses" yaml:"licenses"`
}

// DefaultRules are the rules that the service starts with.
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
	// StudioDownloads is how many of the studio's titles a member may hold at once.
	StudioDownloads int
	// TitleDownloadsPerYear is how many licenses for the title a member may get in a
	// [Year], TitlePlaysPerYear how many plays of it may begin.
	TitleDownloadsPerYear, TitlePlaysPerYear int
	// License is how long a license lasts, Renewal how long it lasts from a renewal,
	// Playback how long it lasts once its first play has begun.
	License, Renewal, Playback time.Duration
}

// Member is what is known of a member at a decision.
type Member struct {
	// Status is MemberActive, MemberSuspended or MemberUnknown.
	Status string
	Plan   string
}

// The states of a membership.
const (
	MemberActive    = "active"
	MemberSuspended = "suspended"
	MemberUnknown   = "unknown"
)

// Title is what is known of a title at a decision.
type Title struct {
	ID     string
	Studio string
	// Known is false for a title that the catalog does not have.
	Known bool
	// Offline says whether the title may be taken offline at all.
	Offline bool
	Terms   Terms
}

// Basis says which data of which dependency a decision rests on.
type Basis struct {
	Dependency string `json:"dependency"`
	// Source is live, hedge, cache, stale or static; of the event store also remote: from
	// another region, which may lack the newest.
	Source string `json:"source"`
	// AgeSeconds is how old the data was; 0 for live data.
	AgeSeconds int64 `json:"age_s"`
}

// Limits are the bounds that a license was granted under, kept with it.
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

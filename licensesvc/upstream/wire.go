package upstream

import (
	"slices"
	"time"
)

// These are the plans of a membership.
const (
	PlanBasic    = "basic"
	PlanStandard = "standard"
	PlanPremium  = "premium"
)

// These are the states of a membership.
const (
	StatusActive    = "active"
	StatusSuspended = "suspended"
	// StatusUnknown is the state of an id that belongs to no member. The membership service
	// answers 404, which the client turns into a value, because it is an answer and not a
	// failure.
	StatusUnknown = "unknown"
)

// Plans returns all plans, the smallest first.
func Plans() []string { return []string{PlanBasic, PlanStandard, PlanPremium} }

// KnownPlan reports whether there is a plan of that name.
func KnownPlan(plan string) bool { return slices.Contains(Plans(), plan) }

// Member is the membership service's answer about a member.
type Member struct {
	ID     string    `json:"member"`
	Plan   string    `json:"plan"`
	Status string    `json:"status"`
	Since  time.Time `json:"since"`
}

// Title is the catalog's answer about a title.
type Title struct {
	ID     string `json:"title"`
	Studio string `json:"studio"`
	Name   string `json:"name"`
	// Offline says whether the title may be taken offline at all.
	Offline bool  `json:"offline"`
	Terms   Terms `json:"terms"`
	// Unknown is true if the catalog has no such title. The catalog answers 404, which the client
	// turns into a value, because it is an answer and not a failure.
	Unknown bool `json:"-"`
}

// Terms are what a studio allows for a title.
type Terms struct {
	// Version identifies the terms in recorded events.
	Version string `json:"version"`
	// StudioDownloads is how many of the studio's titles a member may hold at once.
	StudioDownloads int `json:"studio_downloads"`
	// TitleDownloadsPerYear is how often a member may download the title in a year.
	TitleDownloadsPerYear int `json:"title_downloads_per_year"`
	// TitlePlaysPerYear is how often a member may begin to play the title in a year.
	TitlePlaysPerYear int `json:"title_plays_per_year"`
	// LicenseHours is how long a license lasts, RenewalHours by how much it is renewed.
	LicenseHours int `json:"license_hours"`
	RenewalHours int `json:"renewal_hours"`
	// PlaybackHours is how long a license lasts after its first play has begun.
	PlaybackHours int `json:"playback_hours"`
}

// KeyRequest asks for the key of one license.
type KeyRequest struct {
	License string `json:"license"`
	Title   string `json:"title"`
	Device  string `json:"device"`
}

// Key is a content key, wrapped for one device.
type Key struct {
	ID        string `json:"key_id"`
	Algorithm string `json:"algorithm"`
	// Wrapped is the sealed key: nonce, ciphertext and tag. Base64 in JSON.
	Wrapped []byte `json:"wrapped"`
}

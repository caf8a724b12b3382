package upstream

import (
	"slices"
	"time"
)

// The plans of a membership.
const (
	PlanBasic    = "basic"
	PlanStandard = "standard"
	PlanPremium  = "premium"
)

// The states of a membership.
const (
	StatusActive    = "active"
	StatusSuspended = "suspended"
	// StatusUnknown is the state of an id that is no member's. The membership
	// service answers 404; the client makes it a value, because it is an answer.
	StatusUnknown = "unknown"
)

// Plans returns the plans there are, the smallest first.
func Plans() []string { return []string{PlanBasic, PlanStandard, PlanPremium} }

// KnownPlan reports whether there is a plan of that name.
func KnownPlan(plan string) bool { return slices.Contains(Plans(), plan) }

// Member is what the membership service says of one member.
type Member struct {
	ID     string    `json:"member"`
	Plan   string    `json:"plan"`
	Status string    `json:"status"`
	Since  time.Time `json:"since"`
}

// Title is what the catalog says of one title.
type Title struct {
	ID     string `json:"title"`
	Studio string `json:"studio"`
	Name   string `json:"name"`
	// Offline says whether the title may be taken offline at all.
	Offline bool  `json:"offline"`
	Terms   Terms `json:"terms"`
	// Unknown says that the catalog has no such title. The catalog answers 404; the
	// client makes it a value, because it is an answer.
	Unknown bool `json:"-"`
}

// Terms are what a studio allows for a title.
type Terms struct {
	// Version names the terms, for the record.
	Version string `json:"version"`
	// StudioDownloads is how many of the studio's titles a member may hold at once.
	StudioDownloads int `json:"studio_downloads"`
	// TitleDownloadsPerYear is how often the title may be downloaded in a year.
	TitleDownloadsPerYear int `json:"title_downloads_per_year"`
	// TitlePlaysPerYear is how often a play of the title may begin in a year.
	TitlePlaysPerYear int `json:"title_plays_per_year"`
	// LicenseHours is how long a license lasts, RenewalHours by how much it is renewed.
	LicenseHours int `json:"license_hours"`
	RenewalHours int `json:"renewal_hours"`
	// PlaybackHours is how long a license lasts once its first play has begun.
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

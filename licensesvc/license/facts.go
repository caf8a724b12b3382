package license

import "time"

// Terms are what a studio allows for a title.
type Terms struct {
	// Version names the terms.
	Version string `json:"version"`
	// StudioDownloads is the highest number of the studio's titles that a member may hold at
	// once.
	StudioDownloads int `json:"studio_downloads"`
	// TitleDownloadsPerYear is the highest number of licenses for the title that a member may get
	// in a [Year]. TitlePlaysPerYear is the highest number of plays that may begin in a [Year].
	TitleDownloadsPerYear int `json:"title_downloads_per_year"`
	TitlePlaysPerYear     int `json:"title_plays_per_year"`
	// License is the duration of a new license. Renewal is its duration after a renewal. Playback
	// is its duration after its first play has begun.
	License  time.Duration `json:"license_ns"`
	Renewal  time.Duration `json:"renewal_ns"`
	Playback time.Duration `json:"playback_ns"`
}

// Member is what is known about a member at the time of a decision.
type Member struct {
	// Status is MemberActive, MemberSuspended or MemberUnknown.
	Status string `json:"status"`
	Plan   string `json:"plan"`
}

// These are the states of a membership.
const (
	MemberActive    = "active"
	MemberSuspended = "suspended"
	MemberUnknown   = "unknown"
)

// Title is what is known about a title at the time of a decision.
type Title struct {
	ID     string `json:"id"`
	Studio string `json:"studio"`
	// Known is false if the catalog does not have the title.
	Known bool `json:"known"`
	// Offline says whether the title may be taken offline at all.
	Offline bool  `json:"offline"`
	Terms   Terms `json:"terms"`
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

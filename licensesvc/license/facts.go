package license

import "time"

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

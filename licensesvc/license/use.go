package license

import "time"

// Use is how much of each limit a member uses at one moment. Compare it with Limits.
type Use struct {
	Devices         int `json:"devices"`
	Licenses        int `json:"licenses"`
	StudioDownloads int `json:"studio_downloads"`
	TitleDownloads  int `json:"title_downloads_per_year"`
	TitlePlays      int `json:"title_plays_per_year"`
}

// UseAt counts what the rules count at a moment, for a title of a studio. The years are those that
// end at the moment.
func (s State) UseAt(at time.Time, studio, title string) Use {
	u := s.usageAt(at, studio, title, "")
	return Use{Devices: len(u.devices), Licenses: u.licenses, StudioDownloads: u.studio, TitleDownloads: u.title, TitlePlays: u.plays}
}

package upstream

import "strings"

// StrictestVersion is the version of the terms that are the fallback for those of a studio.
const StrictestVersion = "strictest-default"

// Strictest returns the terms for a studio's titles while the catalog is not available and no
// terms are remembered. They are the strictest terms that the studio sets for any of its titles.
// For an unknown studio they are the strictest terms of all studios.
func Strictest(studio string) Terms {
	if t, ok := strictest[studio]; ok {
		return t
	}
	return strictest[""]
}

// strictest holds, by studio, the terms to which the studios agreed. It is configuration.
var strictest = map[string]Terms{
	"":         {Version: StrictestVersion, StudioDownloads: 2, TitleDownloadsPerYear: 1, TitlePlaysPerYear: 5, LicenseHours: 48, RenewalHours: 24, PlaybackHours: 24},
	"meridian": {Version: StrictestVersion, StudioDownloads: 5, TitleDownloadsPerYear: 2, TitlePlaysPerYear: 20, LicenseHours: 7 * 24, RenewalHours: 48, PlaybackHours: 24},
	"halyard":  {Version: StrictestVersion, StudioDownloads: 3, TitleDownloadsPerYear: 1, TitlePlaysPerYear: 10, LicenseHours: 3 * 24, RenewalHours: 48, PlaybackHours: 24},
	"capstan":  {Version: StrictestVersion, StudioDownloads: 10, TitleDownloadsPerYear: 4, TitlePlaysPerYear: 50, LicenseHours: 14 * 24, RenewalHours: 7 * 24, PlaybackHours: 48},
	"bowline":  {Version: StrictestVersion, StudioDownloads: 2, TitleDownloadsPerYear: 1, TitlePlaysPerYear: 5, LicenseHours: 48, RenewalHours: 24, PlaybackHours: 24},
	"fathom":   {Version: StrictestVersion, StudioDownloads: 5, TitleDownloadsPerYear: 2, TitlePlaysPerYear: 20, LicenseHours: 7 * 24, RenewalHours: 7 * 24, PlaybackHours: 24},
}

// StudioOf returns the studio of a title. A title's id begins with the studio's id and a dash, so
// that the studio is known without the catalog.
func StudioOf(title string) string {
	studio, _, ok := strings.Cut(title, "-")
	if !ok {
		return ""
	}
	return studio
}

// fallback returns the title as far as it is known without the catalog.
func fallback(title string) Title {
	studio := StudioOf(title)
	return Title{ID: title, Studio: studio, Name: title, Offline: true, Terms: Strictest(studio)}
}

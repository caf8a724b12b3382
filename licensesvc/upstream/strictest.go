package upstream

import "strings"

// StrictestVersion is the version of the terms that are the fallback for those of a studio.
const StrictestVersion = "strictest-default"

// Strictest returns the terms that hold for a studio's titles while the catalog
// can't be asked and no terms are remembered: what the studio allows for the
// least of its titles. A studio that is not known gets the least of all.
func Strictest(studio string) Terms {
	if t, ok := strictest[studio]; ok {
		return t
	}
	return strictest[""]
}

// strictest is configuration that the studios agreed to, by studio.
var strictest = map[string]Terms{
	"":         {Version: StrictestVersion, StudioDownloads: 2, TitleDownloadsPerYear: 1, TitlePlaysPerYear: 5, LicenseHours: 48, RenewalHours: 24, PlaybackHours: 24},
	"meridian": {Version: StrictestVersion, StudioDownloads: 5, TitleDownloadsPerYear: 2, TitlePlaysPerYear: 20, LicenseHours: 7 * 24, RenewalHours: 48, PlaybackHours: 24},
	"halyard":  {Version: StrictestVersion, StudioDownloads: 3, TitleDownloadsPerYear: 1, TitlePlaysPerYear: 10, LicenseHours: 3 * 24, RenewalHours: 48, PlaybackHours: 24},
	"capstan":  {Version: StrictestVersion, StudioDownloads: 10, TitleDownloadsPerYear: 4, TitlePlaysPerYear: 50, LicenseHours: 14 * 24, RenewalHours: 7 * 24, PlaybackHours: 48},
	"bowline":  {Version: StrictestVersion, StudioDownloads: 2, TitleDownloadsPerYear: 1, TitlePlaysPerYear: 5, LicenseHours: 48, RenewalHours: 24, PlaybackHours: 24},
	"fathom":   {Version: StrictestVersion, StudioDownloads: 5, TitleDownloadsPerYear: 2, TitlePlaysPerYear: 20, LicenseHours: 7 * 24, RenewalHours: 7 * 24, PlaybackHours: 24},
}

// StudioOf returns the studio of a title. A title's id begins with its studio's
// and a dash, so that the studio is known when the catalog is not.
func StudioOf(title string) string {
	studio, _, ok := strings.Cut(title, "-")
	if !ok {
		return ""
	}
	return studio
}

// fallback is the title as far as it is known without the catalog.
func fallback(title string) Title {
	studio := StudioOf(title)
	return Title{ID: title, Studio: studio, Name: title, Offline: true, Terms: Strictest(studio)}
}

package license

import "time"

// UseAt counts, for each limit, how much of it the member uses at a moment: devices and licenses as
// of then, and what was got, played and renewed in the year or the month up to then. about names
// the device, the studio and the title that are counted.
func (s State) UseAt(at time.Time, about License) Limits {
	u := s.usageAt(at, &about, "")
	return Limits{
		Devices: len(u.devices), Licenses: u.licenses, DeviceDownloads: u.device, StudioDownloads: u.studio,
		TitleDownloads: u.title, TitlePlays: u.plays, MonthDownloads: u.month,
		TitleRenewals: len(s.renewalTimes(about.Title, at)),
	}
}

package rulefile

import (
	"errors"
	"time"

	"github.com/backstay-go/backstay/licensesvc/license"
)

// ErrFile is the kind of error about the content of a file of rules.
var ErrFile = errors.New("rulefile: bad rules")

// File is the content of a file of rules. See the package comment.
type File struct {
	Versions []Version `yaml:"versions" doc:"the versions of the rules, the oldest first; append new ones, and keep the old"`
}

// Version is one version of the rules.
type Version struct {
	Version     string         `yaml:"version" doc:"its name, which is stored in every event that it decided; required"`
	From        string         `yaml:"from" doc:"when it begins to decide: a date such as 2027-01-31 (UTC), or a time such as 2027-01-31T08:00:00Z; the first version has none"`
	Provisional *time.Duration `yaml:"provisional" doc:"how long a license lasts that is granted while the event store is not available; 0: none are granted; default 0"`
	Rules       []Rule         `yaml:"rules" doc:"the rules; their order does not count"`
}

// Rule is one rule: for whom, when, and what.
type Rule struct {
	Name  string `yaml:"name" doc:"its name in explanations; required, once per version"`
	When  When   `yaml:"when" doc:"for whom it holds; default: for everything"`
	From  string `yaml:"from" doc:"from when it holds, as a date or a time; default: from the beginning of the version"`
	Until string `yaml:"until" doc:"until when it holds (at that time no more); default: for ever"`

	Devices         *int `yaml:"devices" doc:"how many devices may hold downloads at once; 0 or nothing said: no downloads"`
	Licenses        *int `yaml:"licenses" doc:"how many downloads a member may hold at once, 1 or more; default: no limit"`
	DeviceDownloads *int `yaml:"device_downloads" doc:"how many downloads one device may hold at once, 1 or more; default: no limit"`
	StudioDownloads *int `yaml:"studio_downloads" doc:"how many downloads of one studio a member may hold at once; the catalog's terms hold too"`
	TitleDownloads  *int `yaml:"title_downloads_per_year" doc:"how often a title may be downloaded within 365 days; the catalog's terms hold too"`
	TitlePlays      *int `yaml:"title_plays_per_year" doc:"how many plays of a title may begin within 365 days; the catalog's terms hold too"`
	TitleRenewals   *int `yaml:"title_renewals_per_year" doc:"how many renewals a title's downloads may have within 365 days, at most 60; 0: none; default: no limit"`
	MonthDownloads  *int `yaml:"downloads_per_month" doc:"how many downloads a member may begin within a calendar month (UTC), 1 or more; default: no limit"`

	StudioConcurrent *int `yaml:"studio_concurrent" doc:"how many downloads of one studio all members together may hold at once, 1 or more; only on SQLite; default: no limit"`

	License  *time.Duration `yaml:"license" doc:"how long a download lasts that is not watched, such as 720h for 30 days; the catalog's terms hold too"`
	Renewal  *time.Duration `yaml:"renewal" doc:"how long it lasts after a renewal; the catalog's terms hold too"`
	Playback *time.Duration `yaml:"playback" doc:"how long it lasts after the first play has begun; the catalog's terms hold too"`
	Notice   *time.Duration `yaml:"notice" doc:"how long before its end the member is reminded; 0: not at all; default 0"`
	Leaves   string         `yaml:"leaves" doc:"when the titles leave, as a date or a time: downloads end then at the latest; only with titles or studios"`
}

// When says for whom a rule holds. A list that is left out matches everything.
type When struct {
	Plans       []string `yaml:"plans" doc:"plans of members"`
	Studios     []string `yaml:"studios" doc:"studios of titles"`
	Titles      []string `yaml:"titles" doc:"ids of titles"`
	Countries   []string `yaml:"countries" doc:"countries of devices, two upper-case letters; a device whose country is not known matches none"`
	DeviceKinds []string `yaml:"device_kinds" doc:"kinds of devices, such as phone; a device whose kind is not known matches none"`
}

// setting is a field of a rule in the file.
type setting struct {
	field license.Field
	// given is false if the rule says nothing about the field.
	given bool
	value int64
	// least and most bound the value; most is 0 if there is no bound.
	least, most int64
	duration    bool
}

func number(f license.Field, v *int, least, most int64) setting {
	s := setting{field: f, least: least, most: most, given: v != nil}
	if v != nil {
		s.value = int64(*v)
	}
	return s
}

func duration(f license.Field, v *time.Duration, least time.Duration) setting {
	s := setting{field: f, least: int64(least), duration: true, given: v != nil}
	if v != nil {
		s.value = int64(*v)
	}
	return s
}

// settings returns the fields of a rule except leaves, given or not.
func (r Rule) settings() []setting {
	return []setting{
		number(license.Devices, r.Devices, 0, 0), number(license.Licenses, r.Licenses, 1, 0), number(license.DeviceDownloads, r.DeviceDownloads, 1, 0),
		number(license.StudioDownloads, r.StudioDownloads, 0, 0), number(license.TitleDownloads, r.TitleDownloads, 0, 0), number(license.TitlePlays, r.TitlePlays, 0, 0),
		number(license.TitleRenewals, r.TitleRenewals, 0, mostRenewals), number(license.MonthDownloads, r.MonthDownloads, 1, 0), number(license.StudioConcurrent, r.StudioConcurrent, 1, 0),
		duration(license.LicenseFor, r.License, time.Second), duration(license.RenewalFor, r.Renewal, time.Second),
		duration(license.PlaybackFor, r.Playback, time.Second), duration(license.NoticeFor, r.Notice, 0),
	}
}

// mostRenewals is the highest number of renewals that can be counted exactly.
const mostRenewals = 60

package license

import "time"

// Event is something that happened to a license. The types below are its only implementations.
// Their JSON form is stored for ever, so a change to one of them needs a new schema version and
// an upcaster.
type Event interface {
	// Kind returns the event's type in the store.
	Kind() string
	// Of returns the id of the license.
	Of() string
	// When returns the time at which the event occurred, which may be long before it was
	// recorded.
	When() time.Time
}

// These are the kinds of events.
const (
	KindGranted    = "license.granted"
	KindPromised   = "license.promised"
	KindConfirmed  = "license.confirmed"
	KindDownloaded = "license.downloaded"
	KindRenewed    = "license.renewed"
	KindPlayed     = "license.played"
	KindReleased   = "license.released"
	KindRevoked    = "license.revoked"
)

// Granted says that the member has a license.
type Granted struct {
	License string    `json:"license"`
	Device  string    `json:"device"`
	Title   string    `json:"title"`
	Studio  string    `json:"studio"`
	At      time.Time `json:"at"`
	Expires time.Time `json:"expires"`
	// PlaybackSeconds is how long the license lasts after its first play has begun.
	PlaybackSeconds int64 `json:"playback_s"`
	// NoticeSeconds is how long before its end the member is reminded of it. 0: not at all.
	NoticeSeconds int64  `json:"notice_s,omitempty"`
	Plan          string `json:"plan"`
	// Country and DeviceKind are where the device was, and its kind, if they were known. Since
	// version 2.
	Country    string `json:"country,omitempty"`
	DeviceKind string `json:"device_kind,omitempty"`
	Limits     Limits `json:"limits"`
	// Rules is the version of the rules, Terms that of the title's terms.
	Rules string  `json:"rules"`
	Terms string  `json:"terms"`
	Basis []Basis `json:"decided_on,omitempty"`
}

// Promised says that a license was granted provisionally, until Expires.
type Promised struct {
	Granted
	// Over names the limits that the promise exceeded, as the reconciliation found.
	Over []string `json:"over,omitempty"`
}

// Confirmed says that a provisional license has become a full one.
type Confirmed struct {
	License string    `json:"license"`
	At      time.Time `json:"at"`
	Expires time.Time `json:"expires"`
}

// Downloaded says that the device has the file.
type Downloaded struct {
	License  string    `json:"license"`
	Report   string    `json:"report"`
	Occurred time.Time `json:"occurred"`
}

// Renewed says that the license was extended.
type Renewed struct {
	License string    `json:"license"`
	Request string    `json:"request"`
	At      time.Time `json:"at"`
	Expires time.Time `json:"expires"`
	// NoticeSeconds is as in Granted. Plan, Country and Limits are those by which the renewal was
	// decided. Events of version 1 have none: the plan and the limits of the grant go on.
	NoticeSeconds int64   `json:"notice_s,omitempty"`
	Plan          string  `json:"plan,omitempty"`
	Country       string  `json:"country,omitempty"`
	Limits        Limits  `json:"limits,omitzero"`
	Rules         string  `json:"rules"`
	Terms         string  `json:"terms"`
	Basis         []Basis `json:"decided_on,omitempty"`
}

// Played says that a play began.
type Played struct {
	License  string    `json:"license"`
	Report   string    `json:"report"`
	Occurred time.Time `json:"occurred"`
	// Over names the rules that an offline play broke.
	Over []string `json:"over,omitempty"`
}

// Released says that the member gave the license back.
type Released struct {
	License  string    `json:"license"`
	Occurred time.Time `json:"occurred"`
}

// Revoked says that the license was ended without the member's consent.
type Revoked struct {
	License string    `json:"license"`
	At      time.Time `json:"at"`
	Reason  string    `json:"reason"`
}

func (Granted) Kind() string    { return KindGranted }
func (Promised) Kind() string   { return KindPromised }
func (Confirmed) Kind() string  { return KindConfirmed }
func (Downloaded) Kind() string { return KindDownloaded }
func (Renewed) Kind() string    { return KindRenewed }
func (Played) Kind() string     { return KindPlayed }
func (Released) Kind() string   { return KindReleased }
func (Revoked) Kind() string    { return KindRevoked }

func (e Granted) Of() string    { return e.License }
func (e Confirmed) Of() string  { return e.License }
func (e Downloaded) Of() string { return e.License }
func (e Renewed) Of() string    { return e.License }
func (e Played) Of() string     { return e.License }
func (e Released) Of() string   { return e.License }
func (e Revoked) Of() string    { return e.License }

func (e Granted) When() time.Time    { return e.At }
func (e Confirmed) When() time.Time  { return e.At }
func (e Downloaded) When() time.Time { return e.Occurred }
func (e Renewed) When() time.Time    { return e.At }
func (e Played) When() time.Time     { return e.Occurred }
func (e Released) When() time.Time   { return e.Occurred }
func (e Revoked) When() time.Time    { return e.At }

package license

import "time"

// Command asks for a decision. The types below are its only implementations.
type Command interface{ command() }

// Request asks for a new license. Repeating a request (same license, device and title) returns
// the license that already exists.
type Request struct {
	// License is the id of the new license. Required.
	License string `json:"license"`
	Device  string `json:"device"`
	// Country is where the device is, two upper-case letters, and DeviceKind is its kind, such as
	// phone. Empty: not known.
	Country    string `json:"country,omitempty"`
	DeviceKind string `json:"device_kind,omitempty"`
	Member     Member `json:"member"`
	Title      Title  `json:"title"`
	// At is the time of the decision.
	At    time.Time `json:"at"`
	Basis []Basis   `json:"decided_on,omitempty"`
	// StudioHeld is the number of the studio's other licenses that all members hold, counted only if
	// the rules limit it. It is counted for each decision, and not stored with the command.
	StudioHeld int `json:"-"`
}

// Promise records a license that was granted provisionally while the store was not available. The
// decision admits it and either confirms it, or ends it because it exceeds a limit.
type Promise struct {
	Request
	// Until is the time at which the promise ends if nothing confirms it.
	Until time.Time `json:"until"`
	// Now is the time of the reconciliation. Request.At is the time of the promise.
	Now time.Time `json:"now,omitzero"`
}

// Renew asks to extend a license.
type Renew struct {
	License string `json:"license"`
	// Country is where the device is now. Empty: where it was before.
	Country string    `json:"country,omitempty"`
	Member  Member    `json:"member"`
	Title   Title     `json:"title"`
	At      time.Time `json:"at"`
	// Request identifies the renewal; repeating it changes nothing. Required.
	Request string  `json:"request"`
	Basis   []Basis `json:"decided_on,omitempty"`
	// StudioHeld is the number of the studio's other licenses that all members hold, counted only if
	// the rules limit it. It is counted for each decision, and not stored with the command.
	StudioHeld int `json:"-"`
}

// Play asks whether a play may begin now. The device is connected.
type Play struct {
	License string `json:"license"`
	// Report identifies the play; repeating it changes nothing. Required.
	Report string    `json:"report"`
	At     time.Time `json:"at"`
}

// ReportPlay reports a play that began while the device was offline, perhaps long ago. Because it
// has happened, it is recorded even if it exceeded a limit, and the record says so.
type ReportPlay struct {
	License string `json:"license"`
	Report  string `json:"report"`
	// Occurred is when it happened, by the device's clock. Zero: when the report is received,
	// and not before the grant.
	Occurred time.Time `json:"occurred"`
	At       time.Time `json:"at"`
	// Asked says that the device waits for the answer. If the play also began just now, as far as
	// clocks can tell, it is like a Play: over a yearly limit it is refused, not recorded.
	Asked bool `json:"-"`
}

// ReportDownload reports that the device has the title's file.
type ReportDownload struct {
	License string `json:"license"`
	Report  string `json:"report"`
	// Occurred is as in ReportPlay.
	Occurred time.Time `json:"occurred"`
	At       time.Time `json:"at"`
}

// Release gives a license back. A device may report it late. A repeated release is not an error.
type Release struct {
	License string `json:"license"`
	// Occurred is as in ReportPlay.
	Occurred time.Time `json:"occurred"`
	At       time.Time `json:"at"`
}

// Revoke ends a license without the member's consent. A repeated revocation is not an error.
type Revoke struct {
	License string    `json:"license"`
	Reason  string    `json:"reason"`
	At      time.Time `json:"at"`
}

func (Request) command()        {}
func (Promise) command()        {}
func (Renew) command()          {}
func (Play) command()           {}
func (ReportPlay) command()     {}
func (ReportDownload) command() {}
func (Release) command()        {}
func (Revoke) command()         {}

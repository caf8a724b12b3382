package license

import "time"

// Command asks for a decision. The types below are its only implementations.
type Command interface{ command() }

// Request asks for a new license. Repeating a request (same license, device and title) returns
// the license that already exists.
type Request struct {
	// License is the id of the new license. Required.
	License string
	Device  string
	Member  Member
	Title   Title
	// At is the time of the decision.
	At    time.Time
	Basis []Basis
}

// Promise records a license that was granted provisionally while the store was not available. The
// decision admits it and either confirms it, or ends it because it exceeds a limit.
type Promise struct {
	Request
	// Until is the time at which the promise ends if nothing confirms it.
	Until time.Time
	// Now is the time of the reconciliation. Request.At is the time of the promise.
	Now time.Time
}

// Renew asks to extend a license.
type Renew struct {
	License string
	Member  Member
	Title   Title
	At      time.Time
	// Request identifies the renewal; repeating it changes nothing. Required.
	Request string
	Basis   []Basis
}

// Play asks whether a play may begin now. The device is connected.
type Play struct {
	License string
	// Report identifies the play; repeating it changes nothing. Required.
	Report string
	At     time.Time
}

// ReportPlay reports a play that began while the device was offline, perhaps long ago. Because it
// has happened, it is recorded even if it exceeded a limit, and the record says so.
type ReportPlay struct {
	License string
	Report  string
	// Occurred is when it happened, by the device's clock. Zero: when the report is received,
	// and not before the grant.
	Occurred time.Time
	At       time.Time
}

// ReportDownload reports that the device has the title's file.
type ReportDownload struct {
	License string
	Report  string
	// Occurred is as in ReportPlay.
	Occurred time.Time
	At       time.Time
}

// Release gives a license back. A device may report it late. A repeated release is not an error.
type Release struct {
	License string
	// Occurred is as in ReportPlay.
	Occurred time.Time
	At       time.Time
}

// Revoke ends a license without the member's consent. A repeated revocation is not an error.
type Revoke struct {
	License string
	Reason  string
	At      time.Time
}

func (Request) command()        {}
func (Promise) command()        {}
func (Renew) command()          {}
func (Play) command()           {}
func (ReportPlay) command()     {}
func (ReportDownload) command() {}
func (Release) command()        {}
func (Revoke) command()         {}

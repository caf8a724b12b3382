package license

import "time"

// Command asks for a decision. The types below are all there are.
type Command interface{ command() }

// Request asks for a new license. The same request again (license, device and
// title) is answered by the license that is there.
type Request struct {
	// License is the id that the new license gets. Required.
	License string
	Device  string
	Member  Member
	Title   Title
	// At is the time of the decision.
	At    time.Time
	Basis []Basis
}

// Promise records a license that was granted provisionally, while the store could
// not be asked: it is admitted, and confirmed, or ended because it went over a limit.
type Promise struct {
	Request
	// Until is when the promise ends if nothing confirms it.
	Until time.Time
	// Now is the time of the reconciliation; Request.At is when it was promised.
	Now time.Time
}

// Renew asks to extend a license.
type Renew struct {
	License string
	Member  Member
	Title   Title
	At      time.Time
	// Request fixes the renewal: the same one again changes nothing. Required.
	Request string
	Basis   []Basis
}

// Play asks whether a play may begin now; the device is connected.
type Play struct {
	License string
	// Report fixes the play: the same one again changes nothing. Required.
	Report string
	At     time.Time
}

// ReportPlay reports a play that began while the device was offline, perhaps long
// ago. It happened: it is recorded even if it went over a limit, and says so.
type ReportPlay struct {
	License  string
	Report   string
	Occurred time.Time
	At       time.Time
}

// ReportDownload reports that the device has the title's file.
type ReportDownload struct {
	License  string
	Report   string
	Occurred time.Time
	At       time.Time
}

// Release gives a license back. A device may report it late. Again is no error.
type Release struct {
	License  string
	Occurred time.Time
	At       time.Time
}

// Revoke ends a license against the member's wish. Again is no error.
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

package chaostest

import (
	"fmt"
	"net/http"

	"github.com/backstay-go/backstay/chaos/report"
	"github.com/backstay-go/backstay/licensesvc/license"
	"github.com/backstay-go/backstay/licensesvc/upstream"
)

// sensible looks for answers that rest on nonsense of a dependency. Every member of a run is
// known and active, and every title exists. If a dependency says with status 404 that they do
// not, that is an answer, and believed.
func (r run) sensible() report.Check {
	granted := 0
	var broken []string
	for _, a := range r.answers {
		wrong := r.nonsense(a)
		if a.kind == askRequest && acknowledged(a) {
			granted++
		}
		if wrong != "" {
			broken = append(broken, fmt.Sprintf("%s of %s (%s): %s", a.kind, a.member, a.id, wrong))
		}
	}
	return report.Check{Name: "answers make sense",
		Promised: "each license is for the title and the device that were asked for, has a key and lasts; nobody is refused for what is not true",
		Seen:     fmt.Sprintf("%d licenses handed out, %d answers that make no sense", granted, len(broken)), Verdict: verdict(granted > 0 && len(broken) == 0), Details: some(broken)}
}

// nonsense says what is wrong with the content of an answer. It returns "" if nothing is.
func (r run) nonsense(a seen) string {
	denied := func(dependency string) bool { return r.recorder.sawDenied(a.id, dependency) }
	switch code := license.Code(a.code); {
	case code == license.MembershipUnknown && !denied(upstream.Membership), code == license.TitleUnknown && !denied(upstream.Catalog), code == license.MembershipSuspended:
		return fmt.Sprintf("refused as %s, but the member is active and the title exists", a.code)
	case code == license.Invalid:
		return "refused as invalid, but the request was valid: " + a.detail
	}
	if a.kind != askRequest || !acknowledged(a) {
		return ""
	}
	switch {
	case a.granted.Title != a.call.body["title"] || a.granted.Device != a.call.body["device"]:
		return fmt.Sprintf("asked for %s on %s, granted %s on %s", a.call.body["title"], a.call.body["device"], a.granted.Title, a.granted.Device)
	case !a.granted.Expires.After(a.granted.Granted):
		return fmt.Sprintf("granted %s, and it expires %s", a.granted.Granted, a.granted.Expires)
	case !a.keyed && !a.repeated:
		return "there is no content key"
	}
	return ""
}

// nobodyForgotten looks for licenses that a member was granted or promised, and that were said
// not to exist afterwards. A client that believes this deletes its download.
func (r run) nobodyForgotten() report.Check {
	asked := 0
	var broken []string
	for _, a := range r.answers {
		if a.kind == askRequest || a.license == "" {
			continue
		}
		asked++
		if a.status == http.StatusNotFound {
			broken = append(broken, fmt.Sprintf("%s of %s by %s (%s): %s", a.kind, a.license, a.member, a.id, a.detail))
		}
	}
	return report.Check{Name: "no license was said not to exist",
		Promised: "a license that was granted or promised can be played, renewed, shown and released from then on, also while the store is gone",
		Seen:     fmt.Sprintf("%d requests for such licenses, %d answered that there is none", asked, len(broken)), Verdict: tried(asked, broken), Details: some(broken)}
}

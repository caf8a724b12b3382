package chaostest

import (
	"context"
	"fmt"
	"maps"
	"net/http"

	"github.com/backstay-go/backstay/chaos/report"
	"github.com/backstay-go/backstay/licensesvc/upstream/server"
)

// repeats is the number of acknowledged requests that are sent again after a run.
const repeats = 40

// oneCommand sends acknowledged requests again with the same key: first with the same content,
// which must name the same license, then with another title, which must be refused. What could
// not be answered proves nothing and is not counted.
func (c *clients) oneCommand(ctx context.Context) report.Check {
	same, other := 0, 0
	var broken []string
	for _, a := range c.toRepeat() {
		again := a
		c.ask(ctx, &again)
		switch {
		case acknowledged(again) && again.license == a.license:
			same++
		case acknowledged(again):
			broken = append(broken, fmt.Sprintf("%s of %s: first license %s, then license %s", a.id, a.member, a.license, again.license))
		case again.outcome == gotRefused || again.outcome == gotError:
			broken = append(broken, fmt.Sprintf("%s of %s: first %s, then status %d, %s", a.id, a.member, a.outcome, again.status, again.detail))
		}
		changed := a
		changed.call.body = maps.Clone(a.call.body)
		changed.call.body["title"] = otherTitle(a.call.body["title"])
		status, _, err := c.exchange(ctx, &changed)
		switch {
		case err == nil && status == http.StatusUnprocessableEntity:
			other++
		case err == nil && status < http.StatusInternalServerError:
			broken = append(broken, fmt.Sprintf("%s of %s: the same key with another title was answered with status %d", a.id, a.member, status))
		}
	}
	return report.Check{Name: "one key is one command",
		Promised: "a request that is sent again with its key gets the same license, and with another content it is refused",
		Seen:     fmt.Sprintf("%d repeated, %d refused for another content, %d wrong", same, other, len(broken)), Verdict: tried(same+other, broken), Details: some(broken)}
}

// toRepeat returns requests for licenses that were acknowledged: every promise, and others from
// the whole run.
func (c *clients) toRepeat() []seen {
	var promised, done []seen
	for _, a := range c.answers() {
		switch {
		case a.kind != askRequest || a.license == "":
		case a.outcome == gotPromised:
			promised = append(promised, a)
		case a.outcome == gotDone:
			done = append(done, a)
		}
	}
	chosen := promised[:min(len(promised), repeats/2)]
	for step := max(1, len(done)/repeats); len(done) > 0 && len(chosen) < repeats; done = done[min(step, len(done)):] {
		chosen = append(chosen, done[0])
	}
	return chosen
}

// otherTitle returns a title that exists and is not the given one.
func otherTitle(title string) string {
	if other := server.TitleID(server.Studios()[0], 1); other != title {
		return other
	}
	return server.TitleID(server.Studios()[0], 2)
}

package api

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/backstay-go/backstay/licensesvc/app"
	"github.com/backstay-go/backstay/licensesvc/license"
)

type listInput struct {
	Member string `path:"member" minLength:"1" maxLength:"64" pattern:"^[!-~]*[!-\\-/-~][!-~]*$" patternDescription:"visible ASCII characters, not only dots" doc:"The member's id."`
	After  string `query:"after" doc:"The next of the page before."`
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
	Active bool   `query:"active" doc:"Only licenses that are active now, promised ones too."`
	None   string `header:"If-None-Match"`
}

type listed struct {
	Status int
	ETag   string `header:"ETag"`
	Body   *Page
}

type showInput struct {
	Member  string `path:"member" minLength:"1" maxLength:"64" pattern:"^[!-~]*[!-\\-/-~][!-~]*$" patternDescription:"visible ASCII characters, not only dots" doc:"The member's id."`
	License string `path:"license" minLength:"1" maxLength:"64" pattern:"^[!-~]*[!-\\-/-~][!-~]*$" patternDescription:"visible ASCII characters, not only dots" doc:"The license's id."`
	None    string `header:"If-None-Match"`
}

type shown struct {
	Status int
	ETag   string `header:"ETag"`
	Body   *Answer
}

type explained struct{ Body Story }

// queries registers the requests that only read.
func (a *API) queries(h huma.API) {
	huma.Register(h, a.operation(h, "list-licenses", "A member's licenses, oldest first", http.MethodGet, "/v1/members/{member}/licenses", Read, http.StatusOK, http.StatusNotModified), a.list)
	huma.Register(h, a.operation(h, "show-license", "One license", http.MethodGet, licensePath, Read, http.StatusOK, http.StatusNotModified), a.show)
	huma.Register(h, a.operation(h, "explain-license", "Why a license is as it is: each event, its rules, its data, its trace", http.MethodGet, licensePath+"/explanation", Read, http.StatusOK),
		func(ctx context.Context, in *struct {
			Member  string `path:"member" minLength:"1" maxLength:"64" pattern:"^[!-~]*[!-\\-/-~][!-~]*$" patternDescription:"visible ASCII characters, not only dots" doc:"The member's id."`
			License string `path:"license" minLength:"1" maxLength:"64" pattern:"^[!-~]*[!-\\-/-~][!-~]*$" patternDescription:"visible ASCII characters, not only dots" doc:"The license's id."`
		}) (*explained, error) {
			story, err := a.app.Explain(ctx, in.Member, in.License)
			if err != nil {
				return nil, a.refuse(ctx, err)
			}
			n := note(ctx)
			n.License, n.Title, n.Outcome, n.On = story.License.ID, story.License.Title, string(app.Done), story.DecidedOn
			return &explained{Body: storyOf(story)}, nil
		})
}

func (a *API) list(ctx context.Context, in *listInput) (*listed, error) {
	view, err := a.app.Licenses(ctx, in.Member)
	if err != nil {
		return nil, a.refuse(ctx, err)
	}
	n := note(ctx)
	n.Outcome, n.On = string(app.Done), view.DecidedOn
	now := a.clock()
	tag := statusTag(etag(view.Version, view.DecidedOn), view.Licenses, now)
	if matches(in.None, tag) {
		return &listed{Status: http.StatusNotModified, ETag: tag}, nil
	}
	page := &Page{Licenses: []License{}, DecidedOn: on(view.DecidedOn), Version: view.Version, Partial: view.Partial, NewerEvents: view.Newer}
	from := 0
	if in.After != "" {
		from = 1 + slices.IndexFunc(view.Licenses, func(l license.License) bool { return l.ID == in.After })
		if from == 0 {
			return nil, a.refuse(ctx, errUnknownPage)
		}
	}
	for _, l := range view.Licenses[from:] {
		status := l.StatusAt(now)
		if in.Active && status != license.StatusActive && status != license.StatusProvisional {
			continue
		}
		if len(page.Licenses) == in.Limit {
			page.Next = page.Licenses[in.Limit-1].ID
			break
		}
		page.Licenses = append(page.Licenses, licenseOf(l, status))
	}
	return &listed{Status: http.StatusOK, ETag: tag, Body: page}, nil
}

// errUnknownPage: the page before ended with a license that the member does not have.
var errUnknownPage = errors.New("api: unknown page")

// statusTag adds the licenses' statuses to an entity tag, because they change as time passes.
func statusTag(tag string, licenses []license.License, now time.Time) string {
	if tag == "" {
		return ""
	}
	h := fnv.New64a()
	for _, l := range licenses {
		_, _ = io.WriteString(h, string(l.StatusAt(now))+" ") // never fails
	}
	return fmt.Sprintf("%s-%x\"", strings.TrimSuffix(tag, `"`), h.Sum64())
}

func (a *API) show(ctx context.Context, in *showInput) (*shown, error) {
	answer, err := a.app.Show(ctx, in.Member, in.License)
	if err != nil {
		return nil, a.refuse(ctx, err)
	}
	n := note(ctx)
	n.License, n.Title, n.Outcome, n.On = answer.License.ID, answer.License.Title, string(app.Done), answer.DecidedOn
	tag := licenseTag(answer)
	if matches(in.None, tag) {
		return &shown{Status: http.StatusNotModified, ETag: tag}, nil
	}
	body := answerOf(answer)
	return &shown{Status: http.StatusOK, ETag: tag, Body: &body}, nil
}

// matches compares entity tags weakly, as RFC 9110 requires for If-None-Match.
func matches(header, tag string) bool {
	if tag == "" {
		return false
	}
	for t := range strings.SplitSeq(header, ",") {
		t = strings.TrimSpace(t)
		if t == "*" || strings.TrimPrefix(t, "W/") == tag {
			return true
		}
	}
	return false
}

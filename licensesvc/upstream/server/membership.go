package server

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/backstay-go/backstay/licensesvc/upstream"
)

// Members is the number of members on the roster: m-00001 to m-20000.
const Members = 20000

// Membership answers who is a member, and on which plan.
//
//	GET /v1/members/{member}
//	PUT /v1/members/{member}   {"plan":"premium","status":"active"}
//
// It is safe for concurrent use and need not be closed.
type Membership struct {
	mux *http.ServeMux

	mu      sync.RWMutex
	changed map[string]upstream.Member
}

// NewMembership returns a roster without changes.
func NewMembership() *Membership {
	m := &Membership{mux: http.NewServeMux(), changed: map[string]upstream.Member{}}
	m.mux.HandleFunc("GET /v1/members/{member}", m.get)
	m.mux.HandleFunc("PUT /v1/members/{member}", m.put)
	return m
}

// ServeHTTP serves one request.
func (m *Membership) ServeHTTP(w http.ResponseWriter, r *http.Request) { m.mux.ServeHTTP(w, r) }

// MemberID returns the id of the nth member, from 1 to Members.
func MemberID(n int) string { return fmt.Sprintf("m-%05d", n) }

func (m *Membership) get(w http.ResponseWriter, r *http.Request) {
	member, ok := m.find(r.PathValue("member"))
	if !ok {
		fail(w, http.StatusNotFound, unknownMember(r.PathValue("member")))
		return
	}
	reply(w, member)
}

func (m *Membership) put(w http.ResponseWriter, r *http.Request) {
	member, ok := m.find(r.PathValue("member"))
	if !ok {
		fail(w, http.StatusNotFound, unknownMember(r.PathValue("member")))
		return
	}
	var change struct {
		Plan   string `json:"plan"`
		Status string `json:"status"`
	}
	if !read(w, r, &change) {
		return
	}
	if change.Plan != "" {
		if !upstream.KnownPlan(change.Plan) {
			fail(w, http.StatusUnprocessableEntity, fmt.Sprintf("plan %q: there are %s", change.Plan, strings.Join(upstream.Plans(), ", ")))
			return
		}
		member.Plan = change.Plan
	}
	switch change.Status {
	case "":
	case upstream.StatusActive, upstream.StatusSuspended:
		member.Status = change.Status
	default:
		fail(w, http.StatusUnprocessableEntity, fmt.Sprintf("status %q: there are active and suspended", change.Status))
		return
	}
	m.mu.Lock()
	m.changed[member.ID] = member
	m.mu.Unlock()
	reply(w, member)
}

func (m *Membership) find(id string) (upstream.Member, bool) {
	m.mu.RLock()
	member, ok := m.changed[id]
	m.mu.RUnlock()
	if ok {
		return member, true
	}
	digits, ok := strings.CutPrefix(id, "m-")
	if !ok || len(digits) != 5 {
		return upstream.Member{}, false
	}
	n, err := strconv.Atoi(digits)
	if err != nil || n < 1 || n > Members {
		return upstream.Member{}, false
	}
	// A hash makes neighbouring members differ: of ten, about 3 are basic, 5 standard and 2
	// premium.
	h := sha256.Sum256([]byte(id))
	plan := upstream.PlanBasic
	switch d := int(h[0])<<8 | int(h[1]); {
	case d%10 >= 8:
		plan = upstream.PlanPremium
	case d%10 >= 3:
		plan = upstream.PlanStandard
	}
	since := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, int(h[2])<<3)
	return upstream.Member{ID: id, Plan: plan, Status: upstream.StatusActive, Since: since}, true
}

func unknownMember(id string) string {
	return fmt.Sprintf("there is no member %q: the roster has %s to %s", id, MemberID(1), MemberID(Members))
}

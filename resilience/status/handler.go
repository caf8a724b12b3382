package status

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/backstay-go/backstay/resilience"
)

// maxBody bounds the body of a request, in bytes.
const maxBody = 4 << 10

// page is what a GET is answered with.
type page struct {
	Guards []resilience.Snapshot `json:"guards"`
	Events []Event               `json:"events"`
}

// change is the body of a POST.
type change struct {
	// Dependency is a guard's name.
	Dependency string `json:"dependency"`
	// Action is force or reset.
	Action string `json:"action"`
	// Mode is what force sets: open, closed, disabled, or auto to take it back.
	Mode string `json:"mode"`
}

// problem is the body of a refusal (RFC 9457).
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
}

// ServeHTTP answers GET with snapshots and recent events, and POST with what a guard is
// after the change that the body asks for:
//
//	{"dependency": "catalog", "action": "force", "mode": "open"}
//	{"dependency": "catalog", "action": "reset"}
//
// A POST needs the token. Refusals are problem documents.
func (s *Status) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		write(w, http.StatusOK, "application/json", page{Guards: s.Snapshots(), Events: s.Events()})
	case http.MethodPost:
		s.post(w, r)
	default:
		w.Header().Set("Allow", "GET, HEAD, POST")
		refuse(w, http.StatusMethodNotAllowed, "use GET to read, POST to force or reset a breaker")
	}
}

func (s *Status) post(w http.ResponseWriter, r *http.Request) {
	if s.token == "" {
		refuse(w, http.StatusForbidden, "changes are switched off: status.Config.Token is empty")
		return
	}
	if !s.authorized(r) {
		w.Header().Set("WWW-Authenticate", "Bearer")
		refuse(w, http.StatusUnauthorized, "give the token, as Authorization: Bearer TOKEN")
		return
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		refuse(w, http.StatusUnsupportedMediaType, "the body is JSON: send Content-Type: application/json")
		return
	}
	var c change
	in := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	in.DisallowUnknownFields()
	if err := in.Decode(&c); err != nil {
		refuse(w, http.StatusBadRequest, "the body is not understood: "+err.Error())
		return
	}
	if _, err := in.Token(); err != io.EOF {
		refuse(w, http.StatusBadRequest, "there is more than one JSON value in the body")
		return
	}
	g := s.guard(c.Dependency)
	if g == nil {
		refuse(w, http.StatusNotFound, fmt.Sprintf("there is no guard %q", c.Dependency))
		return
	}
	if status, err := apply(g, c); err != nil {
		refuse(w, status, err.Error())
		return
	}
	write(w, http.StatusOK, "application/json", g.Snapshot())
}

// authorized compares hashes, so that the time tells nothing of the token or its length.
func (s *Status) authorized(r *http.Request) bool {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	given, want := sha256.Sum256([]byte(strings.TrimSpace(token))), sha256.Sum256([]byte(s.token))
	return strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare(given[:], want[:]) == 1
}

// modes are the words for Force.
var modes = map[string]resilience.BreakerMode{
	"auto": resilience.BreakerAuto, "open": resilience.BreakerForcedOpen,
	"closed": resilience.BreakerForcedClosed, "disabled": resilience.BreakerDisabled,
}

func apply(g *resilience.Guard, c change) (status int, err error) {
	switch c.Action {
	case "reset":
		if c.Mode != "" {
			return http.StatusBadRequest, fmt.Errorf("mode is %q: reset takes none", c.Mode)
		}
		return http.StatusConflict, g.ResetBreaker()
	case "force":
		mode, ok := modes[c.Mode]
		if !ok {
			return http.StatusBadRequest, fmt.Errorf("mode is %q: use open, closed, disabled or auto", c.Mode)
		}
		return http.StatusConflict, g.Force(mode)
	}
	return http.StatusBadRequest, fmt.Errorf("action is %q: use force or reset", c.Action)
}

func refuse(w http.ResponseWriter, status int, detail string) {
	write(w, status, "application/problem+json", problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail})
}

func write(w http.ResponseWriter, status int, kind string, v any) {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		http.Error(w, "the status can't be written as JSON: "+err.Error(), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // the caller has gone if this fails
}

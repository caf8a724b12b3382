package api

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Scope is something that a token's bearer may do.
type Scope string

// The scopes.
const (
	// Read reads licenses and their stories.
	Read Scope = "licenses:read"
	// Write requests, renews, reports and releases.
	Write Scope = "licenses:write"
	// Admin revokes.
	Admin Scope = "licenses:admin"
)

// Grant is what one token allows.
type Grant struct {
	// Actor names the bearer in events. Required.
	Actor string `json:"actor" yaml:"actor"`
	// SHA256 is the token's hash in hex: the token itself is in no file. Required.
	SHA256 string `json:"sha256" yaml:"sha256"`
	// Scopes is what the bearer may do. Required.
	Scopes []Scope `json:"scopes" yaml:"scopes"`
	// Member limits the token to one member. Empty: all.
	Member string `json:"member,omitempty" yaml:"member,omitempty"`
}

// Tokens knows who may do what. It is safe for concurrent use. Nil admits everybody.
type Tokens struct{ grants []Grant }

// NewTokens checks the grants; the error names every problem.
func NewTokens(grants []Grant) (*Tokens, error) {
	var errs []error
	if len(grants) == 0 {
		errs = append(errs, errors.New("api: no token is granted anything: give at least one grant, or no tokens at all"))
	}
	for i, g := range grants {
		if g.Actor == "" {
			errs = append(errs, fmt.Errorf("api: grants[%d].actor is empty: name the bearer", i))
		}
		if b, err := hex.DecodeString(g.SHA256); err != nil || len(b) != sha256.Size {
			errs = append(errs, fmt.Errorf("api: grants[%d].sha256 is no SHA-256 in hex: give the output of `printf %%s TOKEN | sha256sum`", i))
		}
		if len(g.Scopes) == 0 {
			errs = append(errs, fmt.Errorf("api: grants[%d].scopes is empty: give some of %s, %s, %s", i, Read, Write, Admin))
		}
		for _, s := range g.Scopes {
			if s != Read && s != Write && s != Admin {
				errs = append(errs, fmt.Errorf("api: grants[%d].scopes has %q: there are %s, %s, %s", i, s, Read, Write, Admin))
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return &Tokens{grants: slices.Clone(grants)}, nil
}

type actorKey struct{}

func actor(ctx context.Context) string {
	who, _ := ctx.Value(actorKey{}).(string)
	return who
}

// admit says who asks, or why not.
func (t *Tokens) admit(header string, scope Scope, member string) (string, *Problem) {
	if t == nil {
		return "", nil
	}
	kind, token, _ := strings.Cut(header, " ")
	if !strings.EqualFold(kind, "Bearer") || token == "" {
		return "", unauthorized("no token: send Authorization: Bearer TOKEN")
	}
	sum := sha256.Sum256([]byte(strings.TrimSpace(token)))
	hash := []byte(hex.EncodeToString(sum[:]))
	for _, g := range t.grants {
		if subtle.ConstantTimeCompare(hash, []byte(strings.ToLower(g.SHA256))) != 1 {
			continue
		}
		if !slices.Contains(g.Scopes, scope) {
			return "", (&Problem{Status: http.StatusForbidden, Outcome: OutcomeForbidden, Detail: "the token lacks the scope " + string(scope)}).titled("forbidden")
		}
		if g.Member != "" && g.Member != member {
			return "", (&Problem{Status: http.StatusForbidden, Outcome: OutcomeForbidden, Detail: "the token is for another member"}).titled("forbidden")
		}
		return g.Actor, nil
	}
	return "", unauthorized("the token is not known")
}

func unauthorized(detail string) *Problem {
	p := (&Problem{Status: http.StatusUnauthorized, Outcome: OutcomeForbidden, Detail: detail}).titled("unauthorized")
	p.headers = http.Header{"WWW-Authenticate": {`Bearer realm="licenses"`}}
	return p
}

package api

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/backstay-go/backstay/internal/strictyaml"
)

// Scope is a permission of the bearer of a token.
type Scope string

// The scopes.
const (
	// Read allows to read licenses and their stories.
	Read Scope = "licenses:read"
	// Write allows to request, renew, report and release.
	Write Scope = "licenses:write"
	// Admin allows to revoke.
	Admin Scope = "licenses:admin"
)

// Grant says what one token allows.
type Grant struct {
	// Actor names the bearer in events. Required.
	Actor string `json:"actor" yaml:"actor"`
	// SHA256 is the hash of the token, in hex. No file contains the token itself. Required.
	SHA256 string `json:"sha256" yaml:"sha256"`
	// Scopes lists the permissions. Required.
	Scopes []Scope `json:"scopes" yaml:"scopes"`
	// Member limits the token to one member. Empty: it is valid for all members.
	Member string `json:"member,omitempty" yaml:"member,omitempty"`
}

// Tokens decides which caller may do what. It is safe for concurrent use. Nil admits every
// caller.
type Tokens struct{ grants []Grant }

// ErrTokens matches the errors about grants.
var ErrTokens = errors.New("api: bad tokens")

// NewTokens checks the grants; the error, which matches ErrTokens, names every problem.
func NewTokens(grants []Grant) (*Tokens, error) {
	if found := problems(grants); len(found) > 0 {
		return nil, &strictyaml.Error{Kind: ErrTokens, Noun: "grants", Problems: found}
	}
	return &Tokens{grants: slices.Clone(grants)}, nil
}

// ParseTokens reads a list of grants from YAML or JSON text. file is its name in errors. An
// error about the content matches ErrTokens, and names every problem with its line.
func ParseTokens(file string, text []byte) (*Tokens, error) {
	d := strictyaml.Format{
		Noun: "list of tokens", Kind: ErrTokens, Example: "[{actor: NAME, sha256: HASH, scopes: [read]}]",
		Values: map[reflect.Type][]string{reflect.TypeFor[Scope](): {string(Read), string(Write), string(Admin)}},
	}.Parse(file, text)
	var grants []Grant
	d.Decode(&grants)
	d.Check(problems(grants)...)
	if err := d.Err(); err != nil {
		return nil, err
	}
	return &Tokens{grants: grants}, nil
}

// problems returns what is wrong with grants.
func problems(grants []Grant) (found []strictyaml.Problem) {
	add := func(field, message, suggestion string) {
		found = append(found, strictyaml.Problem{Field: field, Message: message, Suggestion: suggestion})
	}
	if len(grants) == 0 {
		add("", "no token is granted anything", "give at least one grant, or no tokens at all")
	}
	for i, g := range grants {
		at := fmt.Sprintf("[%d].", i)
		if g.Actor == "" {
			add(at+"actor", "is empty", "name the bearer")
		}
		if b, err := hex.DecodeString(g.SHA256); err != nil || len(b) != sha256.Size {
			add(at+"sha256", "is no SHA-256 in hex", "give the output of `printf %s TOKEN | sha256sum`")
		}
		if len(g.Scopes) == 0 {
			add(at+"scopes", "is empty", fmt.Sprintf("give some of %s, %s, %s", Read, Write, Admin))
		}
		for j, s := range g.Scopes {
			if s != Read && s != Write && s != Admin {
				add(fmt.Sprintf("%sscopes[%d]", at, j), fmt.Sprintf("is %q", s), fmt.Sprintf("there are %s, %s, %s", Read, Write, Admin))
			}
		}
	}
	return found
}

type actorKey struct{}

func actor(ctx context.Context) string {
	who, _ := ctx.Value(actorKey{}).(string)
	return who
}

// admit returns the caller, or an error that says why it is not admitted.
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

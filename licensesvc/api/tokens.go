package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
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
	// Operate allows to see the page, its stream and the metrics, which show all members, and to
	// press its buttons. A token that is limited to one member can't have it.
	Operate Scope = "service:operate"
	// Open marks routes that need no token. No token can have it.
	Open Scope = "open"
	// anyScope needs a token, whatever it allows.
	anyScope Scope = "any"
)

// scopes are the scopes that a token can have.
var scopes = []Scope{Read, Write, Admin, Operate}

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
		Values: map[reflect.Type][]string{reflect.TypeFor[Scope](): {string(Read), string(Write), string(Admin), string(Operate)}},
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
			add(at+"scopes", "is empty", fmt.Sprintf("give some of %s", scopes))
		}
		for j, s := range g.Scopes {
			switch {
			case !slices.Contains(scopes, s):
				add(fmt.Sprintf("%sscopes[%d]", at, j), fmt.Sprintf("is %q", s), fmt.Sprintf("there are %s", scopes))
			case s == Operate && g.Member != "":
				add(fmt.Sprintf("%sscopes[%d]", at, j), fmt.Sprintf("is %s, which shows all members, for a token of one member", s), "give it to another token")
			}
		}
	}
	return found
}

// Admit returns the bearer of a request's token, or a problem that says why the request is not
// admitted. header is the Authorization header: the token as Bearer, or as the password of
// Basic, which is what a browser asks for. member is the member that the request is about, or
// "" if it is about none.
func (t *Tokens) Admit(header string, scope Scope, member string) (string, *Problem) {
	if t == nil {
		return "", nil
	}
	token := tokenOf(header)
	if token == "" {
		return "", unauthorized("no token: send Authorization: Bearer TOKEN, or give the token as the password")
	}
	sum := sha256.Sum256([]byte(token))
	hash := []byte(hex.EncodeToString(sum[:]))
	for _, g := range t.grants {
		if subtle.ConstantTimeCompare(hash, []byte(strings.ToLower(g.SHA256))) != 1 {
			continue
		}
		if scope != anyScope && !slices.Contains(g.Scopes, scope) {
			return "", problemOf(KindForbidden, http.StatusForbidden, "the token lacks the scope "+string(scope))
		}
		if g.Member != "" && g.Member != member && scope != anyScope {
			return "", problemOf(KindForbidden, http.StatusForbidden, "the token is for another member")
		}
		return g.Actor, nil
	}
	return "", unauthorized("the token is not known")
}

// tokenOf returns the token in an Authorization header, or "".
func tokenOf(header string) string {
	kind, value, _ := strings.Cut(header, " ")
	value = strings.TrimSpace(value)
	switch {
	case strings.EqualFold(kind, "Bearer"):
		return value
	case strings.EqualFold(kind, "Basic"):
		decoded, err := base64.StdEncoding.DecodeString(value)
		if err != nil {
			return ""
		}
		_, password, _ := strings.Cut(string(decoded), ":")
		return password
	}
	return ""
}

func unauthorized(detail string) *Problem {
	p := problemOf(KindUnauthorized, http.StatusUnauthorized, detail)
	p.headers = http.Header{"Www-Authenticate": {`Bearer realm="licenses"`, `Basic realm="licenses", charset="UTF-8"`}}
	return p
}

package app

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"unicode"
	"unicode/utf8"
)

// The limits of names, in bytes.
const (
	maxID  = 64
	maxKey = 255
)

// licenseID returns the id of the license that a request creates. It is derived from the
// member and the client's key, so that a repeated request finds the same license.
func licenseID(member, key string) string { return "lic-" + digest("license", member, key) }

func digest(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// Stream returns the name of a member's stream.
func Stream(member string) string { return "member-" + member }

// checkID refuses a text that can't be used as a name.
func checkID(field, id string) error {
	switch {
	case id == "":
		return &InputError{field, "is empty: give one"}
	case len(id) > maxID:
		return &InputError{field, fmt.Sprintf("has %d bytes: at most %d are taken", len(id), maxID)}
	}
	if id == "." || id == ".." {
		return &InputError{field, fmt.Sprintf("is %q, which changes an address instead of naming something", id)}
	}
	for _, r := range id {
		// Format characters, such as zero width spaces, can make two different names look
		// equal.
		if r <= ' ' || r == utf8.RuneError || unicode.IsControl(r) || unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) {
			return &InputError{field, fmt.Sprintf("is %q: give letters, digits and signs, no spaces and nothing invisible", id)}
		}
	}
	return nil
}

func checkKey(field, key string) error {
	switch {
	case key == "":
		return &InputError{field, "is empty: give one that is new for a new command and the same when it is sent again, such as a UUID"}
	case len(key) > maxKey || !utf8.ValidString(key):
		return &InputError{field, fmt.Sprintf("has %d bytes or is no text: at most %d bytes of text are taken", len(key), maxKey)}
	}
	return nil
}

var (
	countryPattern    = regexp.MustCompile(`^[A-Z]{2}$`)
	deviceKindPattern = regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`)
)

func checkCountry(country string) error {
	if country == "" || countryPattern.MatchString(country) {
		return nil
	}
	return &InputError{"country", fmt.Sprintf("is %q: give two upper-case letters, such as DE, or nothing", country)}
}

func checkDeviceKind(kind string) error {
	if kind == "" || deviceKindPattern.MatchString(kind) {
		return nil
	}
	return &InputError{"device_kind", fmt.Sprintf("is %q: give lower-case letters, digits and _, such as phone, or nothing", kind)}
}

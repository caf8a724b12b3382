package api_test

import (
	"testing"

	"github.com/backstay-go/backstay/licensesvc/api"
)

// FuzzParseTokens: a file of tokens is read, or refused with an error; it never panics, and
// never yields tokens and an error.
func FuzzParseTokens(f *testing.F) {
	for _, seed := range []string{"", "{}", "tokens: []", "tokens: [{}]", "a: &a [*a]", "\ufefftokens:\n  - {token: 0123456789abcdef, scopes: [read]}\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if tokens, err := api.ParseTokens("tokens.yaml", text); (tokens == nil) == (err == nil) {
			t.Fatalf("%v, %v", tokens, err)
		}
	})
}

package token_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/backstay-go/backstay/licensesvc/app/token"
)

func open(t *testing.T, path string) *token.Signer {
	t.Helper()
	s, err := token.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var claims = token.Claims{
	Member: "m-00001", License: "l1", Device: "phone", Title: "meridian-002",
	Issued: time.Unix(1_800_000_000, 0).UTC(), Expires: time.Unix(1_800_003_600, 0).UTC(), Promise: json.RawMessage(`{"a":1}`),
}

func TestATokenOutlivesTheProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token.key")
	signed, err := open(t, path).Sign(claims)
	if err != nil {
		t.Fatal(err)
	}
	got, err := open(t, path).Verify(signed)
	if err != nil || got.License != claims.License || string(got.Promise) != string(claims.Promise) || !got.Expires.Equal(claims.Expires) {
		t.Fatalf("%+v, %v", got, err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key file is %v, %v", info.Mode(), err)
	}
}

func TestManyMakeOneKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token.key")
	tokens := make([]string, 8)
	var wg sync.WaitGroup
	for i := range tokens {
		wg.Go(func() {
			s, err := token.Open(path)
			if err != nil {
				t.Error(err)
				return
			}
			if tokens[i], err = s.Sign(claims); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, signed := range tokens {
		if _, err := open(t, path).Verify(signed); err != nil {
			t.Error(err)
		}
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 1 {
		t.Errorf("%v, %v", left, err)
	}
}

func TestChangedTokensAreRefused(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "a"))
	signed, err := s.Sign(claims)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(signed, ".")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"backstay-provisional"}`))
	other, err := open(t, filepath.Join(t.TempDir(), "b")).Sign(claims)
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]string{
		"empty":         "",
		"two parts":     parts[0] + "." + parts[1],
		"no base64":     "*." + parts[1] + "." + parts[2],
		"algorithm":     none + "." + parts[1] + ".",
		"another key":   other,
		"other claims":  parts[0] + "." + parts[1][:8] + "A" + parts[1][9:] + "." + parts[2],
		"too long":      strings.Repeat("a", 1<<20),
		"header's JSON": "AAAA." + parts[1] + "." + parts[2],
	} {
		if got, err := s.Verify(bad); !errors.Is(err, token.ErrInvalid) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestABadKeyFileSaysWhatToDo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token.key")
	if err := os.WriteFile(path, []byte("not a key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := token.Open(path); !errors.Is(err, token.ErrKey) || !strings.Contains(err.Error(), path) {
		t.Error(err)
	}
	if _, err := new(token.Signer).Sign(claims); !errors.Is(err, token.ErrKey) {
		t.Error(err)
	}
}

func FuzzVerify(f *testing.F) {
	s, err := token.Open(filepath.Join(f.TempDir(), "k"))
	if err != nil {
		f.Fatal(err)
	}
	signed, err := s.Sign(claims)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(signed)
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, bad string) {
		if _, err := s.Verify(bad); err == nil && bad != signed {
			t.Errorf("%q was taken", bad)
		}
	})
}

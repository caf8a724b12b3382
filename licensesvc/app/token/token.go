package token

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// ErrInvalid is matched by the error about a token that this signer did not make, or that was
// changed.
var ErrInvalid = errors.New("token: invalid")

// ErrKey is matched by the error about a key file that can't be used.
var ErrKey = errors.New("token: key file")

const (
	algorithm = "EdDSA"
	kind      = "backstay-provisional"
	// maxToken bounds the length of a token, in bytes.
	maxToken = 16 << 10
)

// Claims are the content of a token.
type Claims struct {
	// Member, License, Device and Title identify the promise.
	Member  string `json:"sub"`
	License string `json:"jti"`
	Device  string `json:"device"`
	Title   string `json:"title"`
	// Issued and Expires are the beginning and the end of the promise.
	Issued  time.Time `json:"issued"`
	Expires time.Time `json:"expires"`
	// Promise is the data that the service needs to keep the promise. Only the service interprets
	// it.
	Promise json.RawMessage `json:"promise"`
}

type header struct {
	Algorithm string `json:"alg"`
	Kind      string `json:"typ"`
	Key       string `json:"kid"`
}

// Signer signs and checks tokens. It is safe for concurrent use and need not be closed. The zero
// value refuses to sign and to check.
type Signer struct {
	key ed25519.PrivateKey
	id  string
}

// New returns a signer that uses the key.
func New(key ed25519.PrivateKey) (*Signer, error) {
	if len(key) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("%w: %d bytes are no Ed25519 private key", ErrKey, len(key))
	}
	sum := sha256.Sum256(key.Public().(ed25519.PublicKey))
	return &Signer{key: key, id: hex.EncodeToString(sum[:8])}, nil
}

// Open reads the key from a PEM file. If there is no file, it makes one. Several instances of a
// service share the file, so that each can check the tokens of the others.
func Open(path string) (*Signer, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := create(path); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrKey, err)
		}
		b, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, fmt.Errorf("%w: %s holds no PEM block; give a PKCS #8 Ed25519 key, or move the file away to have one made", ErrKey, path)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrKey, path, err)
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%w: %s holds a %T; give a PKCS #8 Ed25519 key", ErrKey, path, parsed)
	}
	return New(key)
}

// create writes a new key. If several processes try at the same time, one of them succeeds.
func create(path string) error {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".key.*") // 0600
	if err != nil {
		return err
	}
	err = pem.Encode(f, &pem.Block{Type: "PRIVATE KEY", Bytes: der})
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		if err = os.Link(f.Name(), path); errors.Is(err, fs.ErrExist) {
			err = nil
		}
	}
	return errors.Join(err, os.Remove(f.Name()))
}

// Sign returns a token with the claims.
func (s *Signer) Sign(c Claims) (string, error) {
	if s == nil || s.key == nil {
		return "", fmt.Errorf("%w: the signer has no key", ErrKey)
	}
	h, err := json.Marshal(header{Algorithm: algorithm, Kind: kind, Key: s.id})
	if err != nil {
		return "", err
	}
	b, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("token: license %s: %w", c.License, err)
	}
	signed := encode(h) + "." + encode(b)
	return signed + "." + encode(ed25519.Sign(s.key, []byte(signed))), nil
}

// Verify returns the claims of a token that was signed with this signer's key. It does not check
// Expires, because a promise is kept even if the device returns late.
func (s *Signer) Verify(token string) (Claims, error) {
	if s == nil || s.key == nil {
		return Claims{}, fmt.Errorf("%w: the signer has no key", ErrKey)
	}
	if len(token) > maxToken {
		return Claims{}, fmt.Errorf("%w: %d bytes, at most %d are read", ErrInvalid, len(token), maxToken)
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return Claims{}, fmt.Errorf("%w: %d parts, not 3; send the token as it was given", ErrInvalid, len(parts))
	}
	var raw [3][]byte
	for i, p := range parts {
		b, err := base64.RawURLEncoding.Strict().DecodeString(p)
		if err != nil {
			return Claims{}, fmt.Errorf("%w: part %d is not base64url", ErrInvalid, i+1)
		}
		raw[i] = b
	}
	var h header
	if err := json.Unmarshal(raw[0], &h); err != nil {
		return Claims{}, fmt.Errorf("%w: the header is not JSON", ErrInvalid)
	}
	// The signer chooses the algorithm; the token must not choose it (RFC 8725, 3.1).
	if h.Algorithm != algorithm || h.Kind != kind {
		return Claims{}, fmt.Errorf("%w: this is a %q token signed with %q", ErrInvalid, h.Kind, h.Algorithm)
	}
	if !ed25519.Verify(s.key.Public().(ed25519.PublicKey), []byte(parts[0]+"."+parts[1]), raw[2]) {
		return Claims{}, fmt.Errorf("%w: the signature does not match key %s (the token names key %.32q)", ErrInvalid, s.id, h.Key)
	}
	var c Claims
	if err := json.Unmarshal(raw[1], &c); err != nil {
		return Claims{}, fmt.Errorf("%w: the claims can't be read: %w", ErrInvalid, err)
	}
	return c, nil
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

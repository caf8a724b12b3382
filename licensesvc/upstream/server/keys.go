package server

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"

	"github.com/backstay-go/backstay/licensesvc/upstream"
)

const minSecret = 16

var defaultSecret = []byte("backstay demonstration key secret")

// Keys returns a license's content key, wrapped for one device. Identical requests get identical
// answers, so a request may be repeated.
//
//	POST /v1/keys   {"license":"...","title":"...","device":"..."}
//
// It is safe for concurrent use and need not be closed.
type Keys struct {
	mux    *http.ServeMux
	secret []byte
}

// NewKeys returns a key service that uses a secret of at least 16 bytes. Nil means the
// demonstration's fixed secret.
func NewKeys(secret []byte) (*Keys, error) {
	if secret == nil {
		secret = defaultSecret
	}
	if len(secret) < minSecret {
		return nil, fmt.Errorf("key-service: the secret has %d bytes; give at least %d", len(secret), minSecret)
	}
	k := &Keys{mux: http.NewServeMux(), secret: secret}
	k.mux.HandleFunc("POST /v1/keys", k.post)
	return k, nil
}

// ServeHTTP serves one request.
func (k *Keys) ServeHTTP(w http.ResponseWriter, r *http.Request) { k.mux.ServeHTTP(w, r) }

func (k *Keys) post(w http.ResponseWriter, r *http.Request) {
	var want upstream.KeyRequest
	if !read(w, r, &want) {
		return
	}
	for _, field := range []struct{ name, value string }{{"license", want.License}, {"title", want.Title}, {"device", want.Device}} {
		if field.value == "" {
			fail(w, http.StatusUnprocessableEntity, field.name+" is empty: a key belongs to a license, a title and a device")
			return
		}
	}
	key, err := k.wrap(want)
	if err != nil {
		fail(w, http.StatusInternalServerError, "the key could not be wrapped: "+err.Error())
		return
	}
	reply(w, key)
}

// wrap derives the title's content key and seals it under the device's key. The nonce is derived
// from the content and the receiver. The answer is therefore repeatable, and a nonce is never
// used for two plaintexts.
func (k *Keys) wrap(want upstream.KeyRequest) (upstream.Key, error) {
	content, err := k.derive("content", want.Title)
	if err != nil {
		return upstream.Key{}, err
	}
	device, err := k.derive("device", want.Device)
	if err != nil {
		return upstream.Key{}, err
	}
	block, err := aes.NewCipher(device)
	if err != nil {
		return upstream.Key{}, err
	}
	seal, err := cipher.NewGCM(block)
	if err != nil {
		return upstream.Key{}, err
	}
	mac := hmac.New(sha256.New, k.secret)
	fmt.Fprintf(mac, "nonce\x00%s\x00%s\x00%s", want.License, want.Title, want.Device)
	nonce := mac.Sum(nil)[:seal.NonceSize()]
	id := sha256.Sum256(content)
	return upstream.Key{
		ID:        hex.EncodeToString(id[:8]),
		Algorithm: "A256GCM",
		Wrapped:   seal.Seal(nonce, nonce, content, []byte(want.License)),
	}, nil
}

func (k *Keys) derive(purpose, of string) ([]byte, error) {
	return hkdf.Key(sha256.New, k.secret, nil, purpose+"\x00"+of, 32)
}

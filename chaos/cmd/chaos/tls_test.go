package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// pemFile is a file with one PEM block.
func pemFile(t *testing.T, name, kind string, der []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func keyFile(t *testing.T, name string, key any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pemFile(t, name, "PRIVATE KEY", der)
}

var hello = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })

func TestTLSOnEitherSideByFlags(t *testing.T) {
	secure, plain := httptest.NewTLSServer(hello), httptest.NewServer(hello)
	defer secure.Close()
	defer plain.Close()
	cert := pemFile(t, "cert.pem", "CERTIFICATE", secure.Certificate().Raw)
	key := keyFile(t, "key.pem", secure.TLS.Certificates[0].PrivateKey)
	trusts := x509.NewCertPool()
	trusts.AddCert(secure.Certificate())
	plan := write(t, "rules: []")
	for _, c := range []struct {
		name, upstream, scheme string
		flags                  []string
		fails                  string // what is reported if a request does not pass
	}{
		{"with clients", plain.Listener.Addr().String(), "https", []string{"--tls-cert", cert, "--tls-key", key}, ""},
		{"with the upstream", secure.Listener.Addr().String(), "http", []string{"--upstream-tls", "--upstream-ca", cert}, ""},
		{"both", secure.Listener.Addr().String(), "https", []string{"--tls-cert", cert, "--tls-key", key, "--upstream-tls", "--upstream-ca", cert}, ""},
		{"passed on", secure.Listener.Addr().String(), "https", nil, ""},
		{"an upstream that is not trusted", secure.Listener.Addr().String(), "http", []string{"--upstream-tls"}, "the TLS handshake with the upstream failed"},
		{"a client without TLS", plain.Listener.Addr().String(), "http", []string{"--tls-cert", cert, "--tls-key", key}, "the client's TLS handshake failed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, errs := &lines{ch: make(chan string, 20)}, &lines{ch: make(chan string, 20)}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			done := make(chan int, 1)
			go func() {
				done <- run(ctx, append([]string{"proxy", "--dependency", "d", "--upstream", c.upstream, plan}, c.flags...), out, errs)
			}()
			addr := after(t, out, "d at ")
			carrier := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusts}}
			resp, err := (&http.Client{Transport: carrier, Timeout: time.Minute}).Get(c.scheme + "://" + addr)
			if c.fails == "" {
				if err != nil {
					t.Fatal(err)
				}
				b, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if string(b) != "hello" || err != nil {
					t.Errorf("%q, %v", b, err)
				}
			} else {
				if err == nil {
					resp.Body.Close()
					if resp.StatusCode == http.StatusOK {
						t.Error("it passed")
					}
				}
				if reported := <-errs.ch; !strings.Contains(reported, c.fails) {
					t.Errorf("got %q, want %q", reported, c.fails)
				}
			}
			carrier.CloseIdleConnections()
			cancel()
			if status := <-done; status != 0 {
				t.Errorf("status %d", status)
			}
		})
	}
}

func TestBadTLSFilesAreNamed(t *testing.T) {
	secure := httptest.NewTLSServer(hello)
	defer secure.Close()
	cert := pemFile(t, "cert.pem", "CERTIFICATE", secure.Certificate().Raw)
	key := keyFile(t, "key.pem", secure.TLS.Certificates[0].PrivateKey)
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other := keyFile(t, "other.pem", stranger)
	garbage := write(t, "rules: []")
	damaged := pemFile(t, "damaged.pem", "CERTIFICATE", secure.Certificate().Raw[:100])
	for _, c := range []struct {
		flags []string
		says  []string
	}{
		{[]string{"--tls-cert", "none.pem", "--tls-key", key}, []string{"--tls-cert", "none.pem", "no such file"}},
		{[]string{"--tls-cert", cert, "--tls-key", "none.pem"}, []string{"--tls-key", "none.pem", "no such file"}},
		{[]string{"--tls-cert", garbage, "--tls-key", key}, []string{"--tls-cert " + garbage, "PEM"}},
		{[]string{"--tls-cert", damaged, "--tls-key", key}, []string{"--tls-cert " + damaged, "x509"}},
		{[]string{"--tls-cert", cert, "--tls-key", garbage}, []string{"--tls-key " + garbage, "PEM"}},
		{[]string{"--tls-cert", cert, "--tls-key", other}, []string{"--tls-key " + other, "does not match"}},
		{[]string{"--tls-cert", cert}, []string{"--tls-cert and --tls-key go together"}},
		{[]string{"--tls-key", key}, []string{"--tls-cert and --tls-key go together"}},
		{[]string{"--upstream-tls", "--upstream-ca", "none.pem"}, []string{"--upstream-ca", "none.pem", "no such file"}},
		{[]string{"--upstream-tls", "--upstream-ca", garbage}, []string{"--upstream-ca " + garbage, "no certificate in it"}},
		{[]string{"--upstream-tls", "--upstream-ca", damaged}, []string{"--upstream-ca " + damaged, "no certificate in it"}},
		{[]string{"--upstream-ca", cert}, []string{"--upstream-ca goes with --upstream-tls"}},
	} {
		var out bytes.Buffer
		status := run(t.Context(), append([]string{"proxy", "--dependency", "d", "--upstream", "127.0.0.1:1", garbage}, c.flags...), &out, &out)
		for _, say := range c.says {
			if status != 2 || !strings.Contains(out.String(), say) {
				t.Errorf("%v: status %d, no %q in %s", c.flags, status, say, out.String())
			}
		}
	}
	var out bytes.Buffer
	if status := run(t.Context(), []string{"proxy", "--api", "127.0.0.1:0", "--tls-cert", cert, "--tls-key", key}, &out, &out); status != 2 || !strings.Contains(out.String(), "--tls-cert, --tls-key: for a PLAN") {
		t.Errorf("with --api: status %d, %s", status, out.String())
	}
}

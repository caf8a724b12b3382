package cassandra_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/datastax/go-cassandra-native-protocol/message"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/backstay-go/backstay/clients/cassandra"
	"github.com/backstay-go/backstay/clients/cassandra/telemetry"
	"github.com/backstay-go/backstay/internal/cqltest"
	"github.com/backstay-go/backstay/resilience"
)

const (
	user = "harbour"
	// password and value are secrets that must show up nowhere.
	password = "pw-5ab1e9-tide"
	value    = "bound-77c4-anchor"
)

// certificate is a fresh one for 127.0.0.1 to 127.0.0.9, and what trusts it.
func certificate(t *testing.T) (server *tls.Config, trust *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	about := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "cqltest"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	for i := range byte(9) {
		about.IPAddresses = append(about.IPAddresses, net.IPv4(127, 0, 0, i+1))
	}
	der, err := x509.CreateCertificate(rand.Reader, about, about, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	trust = x509.NewCertPool()
	trust.AddCert(cert)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, trust
}

// said collects all that is said, in any form.
type said struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *said) add(what ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range what {
		fmt.Fprintf(&s.text, "%v\n%+v\n%#v\n", w, w, w)
	}
}

func (s *said) Handle(ctx context.Context, e resilience.Event) context.Context {
	s.add(e)
	for err := e.Err; err != nil; err = errors.Unwrap(err) {
		s.add(err)
	}
	return ctx
}

// TestSecretsStayInside connects by TLS and password, lets requests with a secret
// value fail in several ways, and searches everything that was said for the secrets:
// errors, events, log lines, spans, the configuration printed and marshalled.
func TestSecretsStayInside(t *testing.T) {
	server, trust := certificate(t)
	cluster := cqltest.Start(t, cqltest.Config{Nodes: 2, Username: user, Password: password, TLS: server})
	all := &said{}
	spans := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	observer, err := telemetry.New(telemetry.Config{TracerProvider: provider})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := errors.Join(observer.Close(), provider.Shutdown(context.WithoutCancel(t.Context()))); err != nil {
			t.Error(err)
		}
	}()
	configure := func(c *cassandra.Config) {
		c.Username, c.Password, c.TLS = user, password, &tls.Config{RootCAs: trust}
		c.Log = func(line string) { all.add(line) }
		c.Options = []resilience.Option{resilience.WithListener(all)}
		c.Observers = []cassandra.Observer{observer}
	}
	var shown cassandra.Config
	s := scriptedSession(t, cluster, configure, func(c *cassandra.Config) { shown = *c })
	all.add(shown, &shown, shown.Password)
	shown.Options, shown.Observers, shown.Log = nil, nil, nil
	asJSON, err := json.Marshal(shown)
	if err != nil {
		t.Fatal(err)
	}
	all.add(string(asJSON))
	for name, answer := range map[string]func(*cqltest.Request){
		"syntax":    func(r *cqltest.Request) { r.Send(&message.SyntaxError{ErrorMessage: "line 1"}) },
		"timed out": func(*cqltest.Request) {},
		"closed":    (*cqltest.Request).Close,
		"unavailable": func(r *cqltest.Request) {
			r.Send(&message.Unavailable{ErrorMessage: "alone", Consistency: 6, Required: 2, Alive: 1})
		},
		"fine": (*cqltest.Request).Void,
	} {
		cluster.On(insertV, cqltest.Statement{Answer: answer})
		cluster.On("INSERT INTO n (id, n) VALUES (?, ?)", cqltest.Statement{Params: cqltest.Columns("id text, n int"), Answer: answer})
		for _, err := range []error{
			s.Query(insertV, value, value).Profile("brief").Exec(),
			s.Query("INSERT INTO n (id, n) VALUES (?, ?)", value, value).Profile("brief").Exec(), // of another type
			s.Query(insertV, value).Profile("brief").Exec(),                                      // too few
			s.Query(insertV).BindStruct(struct{ P0 string }{value}).Profile("brief").Exec(),
			s.NewBatch(cassandra.LoggedBatch).Query(insertV, value, value).Profile("brief").Exec(),
		} {
			if err != nil {
				all.add(name, err)
			}
			var e *cassandra.Error
			if errors.As(err, &e) {
				all.add(*e)
			}
		}
	}
	for _, wrong := range []func(*cassandra.Config){
		func(c *cassandra.Config) { c.Username = "stranger" },
		func(c *cassandra.Config) { c.TLS = nil },
		func(c *cassandra.Config) { c.TLS = &tls.Config{} },
		func(c *cassandra.Config) { c.Username, c.Keyspace = "", "" },
	} {
		c := cassandra.Config{Hosts: cluster.Hosts(), Port: cluster.Port(), Profiles: scriptedProfiles(), DefaultProfile: "read", ConnectTimeout: 100 * time.Millisecond}
		configure(&c)
		wrong(&c)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		s, err := cassandra.Connect(ctx, c)
		cancel()
		if err == nil {
			t.Errorf("connected with %v", c)
			_ = s.Close()
		}
		all.add(err)
	}
	for _, span := range spans.GetSpans() {
		all.add(span.Name, span.Attributes, span.Events, span.Status)
	}
	text := all.text.String()
	if len(spans.GetSpans()) == 0 || !strings.Contains(text, insertV) {
		t.Fatal("nothing was said")
	}
	for _, secret := range []string{password, value, fmt.Sprintf("%x", password), fmt.Sprint([]byte(password)), fmt.Sprint([]byte(value))} {
		if i := strings.Index(text, secret); i >= 0 {
			t.Errorf("a secret got out: ...%s...", text[max(0, i-200):i+len(secret)])
		}
	}
}

package compattest

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/backstay-go/backstay/clients/rest"
	"github.com/backstay-go/backstay/resilience"
)

// TestS3 runs docs/how-to/guard-an-sdk.md: the guard repeats, the SDK does not, no header
// of ours travels, and the guard's errors come through.
func TestS3(t *testing.T) {
	var requests, failing atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		for name := range r.Header {
			if strings.HasPrefix(name, "Backstay") {
				t.Errorf("the third party sees %s", name)
			}
		}
		_, _ = io.Copy(io.Discard, r.Body)
		if failing.Add(-1) >= 0 {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		_, _ = io.WriteString(w, "object")
	}))
	defer s.Close()
	g, err := resilience.New(resilience.Policy{
		Name: "s3", Bulkhead: resilience.BulkheadPolicy{Limit: 4}, Breaker: &resilience.BreakerPolicy{},
		Default: resilience.OperationPolicy{Timeout: 20 * time.Second, Idempotent: true, Retry: &resilience.RetryPolicy{MaxAttempts: 2, BaseDelay: time.Millisecond}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	transport := &rest.Transport{Guard: g, NoHeaders: true}
	defer transport.CloseIdleConnections()
	client := s3.New(s3.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(s.URL), UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
		HTTPClient:  transport.Client(), Retryer: aws.NopRetryer{},
	})
	get := func() error {
		out, err := client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("b"), Key: aws.String("k")})
		if err != nil {
			return err
		}
		defer out.Body.Close()
		if text, err := io.ReadAll(out.Body); err != nil || string(text) != "object" {
			t.Errorf("%q, %v", text, err)
		}
		return nil
	}
	failing.Store(1)
	if err := get(); err != nil || requests.Load() != 2 {
		t.Errorf("a GET after one failure: %d requests, %v", requests.Load(), err)
	}
	failing.Store(1)
	requests.Store(0)
	_, err = client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("b"), Key: aws.String("k"), Body: bytes.NewReader([]byte("hello"))})
	if err == nil || requests.Load() != 1 {
		t.Errorf("a PUT, whose body the SDK lets nobody get again: %d requests, %v", requests.Load(), err)
	}
	failing.Store(1000)
	for range 30 {
		err = get()
	}
	if !errors.Is(err, resilience.ErrOpen) {
		t.Errorf("the guard's error does not come through: %v", err)
	}
}

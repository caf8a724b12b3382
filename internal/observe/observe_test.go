package observe_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/backstay-go/backstay/internal/observe"
)

// TestEachServerIsAServiceOfItsOwn: spans name the server that made them, the environment names
// the command's service, and metrics have no label of the instrumentation's name.
func TestEachServerIsAServiceOfItsOwn(t *testing.T) {
	var mu sync.Mutex
	var sent bytes.Buffer
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if _, err := io.Copy(&sent, r.Body); err != nil {
			t.Error(err)
		}
	}))
	defer collector.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	t.Setenv("OTEL_SERVICE_NAME", "licenses-in-madrid")
	o, err := observe.Start(t.Context(), "licensesvc", os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	_, own := o.Tracer.Tracer("test").Start(t.Context(), "own span")
	own.End()
	_, other := o.Service("membership").Tracer("test").Start(t.Context(), "other span")
	other.End()
	counter, err := o.Meter.Meter("test").Int64Counter("things")
	if err != nil {
		t.Fatal(err)
	}
	counter.Add(t.Context(), 1)
	page := httptest.NewRecorder()
	o.Metrics.ServeHTTP(page, httptest.NewRequest("GET", "/metrics", nil))
	if text := page.Body.String(); strings.Contains(text, "otel_scope") || !strings.Contains(text, "things_total") || !strings.Contains(text, `service_name="licenses-in-madrid"`) {
		t.Errorf("the page says\n%s", text)
	}
	if err := o.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	for _, want := range []string{"own span", "other span", "licenses-in-madrid", "membership", "service.version", "service.instance.id"} {
		if !strings.Contains(sent.String(), want) {
			t.Errorf("nothing that was sent says %q", want)
		}
	}
}

// TestWithoutACollectorNoSpansAreMade, of any service.
func TestWithoutACollectorNoSpansAreMade(t *testing.T) {
	o, err := observe.Start(t.Context(), "licensesvc", func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	if _, span := o.Service("membership").Tracer("test").Start(t.Context(), "x"); span.IsRecording() {
		t.Error("a span is recorded")
	}
	if err := o.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

package jaegertest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// Trace asks Jaeger for a trace and waits until the trace is complete: it has a span for each of
// the names (two spans for a name that is given twice), and all spans are connected under one
// root. If that takes longer than a minute, the test fails and shows the spans that are there.
func (j *Jaeger) Trace(tb testing.TB, id trace.TraceID, names ...string) *Trace {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), patience)
	defer cancel()
	for {
		t, err := j.find(ctx, id)
		lacks := "the trace"
		if err == nil {
			if lacks = missing(t, names); lacks == "" {
				return t
			}
		}
		select {
		case <-ctx.Done():
			tb.Fatalf("jaegertest: trace %s lacks %s after %v (last error: %v); there is:\n%v", id, lacks, patience, err, t)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// missing describes what a trace lacks.
func missing(t *Trace, names []string) string {
	there := map[string]int{}
	for _, s := range t.Spans {
		there[s.Name]++
	}
	for _, name := range names {
		if there[name]--; there[name] < 0 {
			return fmt.Sprintf("a span %q", name)
		}
	}
	if n := len(t.Roots); n != 1 {
		return fmt.Sprintf("spans that tie its %d roots together", n)
	}
	return ""
}

// Services returns the names of the services that Jaeger knows.
func (j *Jaeger) Services(tb testing.TB) []string {
	tb.Helper()
	var answer struct{ Services []string }
	if err := j.get(tb.Context(), "/api/v3/services", &answer); err != nil {
		tb.Fatalf("jaegertest: %v", err)
	}
	slices.Sort(answer.Services)
	return answer.Services
}

// find asks for a trace once, without waiting.
func (j *Jaeger) find(ctx context.Context, id trace.TraceID) (*Trace, error) {
	var answer struct {
		Result struct {
			ResourceSpans []resourceSpans
		}
	}
	if err := j.get(ctx, "/api/v3/traces/"+id.String(), &answer); err != nil {
		return nil, err
	}
	return newTrace(id.String(), answer.Result.ResourceSpans), nil
}

// maxAnswer bounds the size of an answer, in bytes.
const maxAnswer = 64 << 20

func (j *Jaeger) get(ctx context.Context, path string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, j.Query+path, nil)
	if err != nil {
		return err
	}
	resp, err := j.client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s: %s", path, resp.Status, strings.TrimSpace(string(body)))
	}
	return json.Unmarshal(body, into)
}

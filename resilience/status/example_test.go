package status_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"time"

	"github.com/backstay-go/backstay/resilience"
	"github.com/backstay-go/backstay/resilience/status"
)

// An operator takes a dependency out of use, and looks at it.
func Example() {
	s, err := status.New(status.Config{Token: "change me, change me"})
	if err != nil {
		fmt.Println(err)
		return
	}
	log := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: withoutTime}))
	guard, err := resilience.New(resilience.Policy{
		Name:     "catalog",
		Bulkhead: resilience.BulkheadPolicy{Limit: 10},
		Breaker:  &resilience.BreakerPolicy{},
		Default:  resilience.OperationPolicy{Timeout: time.Second},
	}, resilience.WithListener(s), resilience.WithListener(status.NewLogger(log)))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer guard.Close()
	if err := s.Add(guard); err != nil {
		fmt.Println(err)
		return
	}

	r := httptest.NewRequest(http.MethodPost, "/debug/guards", strings.NewReader(`{"dependency": "catalog", "action": "force", "mode": "open"}`))
	r.Header.Set("Authorization", "Bearer change me, change me")
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	fmt.Println(w.Code, guard.Snapshot().Breaker)
	// Output:
	// level=WARN msg="circuit breaker opened" dependency=catalog from=closed to=open
	// level=INFO msg="policy updated" dependency=catalog
	// 200 open
}

func withoutTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

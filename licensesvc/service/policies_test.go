package service_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/backstay-go/backstay/internal/observe"
	"github.com/backstay-go/backstay/licensesvc/service"
	"github.com/backstay-go/backstay/licensesvc/upstream"
	"github.com/backstay-go/backstay/resilience"
)

func TestPoliciesChangeWhileTheServiceRuns(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	store := service.SQLite{Path: filepath.Join(dir, "events.db")}
	observed, err := observe.Start(ctx, "test", func(string) string { return "" })
	must(err)
	defer func() { must(observed.Shutdown(context.WithoutCancel(ctx))) }()
	policies := service.Policies(store.Policy())
	first := policies[upstream.Catalog]
	first.Bulkhead.Limit = 7
	in, err := service.Start(ctx, service.Config{
		Listen: "127.0.0.1:0", Data: dir, Store: store, Membership: "http://127.0.0.1:1", Catalog: "http://127.0.0.1:1", Keys: "http://127.0.0.1:1",
		Policies: map[string]resilience.Policy{upstream.Catalog: first}, Observed: observed, Log: slog.New(slog.DiscardHandler),
	})
	must(err)
	defer func() { must(in.Shutdown(context.WithoutCancel(ctx))) }()
	limit := func() int {
		for _, g := range in.Guards() {
			if s := g.Snapshot(); s.Dependency == upstream.Catalog {
				return s.Limit
			}
		}
		return -1
	}
	if got := limit(); got != 7 {
		t.Errorf("the limit is %d at the start, want 7", got)
	}
	second := policies[upstream.Catalog]
	second.Bulkhead.Limit = 9
	must(in.Update(map[string]resilience.Policy{upstream.Catalog: second}))
	if got := limit(); got != 9 {
		t.Errorf("the limit is %d after the change, want 9", got)
	}
	bad, without, stranger := second, second, second
	bad.Bulkhead.Limit = 0
	without.Operations = nil
	stranger.Name = "billing"
	for says, p := range map[string]resilience.Policy{"bulkhead.limit": bad, "title is missing": without} {
		if err := in.Update(map[string]resilience.Policy{upstream.Catalog: p}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("want an error saying %q, got %v", says, err)
		}
	}
	if err := in.Update(map[string]resilience.Policy{"billing": stranger}); err == nil || !strings.Contains(err.Error(), "there is no such guard") {
		t.Errorf("an unknown guard: %v", err)
	}
	if got := limit(); got != 9 {
		t.Errorf("a bad change made the limit %d", got)
	}
}

package app_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/backstay-go/backstay/licensesvc/app"
	"github.com/backstay-go/backstay/licensesvc/license"
	"github.com/backstay-go/backstay/licensesvc/upstream"
	"github.com/backstay-go/backstay/licensesvc/upstream/server"
	"github.com/backstay-go/backstay/resilience"
)

type resiliencePolicy = resilience.Policy

// TestFailTheNthStoreCall fails the nth call on the store, for every n and in
// every way, until a request meets no fault. Whatever was answered must be true
// once the store is back, and the same request must then find the same license.
func TestFailTheNthStoreCall(t *testing.T) {
	h := build(t)
	m := h.member(upstream.PlanPremium)
	title := 0
	for _, what := range []fault{refused, lost, unheard} {
		for from := range 12 {
			for _, length := range []int{1, 2, 100} {
				t.Run(fmt.Sprintf("%d from call %d, %d calls", what, from, length), func(t *testing.T) {
					key := fmt.Sprintf("k-%d-%d-%d", what, from, length)
					title++
					in := request(m, "phone", server.TitleID("capstan", title%19+1), key)
					calls, failed := 0, 0
					h.store.set(func(string) fault {
						calls++
						if calls > from && calls <= from+length {
							failed++
							return what
						}
						return none
					})
					a, err := h.app.Request(t.Context(), in)
					h.store.set(nil)
					var no *app.Refused
					switch {
					case errors.As(err, &no):
					case err != nil:
						unavailable(t, err, app.EventStore)
					case a.Outcome == app.Promised && failed == 0:
						t.Errorf("promised without a fault: %+v", a)
					}
					if err := h.app.Drain(t.Context()); err != nil {
						t.Fatal(err)
					}
					again, errAgain := h.app.Request(t.Context(), in)
					if err == nil && (errAgain != nil || again.License.ID != a.License.ID) {
						t.Errorf("answered %+v, then %+v, %v", a, again, errAgain)
					}
					if errAgain == nil && again.Status == license.StatusActive {
						if _, err := h.app.Release(t.Context(), app.ReportInput{Member: m, License: again.License.ID, Key: "x"}); err != nil {
							t.Error(err)
						}
					}
					count := map[string]int{}
					for _, e := range h.history(m) {
						switch e.(type) {
						case license.Granted, license.Promised:
							count[e.Of()]++
						}
					}
					if err == nil && count[a.License.ID] != 1 {
						t.Errorf("license %s is in the store %d times", a.License.ID, count[a.License.ID])
					}
				})
			}
		}
	}
}

// TestACommitThatIsClosedAgainAndAgainIsStoredLater: while appends get lost and reading
// works, each commit is settled as not applied. Whatever was accepted meanwhile must
// still be stored once the store takes appends again, however long that lasted.
func TestACommitThatIsClosedAgainAndAgainIsStoredLater(t *testing.T) {
	h := build(t)
	m := h.member(upstream.PlanPremium)
	a, err := h.app.Request(t.Context(), request(m, "phone", server.TitleID("capstan", 2), "k"))
	if err != nil {
		t.Fatal(err)
	}
	lose := func(call string) fault {
		if call == "append" {
			return lost
		}
		return none
	}
	h.store.set(lose)
	in := app.ReportInput{Member: m, License: a.License.ID, Key: "p"}
	if got, err := h.app.Play(t.Context(), in); err != nil || got.Outcome != app.Accepted {
		t.Fatalf("%+v, %v", got, err)
	}
	for range 5 {
		if err := h.app.Drain(t.Context()); err == nil {
			t.Fatal("a store that loses appends took one")
		}
	}
	h.store.set(nil)
	if err := h.app.Drain(t.Context()); err != nil || h.app.Pending() != 0 {
		t.Fatalf("%d are left: %v", h.app.Pending(), err)
	}
	if got, err := h.app.Play(t.Context(), in); err != nil || got.Outcome != app.Done {
		t.Errorf("the same report again: %+v, %v", got, err)
	}
	plays := 0
	for _, e := range h.history(m) {
		if e.Kind() == license.KindPlayed {
			plays++
		}
	}
	if plays != 1 {
		t.Errorf("the play is stored %d times", plays)
	}
}

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
					if errAgain == nil && again.Status == license.Active {
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

package chaostest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/backstay-go/backstay/licensesvc/app"
	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/licensesvc/license"
	"github.com/backstay-go/backstay/licensesvc/wire"
)

// stored holds the events of each member, read from the store without going through the service.
type stored map[string][]license.Event

func readHistory(ctx context.Context, store eventstore.Loader, members []string) (stored, error) {
	codec, err := wire.New()
	if err != nil {
		return nil, err
	}
	all := stored{}
	for _, member := range members {
		err := patiently(ctx, func() error {
			all[member] = nil
			_, err := eventstore.LoadAll(ctx, store, eventstore.Query{Stream: app.Stream(member)}, func(stored []eventstore.Event) error {
				events, err := codec.DecodeAll(stored)
				all[member] = append(all[member], events...)
				return err
			})
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("read the events of %s: %w", member, err)
		}
	}
	return all, nil
}

// patience is how long a store that was disturbed, on a busy machine, may be unavailable while it
// is being judged.
const patience = time.Minute

// patiently calls f again while the store is unavailable.
func patiently(ctx context.Context, f func() error) error {
	began := time.Now()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		err := f()
		if !errors.Is(err, eventstore.ErrUnavailable) || time.Since(began) > patience {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}

// count returns how often the store holds events of the given kinds for a license.
func (h stored) count(member, id string, kinds ...string) (n int) {
	for _, e := range h[member] {
		for _, k := range kinds {
			if e.Of() == id && e.Kind() == k {
				n++
			}
		}
	}
	return n
}

// effect maps each kind of request to the kind of event that it leads to.
var effect = map[string][]string{
	askRequest:  {license.KindGranted, license.KindPromised},
	askRenew:    {license.KindRenewed},
	askDownload: {license.KindDownloaded},
	askPlay:     {license.KindPlayed},
	askRelease:  {license.KindReleased},
}

// kept compares what clients were promised with what the store holds. A request whose outcome is
// unknown may be in the store or not, but at most once.
func kept(answers []seen, h stored) (checked int, broken []string) {
	type tally struct{ acknowledged, possible int }
	type of struct{ member, kind, license string }
	tallies := map[of]*tally{}
	for _, a := range answers {
		if effect[a.kind] == nil || a.license == "" {
			continue
		}
		what := of{a.member, a.kind, a.license}
		t := tallies[what]
		if t == nil {
			t = &tally{}
			tallies[what] = t
		}
		switch a.outcome {
		case gotDone, gotPromised, gotAccepted:
			t.possible++
			// Only the first of several idempotent requests stores an event.
			if a.kind != askRelease && a.kind != askDownload || t.acknowledged == 0 {
				t.acknowledged++
			}
		case gotUnknown, gotUnavailable, gotError:
			t.possible++
		}
	}
	for what, t := range tallies {
		if t.acknowledged == 0 {
			continue
		}
		checked += t.acknowledged
		switch n := h.count(what.member, what.license, effect[what.kind]...); {
		case n < t.acknowledged:
			broken = append(broken, fmt.Sprintf("%s of %s by %s: acknowledged %d times, stored %d times", what.kind, what.license, what.member, t.acknowledged, n))
		case n > t.possible || what.kind == askRequest && n > 1:
			broken = append(broken, fmt.Sprintf("%s of %s by %s: asked %d times, stored %d times", what.kind, what.license, what.member, t.possible, n))
		}
	}
	return checked, broken
}

// promises finds the promises that were neither confirmed nor ended.
func promises(answers []seen, h stored) (made int, open []string) {
	for _, a := range answers {
		if a.outcome != gotPromised || a.kind != askRequest {
			continue
		}
		made++
		// A grant means that the append whose outcome was unknown was stored after all.
		if h.count(a.member, a.license, license.KindGranted, license.KindConfirmed, license.KindRevoked, license.KindReleased) == 0 {
			open = append(open, fmt.Sprintf("%s of %s: promised, and neither confirmed nor ended", a.license, a.member))
		}
	}
	return made, open
}

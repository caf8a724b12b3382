package app

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/backstay-go/backstay/licensesvc/codec"
	"github.com/backstay-go/backstay/licensesvc/codec/codectest"
	"github.com/backstay-go/backstay/licensesvc/license"
)

// TestNoStoredCommandChangesUnnoticed: journals and tokens outlive the program too.
func TestNoStoredCommandChangesUnnoticed(t *testing.T) {
	c, err := newKeptCodec()
	if err != nil {
		t.Fatal(err)
	}
	codectest.Check(t, c.commands, "testdata/commands", func(k kept) (codec.Record, error) { return c.commands.Encode(k.name(), k) })
}

// TestAnUpgradeReadsWhatWasPromisedBefore: an entry of the version before is upcast.
func TestAnUpgradeReadsWhatWasPromisedBefore(t *testing.T) {
	old, err := newKeptCodec()
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	k := kept{identity: identity{Member: "m-1", Name: "release", Object: "lic-1", Key: "k"}, Release: &license.Release{License: "lic-1", Occurred: at, At: at}}
	before, err := old.encode(k)
	if err != nil {
		t.Fatal(err)
	}
	commands, err := codec.New([]codec.Type[kept]{keptType("command.giveback", 1, func(k *kept) **license.Release { return &k.Release })},
		[]codec.Upcaster{
			codec.Change("occurred is when", codec.Version{Type: "command.release", Schema: 1}, func(b []byte) ([]byte, error) {
				return bytes.Replace(b, []byte(`"key":"k"`), []byte(`"key":"changed"`), 1), nil
			}),
			codec.Rename("release is give back", codec.Version{Type: "command.release", Schema: 2}, codec.Version{Type: "command.giveback", Schema: 1}),
		})
	if err != nil {
		t.Fatal(err)
	}
	got, err := (keptCodec{commands}).decode(before)
	if err != nil || got.Release == nil || *got.Release != *k.Release || got.Key != "changed" || got.Member != "m-1" {
		t.Errorf("%+v, %v", got, err)
	}
}

func FuzzKept(f *testing.F) {
	c, err := newKeptCodec()
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(`{"type":"command.renew","schema":1,"member":"m","data":{"member":"m","name":"renew","key":"k","command":{"license":"l"}}}`))
	f.Add([]byte(`{"type":"command.share","schema":1,"member":"m","data":{}}`))
	f.Add([]byte(`{"type":"command.play","schema":1,"data":null}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := c.decode(b)
		switch {
		case err != nil:
			if !strings.HasPrefix(err.Error(), "app: a stored command can't be read") || k.command(time.Time{}) != nil {
				t.Fatalf("%+v, %v", k, err)
			}
			return
		case k.command(time.Time{}) == nil:
			t.Fatalf("no command: %+v", k)
		}
		again, err := c.encode(k)
		if err != nil {
			if !errors.Is(err, codec.ErrType) {
				return // A time outside of the years that JSON can hold.
			}
			t.Fatal(err)
		}
		if _, err := c.decode(again); err != nil {
			t.Fatal(err)
		}
	})
}

package wire_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/backstay-go/backstay/licensesvc/codec"
	"github.com/backstay-go/backstay/licensesvc/codec/codectest"
	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/licensesvc/license"
	"github.com/backstay-go/backstay/licensesvc/wire"
)

func open(t testing.TB) *wire.Codec {
	t.Helper()
	c, err := wire.New()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestNoEventChangesUnnoticed keeps a sample of every version that was ever written.
func TestNoEventChangesUnnoticed(t *testing.T) {
	events, err := codec.New(wire.Types(), wire.Upcasters())
	if err != nil {
		t.Fatal(err)
	}
	codectest.Check(t, events, "testdata", func(e license.Event) (codec.Record, error) { return events.Encode(e.Kind(), e) })
}

// TestSamplesFillEveryField: a sample with an empty field would not show that the field is lost.
func TestSamplesFillEveryField(t *testing.T) {
	c := open(t)
	for _, typ := range wire.Types() {
		v := typ.Version()
		data, err := os.ReadFile(filepath.Join("testdata", v.String()+".json"))
		if err != nil {
			t.Fatal(err)
		}
		events, err := c.Decode(eventstore.Event{Type: v.Type, Schema: v.Schema, Data: data})
		if err != nil {
			t.Fatal(err)
		}
		if field := empty(reflect.ValueOf(events[0])); field != "" {
			t.Errorf("%s: field %s is empty in the sample", v, field)
		}
	}
}

func empty(v reflect.Value) string {
	for i := range v.NumField() {
		f, name := v.Field(i), v.Type().Field(i).Name
		switch {
		case f.IsZero():
			return name
		case f.Kind() == reflect.Struct && f.Type() != reflect.TypeFor[time.Time]():
			if inner := empty(f); inner != "" {
				return name + "." + inner
			}
		}
	}
	return ""
}

var year = rapid.Int64Range(0, 4e9)

func moment(t *rapid.T) time.Time { return time.Unix(year.Draw(t, "time"), 0).UTC() }

// TestWhatIsEncodedIsDecoded for any event of any kind.
func TestWhatIsEncodedIsDecoded(t *testing.T) {
	c := open(t)
	text := rapid.String()
	number := rapid.IntRange(0, 1000)
	rapid.Check(t, func(t *rapid.T) {
		granted := license.Granted{License: text.Draw(t, "license"), Device: text.Draw(t, "device"), Title: text.Draw(t, "title"), Studio: text.Draw(t, "studio"),
			At: moment(t), Expires: moment(t), PlaybackSeconds: int64(number.Draw(t, "playback")), Plan: text.Draw(t, "plan"),
			Limits: license.Limits{Devices: number.Draw(t, "devices"), TitlePlays: number.Draw(t, "plays"), TitleRenewals: number.Draw(t, "renewals")}, NoticeSeconds: int64(number.Draw(t, "notice")), Country: text.Draw(t, "country"), DeviceKind: text.Draw(t, "kind"), Rules: text.Draw(t, "rules"), Terms: text.Draw(t, "terms"),
			Basis: []license.Basis{{Dependency: text.Draw(t, "dependency"), Source: "live", AgeSeconds: 1}}}
		over := []string{text.Draw(t, "over")}
		for _, e := range []license.Event{
			granted,
			license.Promised{Granted: granted, Over: over},
			license.Confirmed{License: granted.License, At: moment(t), Expires: moment(t)},
			license.Downloaded{License: granted.License, Report: text.Draw(t, "report"), Occurred: moment(t)},
			license.Renewed{License: granted.License, Request: text.Draw(t, "request"), At: moment(t), Expires: moment(t), Plan: granted.Plan, Country: granted.Country, Limits: granted.Limits, Rules: granted.Rules, Terms: granted.Terms, Basis: granted.Basis},
			license.Played{License: granted.License, Report: text.Draw(t, "report"), Occurred: moment(t), Over: over},
			license.Released{License: granted.License, Occurred: moment(t)},
			license.Revoked{License: granted.License, At: moment(t), Reason: text.Draw(t, "reason")},
			license.Unknown{Type: "license.shared", Schema: 2, License: "l", Occurred: moment(t), Data: json.RawMessage(`{"license":"l","n":1}`)},
		} {
			stored, err := c.Encode(e)
			if err != nil {
				t.Fatal(err)
			}
			got, err := c.Decode(stored)
			if err != nil || len(got) != 1 || !reflect.DeepEqual(got[0], e) {
				t.Fatalf("%#v became %#v, %v", e, got, err)
			}
			if again, err := c.Encode(got[0]); err != nil || !bytes.Equal(again.Data, stored.Data) || !again.Occurred.Equal(e.When()) {
				t.Fatalf("%+v and then %+v, %v", stored, again, err)
			}
		}
	})
}

func TestADamagedEventIsNamed(t *testing.T) {
	_, err := open(t).Decode(eventstore.Event{Stream: "member-1", Version: 7, Type: license.KindPlayed, Schema: 1, Data: []byte("[")})
	if !errors.Is(err, eventstore.ErrCorrupt) || !strings.Contains(err.Error(), "stream member-1 version 7") || !strings.Contains(err.Error(), "license.played@1") {
		t.Error(err)
	}
}

// split is the codec of a program in which a release is a stop and a release.
func split(t *testing.T) *wire.Codec {
	t.Helper()
	c, err := wire.NewWith(wire.Types(), append(wire.Upcasters(), codec.Split("returned is downloaded and released", codec.Version{Type: "license.returned", Schema: 1},
		[]codec.Version{{Type: license.KindDownloaded, Schema: 1}, {Type: license.KindReleased, Schema: 1}},
		func(b []byte) ([]codec.Record, error) {
			return []codec.Record{{Type: license.KindDownloaded, Schema: 1, Data: b}, {Type: license.KindReleased, Schema: 1, Data: b}}, nil
		})))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestOneToManyKeepsTheOrder: stream version first, then the place within the stored event, also
// if a reader resumes between any two stored events (Axon#1263: only the first was kept).
func TestOneToManyKeepsTheOrder(t *testing.T) {
	c := split(t)
	at := func(n int, name string) eventstore.Event {
		return eventstore.Event{Version: int64(n), Type: name, Schema: 1, Data: []byte(`{"license":"l","occurred":"2026-11-29T12:00:00Z"}`)}
	}
	stored := []eventstore.Event{at(1, license.KindPlayed), at(2, "license.returned"), at(3, "license.returned"), at(4, license.KindPlayed)}
	want := "license.played license.downloaded license.released license.downloaded license.released license.played"
	for cut := range len(stored) + 1 {
		var got []string
		for _, page := range [][]eventstore.Event{stored[:cut], stored[cut:]} {
			events, err := c.DecodeAll(page)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range events {
				got = append(got, e.Kind())
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("resumed after %d: %s", cut, strings.Join(got, " "))
		}
	}
	if names := strings.Join(c.Names(license.KindReleased), " "); names != "license.released license.returned" {
		t.Error(names)
	}
}

func FuzzDecode(f *testing.F) {
	samples, err := filepath.Glob(filepath.Join("testdata", "*@[0-9].json"))
	if err != nil || len(samples) == 0 {
		f.Fatal(samples, err)
	}
	for _, file := range samples {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		name, schema, _ := strings.Cut(strings.TrimSuffix(filepath.Base(file), ".json"), "@")
		f.Add(name, int(schema[0]-'0'), data)
	}
	f.Add("license.shared", 3, []byte(`{"license":7}`))
	f.Add(license.KindPlayed, 2, []byte(`null`))
	c := open(f)
	f.Fuzz(func(t *testing.T, name string, schema int, data []byte) {
		e := eventstore.Event{Stream: "s", Version: 1, Type: name, Schema: schema, Data: data}
		events, err := c.Decode(e)
		if err != nil {
			if !errors.Is(err, eventstore.ErrCorrupt) || len(events) != 0 {
				t.Fatalf("%v, %v", events, err)
			}
			return
		}
		for _, event := range events {
			if u, ok := event.(license.Unknown); ok && (u.Type != name || u.Schema != schema || !bytes.Equal(u.Data, data)) {
				t.Fatalf("changed: %+v", u)
			}
			if _, err := license.Fold(license.State{}, event); err != nil && event.Of() != "" && event.Kind() == license.KindGranted {
				t.Fatal(err)
			}
		}
	})
}

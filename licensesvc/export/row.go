package export

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/licensesvc/license"
)

// Row is one stored event. Empty texts are null in Parquet and missing in JSON. A row is identified
// by its member, version and commit.
type Row struct {
	Member   string `json:"member" parquet:"member"`
	License  string `json:"license,omitempty" parquet:"license,optional"`
	Type     string `json:"type" parquet:"type,dict"`
	Schema   int32  `json:"schema" parquet:"schema"`
	Version  int64  `json:"version" parquet:"version"`
	Occurred Micros `json:"occurred,omitzero" parquet:"occurred,optional,timestamp(microsecond)"`
	Recorded Micros `json:"recorded,omitzero" parquet:"recorded,optional,timestamp(microsecond)"`
	Commit   string `json:"commit" parquet:"commit"`
	Cause    string `json:"cause,omitempty" parquet:"cause,optional"`
	Trace    string `json:"trace,omitempty" parquet:"trace,optional"`
	Actor    string `json:"actor,omitempty" parquet:"actor,optional,dict"`
	Title    string `json:"title,omitempty" parquet:"title,optional,dict"`
	Studio   string `json:"studio,omitempty" parquet:"studio,optional,dict"`
	Device   string `json:"device,omitempty" parquet:"device,optional"`
	Plan     string `json:"plan,omitempty" parquet:"plan,optional,dict"`
	Payload  Raw    `json:"payload" parquet:"payload,json"`
}

// Column describes a column of an export.
type Column struct {
	Name string `json:"name"`
	// Type is the type in Parquet, in the words of SQL.
	Type     string `json:"type"`
	Nullable bool   `json:"nullable,omitempty"`
	Meaning  string `json:"meaning"`
}

// Columns returns the columns of an export, in order.
func Columns() []Column {
	return []Column{
		{"member", "VARCHAR", false, "the member's id"},
		{"license", "VARCHAR", true, "the license that the event is about; null: it concerns all of the member's licenses"},
		{"type", "VARCHAR", false, "the event's type, such as license.granted"},
		{"schema", "INTEGER", false, "the schema version of the payload"},
		{"version", "BIGINT", false, "the event's number among the member's events, from 1"},
		{"occurred", "TIMESTAMPTZ", true, "when it happened; a device may report late"},
		{"recorded", "TIMESTAMPTZ", true, "when the service asked to store it"},
		{"commit", "VARCHAR", false, "the append that stored it"},
		{"cause", "VARCHAR", true, "the id of what led to it"},
		{"trace", "VARCHAR", true, "the trace id of the request"},
		{"actor", "VARCHAR", true, "who asked for it"},
		{"title", "VARCHAR", true, "the title, in events that name it: grants and promises"},
		{"studio", "VARCHAR", true, "the title's studio, in events that name it"},
		{"device", "VARCHAR", true, "the device, in events that name it"},
		{"plan", "VARCHAR", true, "the member's plan, in events that name it"},
		{"payload", "JSON", false, "the stored event, unchanged, in its own schema version"},
	}
}

// Micros is a time in microseconds since 1970, UTC. 0: there is none.
type Micros int64

// MarshalJSON writes a time of RFC 3339.
func (m Micros) MarshalJSON() ([]byte, error) {
	return json.Marshal(time.UnixMicro(int64(m)).UTC())
}

func micros(t time.Time) Micros {
	if t.IsZero() {
		return 0
	}
	return Micros(t.UnixMicro())
}

// Raw is JSON text.
type Raw string

// MarshalJSON writes the text as it is.
func (r Raw) MarshalJSON() ([]byte, error) { return []byte(r), nil }

// Decoder decodes stored events. *wire.Codec implements it.
type Decoder interface {
	Decode(stored eventstore.Event) ([]license.Event, error)
}

// rowOf returns the row of a stored event. readable is false if the event is of a known type and
// can't be decoded; the row then has only what the store itself knows.
func rowOf(d Decoder, prefix string, e eventstore.Event) (r Row, readable bool) {
	r = Row{
		Member: strings.TrimPrefix(e.Stream, prefix), Type: e.Type, Schema: int32(e.Schema), Version: e.Version, Occurred: micros(e.Occurred), Recorded: micros(e.Recorded),
		Commit: e.Commit, Cause: e.Cause, Trace: e.Trace, Actor: e.Actor, Payload: Raw(e.Data),
	}
	if !json.Valid(e.Data) {
		text, _ := json.Marshal(string(e.Data)) // A text can always be marshalled.
		r.Payload = Raw(text)
	}
	events, err := d.Decode(e)
	for _, event := range events {
		if r.License == "" {
			r.License = event.Of()
		}
		switch event := event.(type) {
		case license.Granted:
			r.Title, r.Studio, r.Device, r.Plan = event.Title, event.Studio, event.Device, event.Plan
		case license.Promised:
			r.Title, r.Studio, r.Device, r.Plan = event.Title, event.Studio, event.Device, event.Plan
		}
	}
	return r, err == nil
}

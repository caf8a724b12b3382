package decision

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/backstay-go/backstay/licensesvc/codec"
	"github.com/backstay-go/backstay/licensesvc/license"
)

// The outcomes of a command.
const (
	Done        = "done"
	Promised    = "promised"
	Accepted    = "accepted"
	Refused     = "refused"
	Unknown     = "unknown"
	Unavailable = "unavailable"
	Failed      = "error"
)

// Outcomes returns all outcomes.
func Outcomes() []string {
	return []string{Done, Promised, Accepted, Refused, Unknown, Unavailable, Failed}
}

// Record says how one command was decided.
type Record struct {
	// Member, Command, License and Key identify the command: a command that is sent again has the
	// same. Key is the client's Idempotency-Key, which is the correlation of the events.
	Member  string `json:"member"`
	Command string `json:"command"`
	License string `json:"license"`
	Key     string `json:"key"`
	// At is when the decision was made, by the service's clock.
	At time.Time `json:"at"`
	// Input is what the rules decided on: also the membership, the title and its terms, and when
	// the device says that it happened. Nil if the command did not get that far.
	Input license.Command `json:"-"`
	// Rules is the version of the rules, Version that of the stream on which the rules decided.
	Rules   string `json:"rules"`
	Version int64  `json:"version"`
	// Outcome is one of Outcomes. Repeated says that the command had been answered before.
	// CarriedOver says that an earlier answer was promised or accepted, and that this is how it
	// ended.
	Outcome     string `json:"outcome"`
	Repeated    bool   `json:"repeated,omitempty"`
	CarriedOver bool   `json:"carried_over,omitempty"`
	// Reason is the code of a refusal, or the dependency that failed. Detail is for people.
	Reason string `json:"reason,omitempty"`
	Detail string `json:"detail,omitempty"`
	// DecidedOn lists the sources of the data and their ages.
	DecidedOn []license.Basis `json:"decided_on,omitempty"`
	Trace     string          `json:"trace,omitempty"`
	Actor     string          `json:"actor,omitempty"`
}

// plain is a Record without its methods.
type plain Record

// form is the stored form of a record.
type form struct {
	plain
	Input *input `json:"input,omitempty"`
}

func formOf(r Record) form { return form{plain: plain(r), Input: inputOf(r.Input)} }

// input is the stored form of a command. One field is set.
type input struct {
	Request  *license.Request        `json:"request,omitempty"`
	Promise  *license.Promise        `json:"promise,omitempty"`
	Renew    *license.Renew          `json:"renew,omitempty"`
	Play     *license.Play           `json:"play,omitempty"`
	Reported *license.ReportPlay     `json:"report_play,omitempty"`
	Download *license.ReportDownload `json:"report_download,omitempty"`
	Release  *license.Release        `json:"release,omitempty"`
	Revoke   *license.Revoke         `json:"revoke,omitempty"`
}

func inputOf(c license.Command) *input {
	switch c := c.(type) {
	case license.Request:
		return &input{Request: &c}
	case license.Promise:
		return &input{Promise: &c}
	case license.Renew:
		return &input{Renew: &c}
	case license.Play:
		return &input{Play: &c}
	case license.ReportPlay:
		return &input{Reported: &c}
	case license.ReportDownload:
		return &input{Download: &c}
	case license.Release:
		return &input{Release: &c}
	case license.Revoke:
		return &input{Revoke: &c}
	}
	return nil
}

func (in *input) command() license.Command {
	switch {
	case in == nil:
		return nil
	case in.Request != nil:
		return *in.Request
	case in.Promise != nil:
		return *in.Promise
	case in.Renew != nil:
		return *in.Renew
	case in.Play != nil:
		return *in.Play
	case in.Reported != nil:
		return *in.Reported
	case in.Download != nil:
		return *in.Download
	case in.Release != nil:
		return *in.Release
	case in.Revoke != nil:
		return *in.Revoke
	}
	return nil
}

// MarshalJSON returns the record with its input.
func (r Record) MarshalJSON() ([]byte, error) { return json.Marshal(formOf(r)) }

// name is the type of the records in the log.
const name = "decision"

func newCodec() (*codec.Codec[Record], error) {
	c, err := codec.New([]codec.Type[Record]{codec.TypeFrom(name, 2, func(f form) Record {
		r := Record(f.plain)
		r.Input = f.Input.command()
		return r
	}, formOf)}, []codec.Upcaster{
		// Version 2 has country and device kind in its input.
		codec.Change("input has country and device kind", codec.Version{Type: name, Schema: 1}, func(data []byte) ([]byte, error) { return data, nil }),
	})
	if err != nil {
		return nil, fmt.Errorf("decision: %w", err)
	}
	return c, nil
}

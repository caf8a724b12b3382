package app

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/backstay-go/backstay/licensesvc/codec"
	"github.com/backstay-go/backstay/licensesvc/license"
)

// kept is a command that is stored later: an entry of the journal, and the content of a token.
// One of its pointers is set.
type kept struct {
	identity
	Meta     Meta
	Promise  *license.Promise
	Play     *license.ReportPlay
	Download *license.ReportDownload
	Release  *license.Release
	Renew    *license.Renew
}

// name returns the name under which the command is stored.
func (k kept) name() string {
	switch {
	case k.Promise != nil:
		return "command.promise"
	case k.Play != nil:
		return "command.play"
	case k.Download != nil:
		return "command.download"
	case k.Release != nil:
		return "command.release"
	}
	return "command.renew"
}

// command returns the command to decide when the store can be used again.
func (k kept) command(now time.Time) license.Command {
	switch {
	case k.Promise != nil:
		p := *k.Promise
		p.Now = now
		return p
	case k.Play != nil:
		return *k.Play
	case k.Download != nil:
		return *k.Download
	case k.Release != nil:
		return *k.Release
	case k.Renew != nil:
		return *k.Renew
	}
	return nil
}

// id returns the id of the entry in the journal. For a promise it is the license, so that a
// repeated request finds it.
func (k kept) id() string {
	if k.Promise != nil {
		return k.Promise.License
	}
	return k.entry()
}

// promised returns the identity under which a promise is stored. It differs from that of the
// request, which may still be in progress.
func (k kept) promised() identity {
	i := k.identity
	i.Name = "promise"
	return i
}

// keptForm is the stored form of a command of one kind.
type keptForm[C any] struct {
	identity
	Meta    Meta `json:"meta"`
	Command C    `json:"command"`
}

func keptType[C any](name string, schema int, field func(*kept) **C) codec.Type[kept] {
	return codec.TypeFrom(name, schema, func(f keptForm[C]) kept {
		k := kept{identity: f.identity, Meta: f.Meta}
		*field(&k) = &f.Command
		return k
	}, func(k kept) keptForm[C] {
		return keptForm[C]{identity: k.identity, Meta: k.Meta, Command: **field(&k)}
	})
}

// keptCodec encodes and decodes the commands that are stored later.
type keptCodec struct{ commands *codec.Codec[kept] }

// same is the conversion from a version that lacks fields that may be empty.
func same(data []byte) ([]byte, error) { return data, nil }

func newKeptCodec() (keptCodec, error) {
	c, err := codec.New([]codec.Type[kept]{
		keptType("command.promise", 2, func(k *kept) **license.Promise { return &k.Promise }),
		keptType("command.play", 1, func(k *kept) **license.ReportPlay { return &k.Play }),
		keptType("command.download", 1, func(k *kept) **license.ReportDownload { return &k.Download }),
		keptType("command.release", 1, func(k *kept) **license.Release { return &k.Release }),
		keptType("command.renew", 2, func(k *kept) **license.Renew { return &k.Renew }),
	}, []codec.Upcaster{
		codec.Change("promise has country and device kind", codec.Version{Type: "command.promise", Schema: 1}, same),
		codec.Change("renew has a country", codec.Version{Type: "command.renew", Schema: 1}, same),
	})
	if err != nil {
		return keptCodec{}, fmt.Errorf("app: %w", err)
	}
	return keptCodec{c}, nil
}

// envelope is what every program can read of a command that is stored later. It never changes.
type envelope struct {
	Type   string          `json:"type"`
	Schema int             `json:"schema"`
	Member string          `json:"member"`
	Data   json.RawMessage `json:"data"`
}

func (c keptCodec) encode(k kept) ([]byte, error) {
	r, err := c.commands.Encode(k.name(), k)
	if err != nil {
		return nil, fmt.Errorf("app: %w", err)
	}
	b, err := json.Marshal(envelope{Type: r.Type, Schema: r.Schema, Member: k.Member, Data: r.Data})
	if err != nil {
		return nil, fmt.Errorf("app: %w", err)
	}
	return b, nil
}

// decode reads a command. If a newer program stored it, the error matches codec.ErrNewer, and
// what is returned names its member and its kind.
func (c keptCodec) decode(b []byte) (kept, error) {
	var e envelope
	if err := json.Unmarshal(b, &e); err != nil {
		return kept{}, fmt.Errorf("app: a stored command can't be read: %w", err)
	}
	decoded, err := c.commands.Decode(nil, codec.Record{Type: e.Type, Schema: e.Schema, Data: e.Data})
	if err == nil && len(decoded) != 1 {
		err = fmt.Errorf("%w: %d commands in one entry", codec.ErrCorrupt, len(decoded))
	}
	if err != nil {
		return kept{identity: identity{Member: e.Member, Name: e.Type}}, fmt.Errorf("app: a stored command can't be read: %w", err)
	}
	return decoded[0], nil
}

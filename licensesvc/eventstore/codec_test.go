package eventstore_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/backstay-go/backstay/licensesvc/eventstore"
)

type renamed struct {
	Full string `json:"full"`
	N    int    `json:"n"`
}

func codec() *eventstore.Codec[any] {
	var c eventstore.Codec[any]
	eventstore.Register(&c, "person.renamed", func(v renamed) any { return v },
		func(b []byte) ([]byte, error) { return []byte(strings.Replace(string(b), `"name"`, `"first"`, 1)), nil },
		func(b []byte) ([]byte, error) { return []byte(strings.Replace(string(b), `"first"`, `"full"`, 1)), nil })
	return &c
}

func TestEverySchemaVersionIsRead(t *testing.T) {
	c := codec()
	for schema, data := range map[int]string{1: `{"name":"Ada"}`, 2: `{"first":"Ada"}`, 3: `{"full":"Ada"}`} {
		v, err := c.Decode(eventstore.Event{Type: "person.renamed", Schema: schema, Data: []byte(data)})
		if err != nil || v != (renamed{Full: "Ada"}) {
			t.Errorf("schema %d: %v, %v", schema, v, err)
		}
	}
	e, err := c.Encode("person.renamed", renamed{Full: "Ada", N: 1})
	if err != nil || e.Schema != 3 || string(e.Data) != `{"full":"Ada","n":1}` {
		t.Errorf("%+v, %v", e, err)
	}
}

func TestWhatCannotBeReadIsNamed(t *testing.T) {
	c := codec()
	for _, e := range []eventstore.Event{
		{Stream: "m-1", Version: 7, Type: "person.born", Schema: 1, Data: []byte("{}")},
		{Stream: "m-1", Version: 7, Type: "person.renamed", Schema: 4, Data: []byte("{}")},
		{Stream: "m-1", Version: 7, Type: "person.renamed", Schema: 0, Data: []byte("{}")},
		{Stream: "m-1", Version: 7, Type: "person.renamed", Schema: 3, Data: []byte("[")},
	} {
		_, err := c.Decode(e)
		if !errors.Is(err, eventstore.ErrCorrupt) || !strings.Contains(err.Error(), "stream m-1 version 7") || !strings.Contains(err.Error(), e.Type) {
			t.Errorf("%v", err)
		}
	}
	if _, err := c.Encode("person.born", 1); !errors.Is(err, eventstore.ErrInvalid) {
		t.Error(err)
	}
}

package codec_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/backstay-go/backstay/licensesvc/codec"
)

type person struct {
	Full string `json:"full"`
	N    int    `json:"n,omitempty"`
}

type moved struct {
	To string `json:"to"`
}

// replace returns a conversion that renames a field.
func replace(field, by string) func([]byte) ([]byte, error) {
	return func(b []byte) ([]byte, error) {
		if !json.Valid(b) {
			return nil, errors.New("no JSON")
		}
		return bytes.Replace(b, []byte(`"`+field+`"`), []byte(`"`+by+`"`), 1), nil
	}
}

func types() []codec.Type[any] {
	return []codec.Type[any]{
		codec.TypeOf("person.named", 3, func(v person) any { return v }),
		codec.TypeOf("person.moved", 1, func(v moved) any { return v }),
	}
}

// upcasters know: person.named twice changed, person.renamed that became person.named, a person.changed
// that is split into a name and a move, and person.waved that is dropped.
func upcasters() []codec.Upcaster {
	return []codec.Upcaster{
		codec.Change("name to first", codec.Version{Type: "person.named", Schema: 1}, replace("name", "first")),
		codec.Change("first to full", codec.Version{Type: "person.named", Schema: 2}, replace("first", "full")),
		codec.Change("called to name", codec.Version{Type: "person.renamed", Schema: 1}, replace("called", "name")),
		codec.Rename("renamed is named", codec.Version{Type: "person.renamed", Schema: 2}, codec.Version{Type: "person.named", Schema: 1}),
		codec.Split("changed is a name and a move", codec.Version{Type: "person.changed", Schema: 1},
			[]codec.Version{{Type: "person.renamed", Schema: 1}, {Type: "person.moved", Schema: 1}}, split),
		codec.Drop("waving is not kept", codec.Version{Type: "person.waved", Schema: 1}),
	}
}

func split(data []byte) ([]codec.Record, error) {
	var v struct{ Called, To string }
	if err := json.Unmarshal(data, &v); err != nil {
		return nil, err
	}
	return []codec.Record{
		{Type: "person.renamed", Schema: 1, Data: fmt.Appendf(nil, `{"called":%q}`, v.Called)},
		{Type: "person.moved", Schema: 1, Data: fmt.Appendf(nil, `{"to":%q}`, v.To)},
	}, nil
}

func build(t testing.TB) *codec.Codec[any] {
	t.Helper()
	c, err := codec.New(types(), upcasters())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestEveryVersionIsRead(t *testing.T) {
	c := build(t)
	for _, tt := range []struct {
		record codec.Record
		want   []any
	}{
		{codec.Record{Type: "person.named", Schema: 1, Data: []byte(`{"name":"Ada"}`)}, []any{person{Full: "Ada"}}},
		{codec.Record{Type: "person.named", Schema: 2, Data: []byte(`{"first":"Ada"}`)}, []any{person{Full: "Ada"}}},
		{codec.Record{Type: "person.named", Schema: 3, Data: []byte(`{"full":"Ada"}`)}, []any{person{Full: "Ada"}}},
		{codec.Record{Type: "person.renamed", Schema: 1, Data: []byte(`{"called":"Ada"}`)}, []any{person{Full: "Ada"}}},
		{codec.Record{Type: "person.renamed", Schema: 2, Data: []byte(`{"name":"Ada"}`)}, []any{person{Full: "Ada"}}},
		{codec.Record{Type: "person.changed", Schema: 1, Data: []byte(`{"called":"Ada","to":"Rome"}`)}, []any{person{Full: "Ada"}, moved{To: "Rome"}}},
		{codec.Record{Type: "person.waved", Schema: 1, Data: []byte(`{}`)}, nil},
	} {
		got, err := c.Decode([]any{"before"}, tt.record)
		if err != nil || !slices.Equal(got, append([]any{"before"}, tt.want...)) {
			t.Errorf("%s: %v, %v; want %v", tt.record.Version(), got, err, tt.want)
		}
	}
	if r, err := c.Encode("person.named", person{Full: "Ada", N: 1}); err != nil || r.Schema != 3 || string(r.Data) != `{"full":"Ada","n":1}` {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := c.Encode("person.waved", 1); !errors.Is(err, codec.ErrType) {
		t.Error(err)
	}
}

func TestWhatCannotBeReadIsNamed(t *testing.T) {
	c := build(t)
	for _, tt := range []struct {
		record codec.Record
		is     error
	}{
		{codec.Record{Type: "person.born", Schema: 1, Data: []byte("{}")}, codec.ErrNewer},
		{codec.Record{Type: "person.named", Schema: 4, Data: []byte("{}")}, codec.ErrNewer},
		{codec.Record{Type: "person.waved", Schema: 2, Data: []byte("{}")}, codec.ErrNewer},
		{codec.Record{Type: "person.named", Schema: 0, Data: []byte("{}")}, codec.ErrCorrupt},
		{codec.Record{Type: "person.named", Schema: -1, Data: []byte("{}")}, codec.ErrCorrupt},
		{codec.Record{Type: "person.born", Schema: 0, Data: []byte("{}")}, codec.ErrCorrupt},
		{codec.Record{Type: "person.named", Schema: 3, Data: []byte("[")}, codec.ErrCorrupt},
		{codec.Record{Type: "person.named", Schema: 3, Data: []byte("null")}, codec.ErrCorrupt},
		{codec.Record{Type: "person.named", Schema: 3}, codec.ErrCorrupt},
		{codec.Record{Type: "person.named", Schema: 1, Data: []byte("[")}, codec.ErrCorrupt},
		{codec.Record{Type: "person.changed", Schema: 1, Data: []byte(`{"called":1}`)}, codec.ErrCorrupt},
	} {
		got, err := c.Decode([]any{"before"}, tt.record)
		if !errors.Is(err, tt.is) || len(got) != 1 || !strings.Contains(err.Error(), tt.record.Version().String()) {
			t.Errorf("%+v: %v, %v", tt.record, got, err)
		}
	}
}

// TestABadTableIsRefusedAtStart: each problem is named, and so is the version that it is about.
func TestABadTableIsRefusedAtStart(t *testing.T) {
	at := func(name string, schema int) codec.Version { return codec.Version{Type: name, Schema: schema} }
	same := func(b []byte) ([]byte, error) { return b, nil }
	for name, tt := range map[string]struct {
		types     []codec.Type[any]
		upcasters []codec.Upcaster
		want      string
	}{
		"a gap in a current type": {types(), upcasters()[1:], "nothing converts person.named@1"},
		"a gap in a historic type": {types(), append(upcasters(), codec.Drop("old", at("person.old", 2))),
			"nothing converts person.old@1"},
		"an end that nothing reads": {types(), append(upcasters(), codec.Rename("old", at("person.old", 1), at("person.gone", 1))),
			`"old" leads to person.gone@1`},
		"a cycle": {types(), append(upcasters(), codec.Rename("there", at("a", 1), at("b", 1)), codec.Rename("back", at("b", 1), at("a", 1))),
			`"back" leads back to b@1`},
		"a split into itself": {types(), append(upcasters(), codec.Split("itself", at("a", 1), []codec.Version{at("a", 1)}, nil)),
			`"itself" leads back to a@1`},
		"a way back from a current version": {types(), append(upcasters(), codec.Change("on", at("person.named", 3), same)),
			"person.named@3, which is a current version"},
		"two for one version": {types(), append(upcasters(), codec.Drop("again", at("person.named", 1))),
			`"name to first" and "again" both convert person.named@1`},
		"no name":         {types(), append(upcasters(), codec.Drop("", at("a", 1))), "give each a name"},
		"the same name":   {types(), append(upcasters(), codec.Drop("name to first", at("a", 1))), "give each a name"},
		"no version":      {types(), append(upcasters(), codec.Drop("zero", at("a", 0))), "give a type, a schema version"},
		"no conversion":   {types(), append(upcasters(), codec.Split("nothing", at("a", 1), nil, nil)), "and a conversion"},
		"a type twice":    {append(types(), types()[0]), upcasters(), "one current version"},
		"a version below": {append(types(), codec.TypeOf("a", 0, func(v person) any { return v })), upcasters(), "one current version"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := codec.New(tt.types, tt.upcasters); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v; want %q", err, tt.want)
			}
		})
	}
}

// TestAFilterKnowsEveryHistoricName (Marten#2615: a filter by type missed the old names).
func TestAFilterKnowsEveryHistoricName(t *testing.T) {
	c := build(t)
	for _, tt := range []struct{ of, want string }{
		{"person.named", "person.changed person.named person.renamed"},
		{"person.moved", "person.changed person.moved"},
		{"", "person.changed person.moved person.named person.renamed person.waved"},
		{"person.born", ""},
	} {
		if got := strings.Join(c.Names(strings.Fields(tt.of)...), " "); got != tt.want {
			t.Errorf("%s: %s; want %s", tt.of, got, tt.want)
		}
	}
}

// TestAnUpcasterKeepsToWhatItDeclares: otherwise the check at start would say nothing.
func TestAnUpcasterKeepsToWhatItDeclares(t *testing.T) {
	stray := codec.Split("stray", codec.Version{Type: "a", Schema: 1}, []codec.Version{{Type: "person.moved", Schema: 1}},
		func(data []byte) ([]codec.Record, error) {
			return []codec.Record{{Type: "a", Schema: 1, Data: data}}, nil
		})
	c, err := codec.New(types(), append(upcasters(), stray))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := c.Decode(nil, codec.Record{Type: "a", Schema: 1, Data: []byte("{}")}); !errors.Is(err, codec.ErrCorrupt) || !strings.Contains(err.Error(), "does not declare") {
		t.Errorf("%v, %v", got, err)
	}
}

// TestALongChainIsNotQuadratic: each version is converted once (Axon#1263 and others).
func TestALongChainIsNotQuadratic(t *testing.T) {
	const versions = 200
	calls := 0
	var chain []codec.Upcaster
	for n := 1; n < versions; n++ {
		chain = append(chain, codec.Change(fmt.Sprint(n), codec.Version{Type: "a", Schema: n}, func(b []byte) ([]byte, error) { calls++; return b, nil }))
	}
	c, err := codec.New([]codec.Type[any]{codec.TypeOf("a", versions, func(v person) any { return v })}, chain)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := c.Decode(nil, codec.Record{Type: "a", Schema: 1, Data: []byte(`{"full":"Ada"}`)}); err != nil || len(got) != 1 || calls != versions-1 {
		t.Errorf("%v, %v, %d calls", got, err, calls)
	}
}

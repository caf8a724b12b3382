package codectest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/backstay-go/backstay/internal/goldentest"
	"github.com/backstay-go/backstay/licensesvc/codec"
)

// Check fails if a version has no sample, if a sample is not read as its want file says, or if
// the Go type of a current version is not the one for which the version was made. record encodes
// a decoded value. With UPDATE_GOLDEN=1 it writes want files, and the shapes that are missing; it
// never overwrites a shape.
func Check[E any](t *testing.T, c *codec.Codec[E], dir string, record func(E) (codec.Record, error)) {
	t.Helper()
	expected := map[string]bool{}
	for _, v := range c.Versions() {
		t.Run(v.String(), func(t *testing.T) {
			sample(t, c, dir, v, record)
			if model, ok := c.Model(v); ok {
				shape(t, dir, v, model)
			}
		})
		expected[v.String()] = true
	}
	files, err := filepath.Glob(filepath.Join(dir, "*@*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		name := filepath.Base(f)
		for _, end := range []string{".want.json", ".json", ".shape.txt"} {
			name = strings.TrimSuffix(name, end)
		}
		if !expected[name] {
			t.Errorf("%s: nothing reads this version any more: keep its upcaster, because it may be stored somewhere", f)
		}
	}
}

func sample[E any](t *testing.T, c *codec.Codec[E], dir string, v codec.Version, record func(E) (codec.Record, error)) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, v.String()+".json"))
	if err != nil {
		t.Fatalf("%s has no sample: %v: store one as it is in production, and keep it for ever", v, err)
	}
	values, err := c.Decode(nil, codec.Record{Type: v.Type, Schema: v.Schema, Data: data})
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for _, value := range values {
		r, err := record(value)
		if err != nil {
			t.Fatal(err)
		}
		var indented bytes.Buffer
		if err := json.Indent(&indented, r.Data, "", "  "); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&got, "%s\n%s\n", r.Version(), indented.String())
	}
	goldentest.Equal(t, filepath.Join(dir, v.String()+".want.json"), got.String())
}

func shape(t *testing.T, dir string, v codec.Version, model reflect.Type) {
	t.Helper()
	var got strings.Builder
	describe(&got, "", model)
	file := filepath.Join(dir, v.String()+".shape.txt")
	want, err := os.ReadFile(file)
	switch {
	case os.IsNotExist(err):
		goldentest.Equal(t, file, got.String())
	case err != nil:
		t.Fatal(err)
	case string(want) != got.String():
		t.Errorf("the fields of %s changed, but records of that version are stored: raise its schema version, add an upcaster and a sample\n--- have\n%s\n--- version %d\n%s",
			v, got.String(), v.Schema, want)
	}
}

// describe writes a line for each field of a type's JSON.
func describe(w *strings.Builder, path string, t reflect.Type) {
	switch {
	case t.Kind() == reflect.Pointer:
		describe(w, path, t.Elem())
	case t == reflect.TypeFor[time.Time](), t == reflect.TypeFor[json.RawMessage]():
		fmt.Fprintf(w, "%s %s\n", path, t)
	case t.Kind() == reflect.Slice, t.Kind() == reflect.Array:
		describe(w, path+"[]", t.Elem())
	case t.Kind() == reflect.Map:
		describe(w, path+"{}", t.Elem())
	case t.Kind() != reflect.Struct:
		fmt.Fprintf(w, "%s %s\n", path, t.Kind())
	default:
		for f := range t.Fields() {
			name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
			switch {
			case name == "-" && options == "", !f.IsExported() && !f.Anonymous:
			case f.Anonymous && name == "":
				describe(w, path, f.Type)
			default:
				if name == "" {
					name = f.Name
				}
				describe(w, path+"."+name, f.Type)
			}
		}
	}
}

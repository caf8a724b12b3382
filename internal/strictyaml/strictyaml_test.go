package strictyaml_test

import (
	"errors"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/backstay-go/backstay/internal/goldentest"
	"github.com/backstay-go/backstay/internal/strictyaml"
)

var errFile = errors.New("bad file")

type mode string

type leaf struct {
	Limit   int           `yaml:"limit" doc:"how many"`
	Share   float64       `yaml:"share"`
	Timeout time.Duration `yaml:"timeout"`
	On      bool          `yaml:"on"`
	Word    string        `yaml:"word"`
	Mode    mode          `yaml:"mode"`
	Size    uint64        `yaml:"size"`
	Small   int8          `yaml:"small"`
}

type tree struct {
	Name    string            `yaml:"name"`
	Leaf    leaf              `yaml:"leaf"`
	Maybe   *leaf             `yaml:"maybe"`
	List    []leaf            `yaml:"list"`
	ByName  map[string]leaf   `yaml:"by_name"`
	Words   map[string]string `yaml:"words"`
	MaxWait time.Duration     `yaml:"max_wait"`
	Inner   `yaml:",inline"`
}

type Inner struct {
	Retry *struct {
		MaxAttempts int `yaml:"max_attempts"`
	} `yaml:"retry"`
}

var format = strictyaml.Format{Noun: "tree", Kind: errFile, Example: "name: x", Values: map[reflect.Type][]string{reflect.TypeFor[mode](): {"open", "half_open", "closed"}}}

func read(text string) (tree, error) {
	var v tree
	d := format.Parse("t.yaml", []byte(text))
	d.Decode(&v)
	return v, d.Err()
}

// TestMistakes holds what is said of each mistake, by testdata/bad.txt: a name, the file, and the
// error. UPDATE_GOLDEN=1 writes the errors again.
func TestMistakes(t *testing.T) {
	const golden = "testdata/bad.txt"
	text, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	var now strings.Builder
	for _, c := range strings.Split(string(text), "=== ")[1:] {
		name, rest, _ := strings.Cut(c, "\n")
		file, _, _ := strings.Cut(rest, "--- \n")
		_, err := read(file)
		var bad *strictyaml.Error
		if !errors.As(err, &bad) || !errors.Is(err, errFile) {
			t.Errorf("%s: was not refused: %v", name, err)
			continue
		}
		for _, p := range bad.Problems {
			if p.Line < 1 || p.Column < 1 || p.Excerpt == "" && strings.TrimSpace(file) != "" {
				t.Errorf("%s: no place: %+v", name, p)
			}
		}
		now.WriteString("=== " + name + "\n" + file + "--- \n" + err.Error() + "\n")
	}
	goldentest.Equal(t, golden, now.String())
}

func TestWhatIsRead(t *testing.T) {
	for text, holds := range map[string]func(tree) bool{
		"\ufeffname: x":                            func(v tree) bool { return v.Name == "x" },
		"%YAML 1.2\n---\nname: x\n...\n":           func(v tree) bool { return v.Name == "x" },
		"{\"name\": \"x\"}":                        func(v tree) bool { return v.Name == "x" },
		"name: x\r\nleaf:\r\n  limit: 3\r\n":       func(v tree) bool { return v.Leaf.Limit == 3 },
		"\"name\": \" x \"":                        func(v tree) bool { return v.Name == " x " },
		"leaf: {share: 1e-05, limit: 1e3}":         func(v tree) bool { return v.Leaf.Share == 1e-5 && v.Leaf.Limit == 1000 },
		"leaf: {share: 5e-1}":                      func(v tree) bool { return v.Leaf.Share == 0.5 },
		"leaf: {share: 1e30}":                      func(v tree) bool { return v.Leaf.Share == 1e30 },
		"leaf: {share: .5, limit: !!int 2}":        func(v tree) bool { return v.Leaf.Share == 0.5 && v.Leaf.Limit == 2 },
		"leaf: {share: 18446744073709551616}":      func(v tree) bool { return v.Leaf.Share == 18446744073709551616 },
		"leaf: {size: 18446744073709551615}":       func(v tree) bool { return v.Leaf.Size == 1<<64-1 },
		"leaf: {timeout: 0, on: true}":             func(v tree) bool { return v.Leaf.Timeout == 0 && v.Leaf.On },
		"leaf: {timeout: \"1m30s\", mode: closed}": func(v tree) bool { return v.Leaf.Timeout == 90*time.Second && v.Leaf.Mode == "closed" },
		"maybe: {}":                                            func(v tree) bool { return v.Maybe != nil },
		"words: {a: |\n  x\n  y\n}":                            nil,
		"words:\n  a: |\n    x\n    y\n":                       func(v tree) bool { return v.Words["a"] == "x\ny\n" },
		"words: {a: yes, b: \"5\", c: 2026-01-01}":             func(v tree) bool { return v.Words["a"] == "yes" && v.Words["b"] == "5" && v.Words["c"] == "2026-01-01" },
		"list: [{limit: 1}, {limit: 2}]":                       func(v tree) bool { return len(v.List) == 2 && v.List[1].Limit == 2 },
		"retry: {max_attempts: 3}":                             func(v tree) bool { return v.Retry.MaxAttempts == 3 },
		"by_name: {a.b: {limit: 1}, ' c ': {limit: 2}}":        func(v tree) bool { return v.ByName["a.b"].Limit == 1 && v.ByName[" c "].Limit == 2 },
		"leaf: &x {limit: 1}\nmaybe: *x":                       func(v tree) bool { return v.Maybe.Limit == 1 },
		"leaf: &x {limit: 1}\nlist: [{<<: *x, share: 1}]":      func(v tree) bool { return v.List[0].Limit == 1 && v.List[0].Share == 1 },
		"leaf: &x {limit: 1}\nlist: [{<<: [*x], limit: 2}]":    func(v tree) bool { return v.List[0].Limit == 2 },
		"leaf: &x {limit: 1}\nlist: [*x, &x {limit: 2}, *x]":   func(v tree) bool { return v.List[0].Limit == 1 && v.List[2].Limit == 2 },
		"<<: {name: x}\nleaf: {limit: 1}":                      func(v tree) bool { return v.Name == "x" },
		"leaf: {limit: 1, # three\n  share: 1} # the end\n# x": func(v tree) bool { return v.Leaf.Share == 1 },
	} {
		v, err := read(text)
		if holds == nil {
			if err == nil {
				t.Errorf("%q was read", text)
			}
			continue
		}
		if err != nil || !holds(v) {
			t.Errorf("%q: %+v\n%v", text, v, err)
		}
	}
}

// TestWhatOnlyFollowsIsNotReported: a misspelt field is not missing too.
func TestWhatOnlyFollowsIsNotReported(t *testing.T) {
	const text = "nam: x\nleaf: {limits: 3, share: many}\nmaybe: {limit: 1}\n"
	var v tree
	d := format.Parse("t.yaml", []byte(text))
	d.Decode(&v)
	var found []strictyaml.Problem
	for _, field := range []string{"name", "leaf.limit", "leaf.share", "leaf", "leaf.timeout.x", "maybe.limit", "maybe.timeout", "by_name.x.limit", ""} {
		found = append(found, strictyaml.Problem{Field: field, Message: "is bad"})
	}
	d.Check(found...)
	var fields []string
	for _, p := range d.Problems() {
		if p.Message == "is bad" {
			fields = append(fields, p.Field)
		}
	}
	if want := []string{"maybe.timeout", "maybe.limit"}; !slices.Equal(fields, want) {
		t.Errorf("reported are %q, want %q\n%v", fields, want, d.Err())
	}
}

// TestEncodedIsDecoded: what Encode and EncodeJSON write is read back.
func TestEncodedIsDecoded(t *testing.T) {
	v, err := read("name: 'yes'\nleaf: {limit: 3, share: 1e30, timeout: 1m, on: true, mode: half_open}\nmaybe: {}\nlist: [{}, {word: '5'}]\nby_name: {a: {limit: 1}}\nwords: {a: 'x: y', b: ''}\nmax_wait: 5ms\nretry: {max_attempts: 3}\n")
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{strictyaml.Encode(&v), string(strictyaml.EncodeJSON(&v))} {
		again, err := read(text)
		if err != nil || !reflect.DeepEqual(v, again) {
			t.Errorf("%v\n%s\n%+v\n%+v", err, text, v, again)
		}
	}
}

func TestVariables(t *testing.T) {
	const text = "by_name:\n  key-service: {limit: 3}\n  a: {}\n  a-b: {limit: 1}\n  a_b: {limit: 1}\n"
	for variable, says := range map[string]string{
		"P_KEY_SERVICE_LIMIT=7":                "",
		"P_KEY_SERVICE_LIMIT=0":                "",
		"P_KEY_SERVICE_MODE=closed":            "",
		"P_FILE=/etc/policies.yaml":            "",
		"P_PORT=tcp://10.0.0.1:80":             "",
		"P_SERVICE_HOST=10.0.0.1":              "",
		"P_SERVICE_PORT=80":                    "",
		"P_SERVICE_PORT_HTTP=80":               "",
		"P_PORT_80_TCP=tcp://10.0.0.1:80":      "",
		"P_PORT_80_TCP_ADDR=10.0.0.1":          "",
		"P_PORT_443_UDP_PROTO=udp":             "",
		"P_KEY_SERVICE_PORT=tcp://10.0.0.1:80": "",
		"P_KEY_SERVICE_SERVICE_HOST=10.0.0.1":  "",
		"PX=1":                                 "",
		"P_KEY_SERVICE_LIMT=1":                 "environment: error: P_KEY_SERVICE_LIMT: names no field of the file's by_name; did you mean \"P_KEY_SERVICE_LIMIT\"?",
		"P_KEY_SERVICE_LIMIT=many":             `environment: error: P_KEY_SERVICE_LIMIT: by_name.key-service.limit: is "many"; give a whole number, or unset the variable`,
		"P_KEY_SERVICE_LIMIT=":                 `is ""`,
		"P_KEY_SERVICE_MODE=half-open":         "did you mean \"half_open\", or unset the variable",
		"P_A_B_LIMIT=1":                        "names both by_name.a-b.limit and by_name.a_b.limit",
		"P_NOTHING_OF_THE_KIND=1":              "what it names must be in the file",
		"P_PORT=wrong":                         "names no field",
	} {
		var v map[string]leaf
		d := format.Parse("t.yaml", []byte(text))
		d.DecodeKey("by_name", &v)
		d.Override("P_", "by_name", &v, []string{variable, "HOME=/"})
		err := d.Err()
		if says == "" && err != nil || says != "" && (err == nil || !strings.Contains(err.Error(), says)) {
			t.Errorf("%s: %v, want %q", variable, err, says)
		}
		if variable == "P_KEY_SERVICE_LIMIT=0" && v["key-service"].Limit != 0 {
			t.Error("zero was not set")
		}
	}
}

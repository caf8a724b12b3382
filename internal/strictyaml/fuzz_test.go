package strictyaml_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/backstay-go/backstay/internal/strictyaml"
)

// FuzzDecode: no text makes the reader panic, each problem has its place and prints, and what was
// read is written as a text that means the same.
func FuzzDecode(f *testing.F) {
	bad, err := os.ReadFile("testdata/bad.txt")
	if err != nil {
		f.Fatal(err)
	}
	for _, c := range strings.Split(string(bad), "=== ")[1:] {
		_, text, _ := strings.Cut(c, "\n")
		text, _, _ = strings.Cut(text, "--- \n")
		f.Add(text)
	}
	files, err := filepath.Glob("../../*/*/library/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Add("leaf: &x {limit: 1}\nlist: [*x, {<<: [*x, {share: 1e3}], on: true}]\nby_name: {<<: {a: *x}}\n")
	f.Add("\ufeff%YAML 1.2\n---\nretry: {max_attempts: !!int 3}\n...\n")
	f.Fuzz(func(t *testing.T, text string) {
		strictyaml.Keys([]byte(text))
		var v tree
		d := format.Parse("t.yaml", []byte(text))
		d.Decode(&v)
		d.Override("P_", "by_name", &v.ByName, []string{"P_A_LIMIT=1"})
		d.Check(strictyaml.Problem{Field: "leaf.limit", Message: "is bad"}, strictyaml.Problem{Message: "is bad"})
		for _, p := range d.Problems() {
			if p.Variable == "" && (p.Line < 1 || p.Column < 1 || p.Excerpt == "") || strings.Contains(p.Message, "%!") || p.String() == "" {
				t.Errorf("%+v", p)
			}
		}
		var again tree
		d = format.Parse("t.yaml", []byte(text))
		d.Decode(&again)
		if d.Err() != nil {
			return
		}
		for _, written := range []string{strictyaml.Encode(&again), string(strictyaml.EncodeJSON(&again))} {
			if written == "" {
				continue
			}
			reread, err := read(written)
			if err != nil || !reflect.DeepEqual(again, reread) {
				t.Fatalf("%v\n%q\n%+v\n%+v", err, written, again, reread)
			}
		}
	})
}

// TestTimeIsLinear: a long text is read, or refused, in a moment, whatever it
// holds. Parsers that look back at all that is open or known take minutes for some of these.
func TestTimeIsLinear(t *testing.T) {
	fill := func(n int, part func(i int) string) string {
		var b strings.Builder
		for i := 0; b.Len() < n; i++ {
			b.WriteString(part(i))
		}
		return b.String()
	}
	same := func(s string) func(int) string { return func(int) string { return s } }
	stairs := func(i int) string { return strings.Repeat(" ", i%2000) + "a:\n" }
	const size = 1<<19 - 5000
	for name, text := range map[string]string{
		"names":              "by_name:\n" + fill(size, func(i int) string { return fmt.Sprintf("  n%d: {limit: 1}\n", i) }),
		"names that are bad": "leaf:\n" + fill(size, func(i int) string { return fmt.Sprintf("  n%d: 1\n", i) }),
		"the same name":      "by_name:\n" + fill(size, same("  n: {}\n")),
		"a list":             "list:\n" + fill(size, same("- {limit: 1}\n")),
		"a list of nothing":  "list: [" + fill(size, same(",")) + "]",
		"brackets":           fill(size, same("[")), "braces": fill(size, same("{")), "braces and names": fill(size, same("{a: ")),
		"names in a line": fill(size, same("a: ")), "dashes": fill(size, same("- ")), "questions": fill(size, same("? ")), "colons": fill(size, same(": ")),
		"stairs": fill(size, stairs), "quotes": "name: \"" + fill(size, same("\\\"")), "lines": "name: x" + fill(size, same("\n")), "a block": "name: |\n" + fill(size, same("  x\n")),
		"comments": fill(size, same("# x\n")), "comments and names": "by_name:\n" + fill(size, func(i int) string { return fmt.Sprintf("  # x\n  n%d: {} # y\n", i) }),
		"anchors": "list:\n" + fill(size, func(i int) string { return fmt.Sprintf("- &a%d {}\n", i) }), "tags": fill(size, same("!x ")),
		"aliases":            "leaf: &x {limit: 1}\nlist:\n" + fill(size, same("- *x\n")),
		"aliases of lists":   "words: &x\n" + fill(size/2, func(i int) string { return fmt.Sprintf("  n%d: a\n", i) }) + "by_name:\n" + fill(size/2, func(i int) string { return fmt.Sprintf("  n%d: {<<: *x}\n", i) }),
		"merges of one list": "words: &x\n" + fill(size/2, func(i int) string { return fmt.Sprintf("  n%d: a\n", i) }) + "leaf: {<<: [" + fill(size/2, same("*x, ")) + "]}\n",
		"documents":          fill(size, same("---\n")), "a long line": "name: " + fill(size, same("x")), "wrong values in a line": "list: [" + fill(size, same("{limit: x}, ")) + "]",
	} {
		began := time.Now()
		var v tree
		d := format.Parse("t.yaml", []byte(text))
		d.Decode(&v)
		err := d.Err()
		var bad *strictyaml.Error
		if took := time.Since(began); took > 20*time.Second || err != nil && !errors.As(err, &bad) {
			t.Errorf("%s: took %v", name, took)
		} else if testing.Verbose() {
			t.Logf("%-25s %8v", name, took.Round(time.Millisecond))
		}
	}
}

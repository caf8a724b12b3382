package strictyaml

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/backstay-go/backstay/internal/suggest"
)

var (
	durationType    = reflect.TypeFor[time.Duration]()
	unmarshalerType = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// scalar reads a single value.
func (d *Document) scalar(n *yaml.Node, v reflect.Value, path string, where place) {
	if n.Kind != yaml.ScalarNode {
		d.wrong(where, path, "is "+shown(n), d.wanted(v.Type(), ""))
		return
	}
	tag := n.ShortTag()
	isText := tag == "!!str" && n.Style != 0 // the value is in quotes, in a block, or has a tag
	switch numeric := isNumeric(v); {
	case !strings.HasPrefix(tag, "!!"):
		d.wrong(where, path, "has the tag "+tag, "leave the tag out")
	case numeric && isText:
		d.wrong(where, path, "is the text "+short(n.Value), d.wanted(v.Type(), n.Value))
	case v.Kind() == reflect.String && d.format.Values[v.Type()] == nil && (tag == "!!int" || tag == "!!float" || tag == "!!bool"):
		d.wrong(where, path, "is "+n.Value+", which is no text", `put it in quotes: "`+n.Value+`"`)
	case !d.set(v, n.Value):
		d.wrong(where, path, "is "+short(n.Value), d.wanted(v.Type(), n.Value))
	}
}

func isNumeric(v reflect.Value) bool {
	if v.Type() == durationType || v.CanAddr() && v.Addr().Type().Implements(unmarshalerType) {
		return false
	}
	return v.Kind() == reflect.Bool || v.CanInt() || v.CanUint() || v.CanFloat()
}

// set sets a single value from text, and reports whether it could.
func (d *Document) set(v reflect.Value, text string) bool {
	if v.CanAddr() {
		if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
			return u.UnmarshalText([]byte(text)) == nil
		}
	}
	if values := d.format.Values[v.Type()]; values != nil && !slices.Contains(values, text) {
		return false
	}
	switch {
	case v.Type() == durationType:
		dur, err := time.ParseDuration(text)
		v.SetInt(int64(dur))
		return err == nil
	case v.Kind() == reflect.Bool:
		v.SetBool(text == "true")
		return text == "true" || text == "false"
	case v.Kind() == reflect.String:
		v.SetString(text)
		return true
	case v.CanFloat():
		f, ok := number(text)
		v.SetFloat(f)
		return ok
	case v.CanUint():
		n, err := strconv.ParseUint(whole(text), 10, v.Type().Bits())
		v.SetUint(n)
		return err == nil
	case v.CanInt():
		n, err := strconv.ParseInt(whole(text), 10, v.Type().Bits())
		v.SetInt(n)
		return err == nil
	}
	return false
}

// number reads a decimal number. It accepts neither hexadecimal numbers nor infinity.
func number(text string) (float64, bool) {
	f, err := strconv.ParseFloat(text, 64)
	return f, err == nil && !strings.ContainsAny(text, "xXpPnNiI_")
}

// whole converts a whole number with an exponent, such as 1e3, to plain digits.
func whole(text string) string {
	if f, ok := number(text); ok && strings.ContainsAny(text, "eE") && f == float64(int64(f)) && f < 1<<53 && f > -1<<53 {
		return strconv.FormatInt(int64(f), 10)
	}
	return text
}

// wanted returns a suggestion for a wrong value: what values of the type look like, or which one
// was probably meant.
func (d *Document) wanted(t reflect.Type, text string) string {
	if values := d.format.Values[t]; values != nil {
		if near := suggest.Nearest(text, slices.Values(values)); near != "" {
			return `did you mean "` + near + `"?`
		}
		return "give one of " + strings.Join(values, ", ")
	}
	switch k := t.Kind(); {
	case t == durationType:
		if _, ok := number(text); ok {
			return fmt.Sprintf("a duration needs its unit, such as %sms or %ss", text, text)
		}
		return "give a duration with its unit, such as 250ms or 1m30s"
	case k == reflect.Bool:
		return "give true or false"
	case k >= reflect.Int && k <= reflect.Int64:
		return "give a whole number"
	case k >= reflect.Uint && k <= reflect.Uint64:
		return "give a whole number, 0 or more"
	case k == reflect.Float64 || k == reflect.Float32:
		return "give a number"
	}
	return "give a text"
}

// shown describes a node, for people.
func shown(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "a reference"
	}
	if n.ShortTag() == "!!null" {
		return "empty"
	}
	return short(n.Value)
}

// short quotes a text, and shortens a long one.
func short(text string) string {
	if r := []rune(text); len(r) > 40 {
		text = string(r[:40]) + "..."
	}
	return strconv.Quote(text)
}

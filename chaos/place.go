package chaos

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/backstay-go/backstay/internal/strictyaml"
)

// Places returns the values of Where.Protocol at which the rule can act: the places of its
// kind at which each of its parameters has a meaning. If Where.Protocol is set, it returns
// only that one of them. A rule is skipped at all other places.
func (r Rule) Places() []string {
	info, _ := r.What.Kind.Info()
	var places []string
	for _, place := range info.Places {
		if p := r.Where.Protocol; p != "" && p != place {
			continue
		}
		if r.What.idle(info, place) == "" {
			places = append(places, place)
		}
	}
	return places
}

// idle says which parameter has no meaning at a place of the kind, and why. It returns an
// empty text if all have a meaning.
func (w What) idle(info KindInfo, place string) string {
	at := info.At(place)
	for _, parameter := range w.parameters() {
		if slices.Contains(info.Needs, parameter) || slices.Contains(info.Takes, parameter) {
			if !slices.Contains(at, parameter) {
				return parameter + " has no meaning there"
			}
		}
	}
	switch {
	case place == CQL && w.Direction == Both && w.Kind != Latency:
		return "direction both has no meaning there: a request goes up, its answer comes down"
	case place == HTTP && w.AfterBytes > 0 && w.At != "":
		return "at has no meaning there with after_bytes, which are those of the answer's body"
	}
	return ""
}

// parameters lists the parameters that are set, without the kind.
func (w What) parameters() []string {
	var set []string
	for i, v := 0, reflect.ValueOf(w); i < v.NumField(); i++ {
		if tag := v.Type().Field(i).Tag.Get("yaml"); tag != "" && tag != "kind" && !strictyaml.Empty(v.Field(i)) {
			set = append(set, tag)
		}
	}
	return set
}

// place checks that there is a place at which the rule can act.
func (c *checker) place(r Rule, info KindInfo) {
	if r.Where.Protocol != "" && !slices.Contains(protocols, r.Where.Protocol) {
		return // reported already
	}
	var why []string
	for _, place := range info.Places {
		if p := r.Where.Protocol; p != "" && p != place {
			continue
		}
		reason := r.What.idle(info, place)
		if reason == "" {
			reason = r.misses(place)
		}
		if reason == "" {
			return
		}
		why = append(why, fmt.Sprintf("not at %s: %s", place, reason))
	}
	if len(why) == 0 {
		c.add("what.kind", "%s happens at %s, not at %s", r.What.Kind, strings.Join(info.Places, ", "), r.Where.Protocol)
		return
	}
	c.add("what", "this %s can happen nowhere; %s", r.What.Kind, strings.Join(why, "; "))
}

// misses says which condition no call at a place can ever meet, and why. It returns an empty
// text if there is no such condition.
func (r Rule) misses(place string) string {
	w, scoped := r.Where, place == InProcess || place == HTTP || place == CQL
	named := func(pattern string) bool { return !match(pattern, "") }
	switch {
	case place != HTTP && (named(w.Method) || named(w.Path)):
		return "where.method and where.path are of HTTP"
	case place != CQL && (named(w.Keyspace) || named(w.Table) || named(w.Statement) || named(w.Consistency) || w.Conditional != nil):
		return "where.keyspace, table, statement, consistency and conditional are of CQL"
	case place == InProcess && named(w.Node):
		return "a function has no where.node"
	case (place == TCP || place == Node) && named(w.Operation):
		return "a connection or a node has no where.operation"
	case !scoped && r.Whom.Scope != "":
		return "a connection or a node has no whom.scope: only requests do"
	case !scoped && r.When.Per == PerRequest:
		return "a connection or a node is no attempt of a request, which when.per asks for"
	case r.What.Kind == ClockSkew && (r.When.counts() || r.When.Ramp > 0 || !strictyaml.Empty(reflect.ValueOf(r.Often)) || r.Whom.Scope != ""):
		return "a clock has no calls and no requests: of when only from, to and the repeats count, and neither often nor whom"
	}
	return ""
}

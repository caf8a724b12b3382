package chaos

import (
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/backstay-go/backstay/internal/strictyaml"
)

// Check returns nil, or a *PlanError with every problem of the plan.
func (p Plan) Check() error {
	return p.wrong(p.problems())
}

// wrong returns the error with these problems. A plan that was made in Go has no lines, so
// the problems name the rule.
func (p Plan) wrong(problems []Problem) error {
	if len(problems) == 0 {
		return nil
	}
	for i := range problems {
		var n int
		if _, err := fmt.Sscanf(problems[i].Field, "rules[%d]", &n); err == nil && n < len(p.Rules) {
			problems[i].Name = p.Rules[n].Name
		}
	}
	return NewPlanError(problems...)
}

// checker collects problems below a path.
type checker struct {
	problems []Problem
	path     string
}

func (c *checker) add(field, format string, args ...any) {
	c.problems = append(c.problems, Problem{Field: strictyaml.Join(c.path, field), Message: fmt.Sprintf(format, args...)})
}

func (c *checker) atLeast0(field string, d time.Duration) {
	if d < 0 {
		c.add(field, "is %v; a duration is 0 or more", d)
	}
}

func (c *checker) count(field string, n int64) {
	if n < 0 {
		c.add(field, "is %d; it must be 0 or more", n)
	}
}

func (c *checker) oneOf(field, word string, words ...string) {
	if word != "" && !slices.Contains(words, word) {
		c.add(field, "%q is not one of %s%s", word, strings.Join(words, ", "), suggestion(word, words))
	}
}

func (c *checker) ttl(field string, d time.Duration) {
	c.atLeast0(field, d)
	if d > MaxTTL {
		c.add(field, "is %v; a fault lives at most %v", d, MaxTTL)
	}
}

func (p Plan) problems() []Problem {
	c := &checker{}
	c.text(reflect.ValueOf(p), "")
	c.ttl("ttl", p.TTL)
	names := make(map[string]int)
	for i, r := range p.Rules {
		c.path = fmt.Sprintf("rules[%d]", i)
		if first, twice := names[p.RuleName(i)]; twice {
			c.add("name", "%q is also the name of rules[%d]; decisions hang on the name", p.RuleName(i), first)
		} else {
			names[p.RuleName(i)] = i
		}
		c.ttl("ttl", r.TTL)
		c.when(r.When)
		c.window(p, i)
		c.http(r.Where, r.What)
		if q := r.Often.Probability; q != nil && !(*q >= 0 && *q <= 1) {
			c.add("often.probability", "is %v; it must be from 0 to 1", *q)
		}
		c.count("often.count", int64(r.Often.Count))
		c.what(r)
	}
	return c.problems
}

// text refuses, in every text of a rule, characters that would be invisible in a report.
func (c *checker) text(v reflect.Value, path string) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if tag := v.Type().Field(i).Tag.Get("yaml"); tag != "" {
				c.text(v.Field(i), strictyaml.Join(path, tag))
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			c.text(v.Index(i), fmt.Sprintf("%s[%d]", path, i))
		}
	case reflect.Map:
		m := v.Interface().(map[string]string)
		for _, k := range slices.Sorted(maps.Keys(m)) {
			c.text(reflect.ValueOf(k), path)
			c.text(reflect.ValueOf(m[k]), strictyaml.Join(path, k))
		}
	case reflect.String:
		s, whole := v.String(), strings.HasSuffix(path, "what.body") || strings.HasSuffix(path, "statement")
		if !utf8.ValidString(s) {
			c.add(path, "is not UTF-8 text")
			return
		}
		for _, r := range s {
			if !unicode.IsPrint(r) && !(whole && (r == '\n' || r == '\t')) {
				c.add(path, "holds the unprintable character %U", r)
				return
			}
		}
	}
}

func (c *checker) when(w When) {
	for _, f := range []struct {
		name string
		d    time.Duration
	}{{"from", w.From}, {"to", w.To}, {"repeat_every", w.RepeatEvery}, {"repeat_for", w.RepeatFor}, {"ramp", w.Ramp}} {
		c.atLeast0("when."+f.name, f.d)
	}
	if w.From > MaxTTL {
		c.add("when.from", "is %v; at most %v", w.From, MaxTTL)
	}
	if w.To > 0 && w.To <= w.From {
		c.add("when.to", "is %v, not later than from, which is %v", w.To, w.From)
	}
	switch {
	case (w.RepeatEvery > 0) != (w.RepeatFor > 0):
		c.add("when.repeat_for", "repeat_every and repeat_for go together; they are %v and %v", w.RepeatEvery, w.RepeatFor)
	case w.RepeatEvery > 0 && w.RepeatFor >= w.RepeatEvery:
		c.add("when.repeat_for", "is %v, not shorter than repeat_every, which is %v", w.RepeatFor, w.RepeatEvery)
	case w.RepeatEvery > 0 && w.RepeatEvery < time.Millisecond:
		c.add("when.repeat_every", "is %v; at least 1ms", w.RepeatEvery)
	}
	for _, f := range []struct {
		name string
		n    int
	}{{"nth", w.Nth}, {"after", w.After}, {"first", w.First}, {"every", w.Every}} {
		c.count("when."+f.name, int64(f.n))
	}
	if w.Nth > 0 && (w.After > 0 || w.First > 0 || w.Every > 0) {
		c.add("when.nth", "names one call; after, first and every do not go with it")
	}
	if w.First > 0 && w.After >= w.First {
		c.add("when.after", "is %d, so that none of the first %d calls is left", w.After, w.First)
	}
	c.oneOf("when.per", w.Per, PerRule, PerRequest)
}

// window checks the times of a rule against the time at which the rule ends.
func (c *checker) window(p Plan, i int) {
	r := p.Rules[i]
	from, to := p.Window(i)
	whose := "the default"
	switch {
	case r.TTL != 0:
		whose = "its own"
	case p.TTL != 0:
		whose = "the plan's"
	}
	if r.When.To > to && to > from {
		c.add("when.to", "is %v, and the rule ends after %v: its ttl is %v, %s; give the rule a ttl of at least %v, or let the window close earlier", r.When.To, to, to-from, whose, r.When.To-from)
	}
	if r.When.Ramp > to-from && to > from {
		c.add("when.ramp", "is %v, longer than the window of %v, so that the full probability is never reached", r.When.Ramp, to-from)
	}
}

// http refuses methods, headers and statuses that no HTTP request or answer can have. With
// one of them the rule would do nothing, or something else than it says.
func (c *checker) http(where Where, what What) {
	if m := where.Method; m != strings.ToUpper(m) {
		c.add("where.method", "is %q; methods are in capital letters: %s", m, strings.ToUpper(m))
	} else if strings.Trim(strings.ReplaceAll(m, "*", ""), token) != "" {
		c.add("where.method", "is %q, which is no HTTP method", m)
	}
	switch p := where.Path; {
	case p == "":
	case strings.ContainsAny(p, "?#"):
		c.add("where.path", "is %q; a path has no query and no fragment: leave out what follows it", p)
	case strings.ContainsAny(p, `^\`) || strings.Contains(strings.ReplaceAll(p, "*.*", ""), ".*"):
		c.add("where.path", "is %q; it is no regular expression: * alone stands for any text", p)
	case p[0] != '/' && p[0] != '*':
		c.add("where.path", "is %q; a path begins with a slash, or with * for any text", p)
	}
	for _, name := range slices.Sorted(maps.Keys(what.Headers)) {
		field := strictyaml.Join("what.headers", name)
		if name == "" || strings.Trim(name, token) != "" {
			c.add(field, "%q is no name of a header", name)
		}
	}
}

// token lists the characters that a method or a header's name may have (RFC 9110, 5.6.2).
const token = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

func (c *checker) what(r Rule) {
	w := r.What
	c.oneOf("where.protocol", r.Where.Protocol, protocols...)
	if w.Kind == "" {
		c.add("what.kind", "is missing; say what happens, like latency or error")
		return
	}
	info, ok := w.Kind.Info()
	if !ok {
		var names []string
		for _, k := range Kinds() {
			names = append(names, string(k.Kind))
		}
		c.add("what.kind", "unknown kind %q%s", w.Kind, suggestion(string(w.Kind), names))
		return
	}
	c.place(r, info)
	c.parameters(info, w)
	c.delay(w)
	c.histogram(w)
	c.values(w)
	if w.Kind == CQLError {
		c.cqlError(w)
	}
}

// parameters finds parameters that the kind needs but that are missing, and parameters that
// the kind does not take.
func (c *checker) parameters(info KindInfo, w What) {
	v := reflect.ValueOf(w)
	for i := range v.NumField() {
		tag := v.Type().Field(i).Tag.Get("yaml")
		if tag == "" || tag == "kind" {
			continue
		}
		set := !strictyaml.Empty(v.Field(i))
		needed := slices.Contains(info.Needs, tag)
		if needed && !set {
			c.add("what."+tag, "is missing; %s needs it", w.Kind)
		}
		if set && !needed && !slices.Contains(info.Takes, tag) {
			c.add("what."+tag, "%s takes no %s%s", w.Kind, tag, takes(info))
		}
		if n := v.Field(i); set && tag != "skew" && n.CanInt() && n.Int() < 0 {
			c.add("what."+tag, "is negative")
		}
	}
}

// values finds parameters whose values are impossible for every kind.
func (c *checker) values(w What) {
	for i, peer := range w.Peers {
		if peer == "" {
			c.add(fmt.Sprintf("what.peers[%d]", i), "is empty; name a node, * for all others, or clients")
		}
	}
	c.oneOf("what.at", w.At, "before", "after")
	c.oneOf("what.direction", w.Direction, Downstream, Upstream, Both)
	if w.At != "" && w.Direction != "" {
		c.add("what.direction", "does not go with at: both say on which side of the execution it happens; give one")
	}
	if w.Kind == RedirectLoop && w.Status != 0 && (w.Status < 300 || w.Status > 399) {
		c.add("what.status", "is %d; a redirect has a status from 300 to 399", w.Status)
	} else if w.Status != 0 && (w.Status < 200 || w.Status > 599) {
		c.add("what.status", "is %d; the status of an HTTP answer is from 200 to 599", w.Status)
	}
	if w.ChunkVary > 0 && w.ChunkVary >= w.ChunkBytes {
		c.add("what.chunk_vary", "is %d, not less than chunk_bytes, which is %d", w.ChunkVary, w.ChunkBytes)
	}
	if w.RetryAfter > 0 && w.RetryAfter%time.Second != 0 {
		c.add("what.retry_after", "is %v; the header has whole seconds", w.RetryAfter)
	}
}

func takes(info KindInfo) string {
	all := append(slices.Clone(info.Needs), info.Takes...)
	if len(all) == 0 {
		return "; it has no parameters"
	}
	return "; it takes " + strings.Join(all, ", ")
}

// delay checks a delay, its jitter and their distribution.
func (c *checker) delay(w What) {
	c.oneOf("what.distribution", w.Distribution, distributions...)
	d := w.distribution()
	switch waits := w.Delay != 0 || w.Jitter != 0 || len(w.Histogram) > 0; {
	case !waits && (w.Kind == Latency || w.Kind == SlowAccept):
		c.add("what.delay", "is missing; %s needs a delay, a jitter or a histogram", w.Kind)
	case !waits && w.Kind == SlowBody && w.BytesPerS == 0:
		c.add("what.delay", "is missing; %s needs a delay, a jitter, a histogram or bytes_per_s", w.Kind)
	}
	if w.Delay > MaxTTL {
		c.add("what.delay", "is %v; at most %v", w.Delay, MaxTTL)
	}
	if w.Jitter > MaxTTL {
		c.add("what.jitter", "is %v; at most %v", w.Jitter, MaxTTL)
	}
	if w.Jitter > 0 && (d == Fixed || d == Pareto || d == Histogram) {
		c.add("what.jitter", "does not go with the distribution %s", d)
	}
	if d == Uniform && w.Jitter > w.Delay {
		c.add("what.jitter", "is %v, more than delay, which is %v: a delay cannot be negative", w.Jitter, w.Delay)
	}
	if w.Shape != 0 && (d != Pareto || !(w.Shape > 0) || math.IsInf(w.Shape, 0)) {
		c.add("what.shape", "is a number above 0, of the distribution pareto")
	}
	if d == Pareto && w.Delay == 0 {
		c.add("what.delay", "is missing; pareto needs the shortest delay")
	}
}

// histogram checks the buckets of the distribution of that name.
func (c *checker) histogram(w What) {
	if (w.distribution() == Histogram) != (len(w.Histogram) > 0) {
		c.add("what.histogram", "the distribution histogram and its buckets go together")
	}
	last, total := time.Duration(0), uint64(0)
	for i, b := range w.Histogram {
		at := fmt.Sprintf("what.histogram[%d]", i)
		if b.UpTo <= last && i > 0 || b.UpTo < 0 {
			c.add(at+".up_to", "is %v, not above the bucket before, %v", b.UpTo, last)
		}
		if b.UpTo > MaxTTL {
			c.add(at+".up_to", "is %v; at most %v", b.UpTo, MaxTTL)
		}
		if b.Count > 1<<53 {
			c.add(at+".count", "is %d; at most 2^53", b.Count)
		}
		last, total = b.UpTo, total+b.Count
	}
	if len(w.Histogram) > 0 && total == 0 {
		c.add("what.histogram", "all counts are 0")
	}
}

// The values of When.Per and What.Direction.
const (
	PerRule    = "rule"
	PerRequest = "request"

	Downstream = "downstream"
	Upstream   = "upstream"
	Both       = "both"
)

// match reports whether text matches the pattern, in which * stands for any text. An
// empty pattern matches every text.
func match(pattern, text string) bool {
	if pattern == "" || pattern == text {
		return true
	}
	head, rest, star := strings.Cut(pattern, "*")
	if !star || !strings.HasPrefix(text, head) {
		return false
	}
	text = text[len(head):]
	for {
		part, next, more := strings.Cut(rest, "*")
		if !more {
			return strings.HasSuffix(text, part)
		}
		i := strings.Index(text, part)
		if i < 0 {
			return false
		}
		text, rest = text[i+len(part):], next
	}
}

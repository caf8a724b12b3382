package rulefile

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/backstay-go/backstay/internal/strictyaml"
	"github.com/backstay-go/backstay/licensesvc/license"
)

// Problem is something wrong in a file of rules, with its place.
type Problem = strictyaml.Problem

var format = strictyaml.Format{
	Noun: "rule file", Kind: ErrFile,
	Example: `versions: [{version: "2027-01", rules: [{name: everyone, devices: 1}]}]`,
}

// Rules are what a file says: the compiled rules, and the file itself, for explanations.
type Rules struct {
	license.Rules
	// File is the content of the file.
	File File
	// Versions are the versions of the file, as they were compiled.
	Versions []license.Version
}

// Load reads a file. See Parse.
func Load(file string) (Rules, error) {
	text, err := strictyaml.ReadFile(file)
	if err != nil {
		return Rules{}, fmt.Errorf("rulefile: %w", err)
	}
	return Parse(file, text)
}

// Parse reads rules from YAML or JSON. file is the name of the file in problems. The error has every
// problem; it is a *strictyaml.Error that matches ErrFile.
func Parse(file string, text []byte) (Rules, error) {
	doc := format.Parse(file, text)
	var r Rules
	doc.Decode(&r.File)
	c := checker{}
	c.file(r.File)
	doc.Check(c.problems...)
	if err := doc.Err(); err != nil {
		return Rules{}, err
	}
	var conflicts []license.Conflict
	r.Versions = c.versions
	r.Rules, conflicts = license.Compile(c.versions...)
	for _, conflict := range conflicts {
		doc.Check(conflictProblem(c.versions, conflict))
	}
	if err := doc.Err(); err != nil {
		return Rules{}, err
	}
	return r, nil
}

// conflictProblem says that two rules say the same field, and nothing decides between them.
func conflictProblem(versions []license.Version, c license.Conflict) Problem {
	v := versions[c.Version]
	first, second := v.Rules[c.First], v.Rules[c.Second]
	p := Problem{Field: fmt.Sprintf("versions[%d].rules[%d].%s", c.Version, c.Second, c.Field)}
	if c.Same {
		p.Message = fmt.Sprintf("rule %q says the same for %s already, and both hold for some", first.Name, c.Field)
		p.Suggestion = "keep one, or let only one match (when, from, until)"
		return p
	}
	p.Message = fmt.Sprintf("rule %q says something else about %s, is equally specific (%s; here %s), and both hold for some", first.Name, c.Field, first.When, second.When)
	p.Suggestion = "let only one match (when, from, until), or name something more in one of them"
	return p
}

// checker finds what is wrong in a file, and converts it.
type checker struct {
	problems []Problem
	versions []license.Version
}

func (c *checker) add(field, suggestion, format string, args ...any) {
	c.problems = append(c.problems, Problem{Field: field, Message: fmt.Sprintf(format, args...), Suggestion: suggestion})
}

func (c *checker) file(f File) {
	if len(f.Versions) == 0 {
		c.add("versions", "give one, with rules", "there are no versions")
	}
	names := map[string]bool{}
	for i, v := range f.Versions {
		path := fmt.Sprintf("versions[%d]", i)
		out := license.Version{Name: v.Version, From: c.time(path+".from", v.From)}
		switch {
		case v.Version == "":
			c.add(path+".version", "name it, because events refer to it", "is missing")
		case names[v.Version]:
			c.add(path+".version", "give each version a name that no other has", "there is a version %q already", v.Version)
		}
		names[v.Version] = true
		switch {
		case i == 0 && v.From != "":
			c.add(path+".from", "leave it out: the first version also decides what is earlier", "is the beginning of the first version")
		case i > 0 && v.From == "":
			c.add(path+".from", "say when the version begins to decide", "is missing")
		case i > 0 && !out.From.IsZero() && !c.versions[i-1].From.Before(out.From):
			c.add(path+".from", "append versions in the order in which they begin", "is not after the beginning of version %q", f.Versions[i-1].Version)
		}
		if v.Provisional != nil {
			if out.Provisional = *v.Provisional; out.Provisional < 0 {
				c.add(path+".provisional", "give 0 or more", "is %s", out.Provisional)
			}
		}
		if len(v.Rules) == 0 {
			c.add(path+".rules", "say at least how many devices a plan has", "has no rules: nobody could download")
		}
		out.Rules = c.rules(path, v.Rules)
		c.versions = append(c.versions, out)
	}
}

func (c *checker) rules(path string, rules []Rule) (all []license.Rule) {
	names := map[string]bool{}
	for i, r := range rules {
		at := fmt.Sprintf("%s.rules[%d]", path, i)
		switch {
		case r.Name == "":
			c.add(at+".name", "name it, because explanations refer to it", "is missing")
		case names[r.Name]:
			c.add(at+".name", "give each rule a name that no other has", "there is a rule %q already", r.Name)
		}
		names[r.Name] = true
		c.when(at+".when", r.When)
		out := license.Rule{Name: r.Name, From: c.time(at+".from", r.From), Until: c.time(at+".until", r.Until), When: license.Selector{
			Plans: r.When.Plans, Studios: r.When.Studios, Titles: r.When.Titles, Countries: r.When.Countries, DeviceKinds: r.When.DeviceKinds,
		}}
		if !out.Until.IsZero() && !out.From.Before(out.Until) {
			c.add(at+".until", "give a time after from", "is not after from, so that the rule never holds")
		}
		out.Says = c.settings(at, r)
		all = append(all, out)
	}
	return all
}

// settings returns what a rule says.
func (c *checker) settings(at string, r Rule) (says []license.Setting) {
	for _, s := range r.settings() {
		if !s.given {
			continue
		}
		field := at + "." + s.field.String()
		switch {
		case s.value < s.least && s.duration:
			c.add(field, fmt.Sprintf("give %s or more", time.Duration(s.least)), "is %s", time.Duration(s.value))
		case s.value < s.least && s.least == 1:
			c.add(field, "give 1 or more; for no downloads at all, give devices: 0", "is %d", s.value)
		case s.value < s.least:
			c.add(field, fmt.Sprintf("give %d or more", s.least), "is %d", s.value)
		case s.most > 0 && s.value > s.most:
			c.add(field, fmt.Sprintf("give at most %d, which can be counted exactly, or leave it out for no limit", s.most), "is %d", s.value)
		}
		says = append(says, license.Setting{Field: s.field, Value: s.value})
	}
	if r.Leaves != "" {
		says = append(says, license.Setting{Field: license.Leaves, Value: c.time(at+".leaves", r.Leaves).UnixMilli()})
		if len(r.When.Titles) == 0 && len(r.When.Studios) == 0 {
			c.add(at+".leaves", "name the titles or studios in when", "would end the downloads of all titles")
		}
	}
	if len(says) == 0 {
		c.add(at, "give a limit or a term, or take the rule out", "says nothing")
	}
	return says
}

var (
	countryPattern    = regexp.MustCompile(`^[A-Z]{2}$`)
	deviceKindPattern = regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`)
)

func (c *checker) when(path string, w When) {
	for _, list := range []struct {
		name    string
		values  []string
		allowed *regexp.Regexp
		give    string
	}{
		{"plans", w.Plans, nil, ""}, {"studios", w.Studios, nil, ""}, {"titles", w.Titles, nil, ""},
		{"countries", w.Countries, countryPattern, "give two upper-case letters, such as DE"},
		{"device_kinds", w.DeviceKinds, deviceKindPattern, "give lower-case letters, digits and _, such as phone"},
	} {
		for i, v := range list.values {
			field := fmt.Sprintf("%s.%s[%d]", path, list.name, i)
			switch {
			case v == "":
				c.add(field, "give a name, or leave it out", "is empty")
			case list.allowed != nil && !list.allowed.MatchString(v):
				c.add(field, list.give, "is %q", v)
			case slices.Contains(list.values[:i], v):
				c.add(field, "keep one", "%q is there twice", v)
			}
		}
	}
}

// time reads a date or a time. An empty text is the zero time.
func (c *checker) time(field, text string) time.Time {
	if text == "" {
		return time.Time{}
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, text); err == nil && t.Year() >= 1970 {
			return t.UTC()
		}
	}
	c.add(field, "give a date such as 2027-01-31, or a time such as 2027-01-31T08:00:00Z", "is %q", strings.TrimSpace(text))
	return time.Time{}
}

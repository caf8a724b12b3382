package cassandra

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/backstay-go/backstay/resilience"
)

// Check returns every problem of the configuration that can be known without contacting
// the cluster, as one *ConfigError. It returns nil if there is none.
func (c Config) Check() error {
	ch := &checker{}
	c.checkHosts(ch)
	c.checkLogin(ch)
	c.checkProfiles(ch)
	c.checkFailover(ch.add)
	c.checkLimits(ch)
	c.checkGuards(ch)
	if len(ch.problems) == 0 {
		return nil
	}
	slices.SortFunc(ch.problems, func(a, b ConfigProblem) int { return strings.Compare(a.String(), b.String()) })
	return &ConfigError{Problems: ch.problems}
}

// checker collects problems.
type checker struct{ problems []ConfigProblem }

func (ch *checker) add(field string, value any, advice string) {
	ch.problems = append(ch.problems, ConfigProblem{Field: field, Problem: fmt.Sprintf("is %v", value), Change: advice})
}

// guard adds the errors of a guard's policy. Findings about the "default" operation are
// left out: the session fills it in from a profile, which has the same finding.
func (ch *checker) guard(field string, found []resilience.Finding) {
	for _, f := range found {
		if f.Severity == resilience.Error && !strings.HasPrefix(f.Field, "default") {
			ch.problems = append(ch.problems, inGo(field, f))
		}
	}
}

// inGo returns the Go name of a finding's field, if the field belongs to a profile. For
// example, operations.read.attempt_timeout in YAML is Profiles[read].AttemptTimeout.
func inGo(field string, f resilience.Finding) ConfigProblem {
	p := ConfigProblem{Field: field, Policy: f.Field, Problem: f.Problem, Change: f.Change}
	rest, ok := strings.CutPrefix(f.Field, "operations.")
	name, path, below := strings.Cut(rest, ".")
	if field != "Guard" || !ok || !below || strings.Contains(path, degradedSuffix) {
		return p
	}
	var parts []string
	for part := range strings.SplitSeq(path, ".") {
		var words strings.Builder
		for word := range strings.SplitSeq(part, "_") {
			words.WriteString(strings.ToUpper(word[:min(1, len(word))]) + word[min(1, len(word)):])
		}
		parts = append(parts, words.String())
	}
	p.Field, p.Policy = "Profiles["+name+"]."+strings.Join(parts, "."), ""
	return p
}

func (c Config) checkHosts(ch *checker) {
	if len(c.Hosts) == 0 {
		ch.add("Hosts", "empty", "name at least one contact point")
	}
	for i, h := range c.Hosts {
		field := fmt.Sprintf("Hosts[%d]", i)
		switch {
		case strings.TrimSpace(h) == "":
			ch.add(field, "empty", "name a contact point, or take it out")
		case strings.ContainsAny(h, "/ @,?#"):
			ch.add(field, fmt.Sprintf("%q", h), "name a host alone, or host:port; a URL or a list of hosts is none")
		}
	}
	if c.Port < 0 || c.Port > 65535 {
		ch.add("Port", c.Port, "use 1 to 65535, or 0 for 9042")
	}
	if strings.Contains(keyspaceName(c.Keyspace), `"`) {
		ch.add("Keyspace", fmt.Sprintf("%q", c.Keyspace), "name the keyspace without quotes; its case is kept")
	}
}

// keyspaceName is the keyspace's name as the server stores it. The driver adds the
// quotes.
func keyspaceName(keyspace string) string {
	if len(keyspace) > 2 && strings.HasPrefix(keyspace, `"`) && strings.HasSuffix(keyspace, `"`) {
		return keyspace[1 : len(keyspace)-1]
	}
	return keyspace
}

func (c Config) checkLogin(ch *checker) {
	switch {
	case c.Credentials != nil && (c.Username != "" || c.Password != ""):
		ch.add("Credentials", "set", "take Username and Password out: Credentials takes their place")
	case c.Password != "" && c.Username == "":
		ch.add("Username", "empty", "a password needs one")
	case c.Username != "" && c.Password == "":
		ch.add("Password", "empty", "give the password of "+c.Username+", or take Username out")
	}
}

func (c Config) checkProfiles(ch *checker) {
	if len(c.Profiles) == 0 {
		ch.add("Profiles", "empty", "say how requests run: at least one profile with a timeout and a consistency")
	}
	names := slices.Sorted(maps.Keys(c.Profiles))
	serial := map[Consistency]string{}
	for _, name := range names {
		p := c.Profiles[name]
		if name == "" {
			ch.add("Profiles", `named ""`, "give the profile a name")
		}
		p.check(name, ch.add)
		for _, level := range []Consistency{p.SerialConsistency, p.Consistency} {
			if level.IsSerial() && serial[level] == "" {
				serial[level] = name
			}
		}
	}
	if serial[Serial] != "" && serial[LocalSerial] != "" {
		ch.add("Profiles["+serial[LocalSerial]+"].SerialConsistency", LocalSerial, "profile "+serial[Serial]+
			" uses SERIAL: the two do not see each other's writes, so no table may be used with both; use one, or a session each")
	}
	if _, ok := c.Profiles[c.DefaultProfile]; c.DefaultProfile != "" && !ok {
		ch.add("DefaultProfile", fmt.Sprintf("%q", c.DefaultProfile), "there is no such profile; there are: "+strings.Join(names, ", "))
	}
}

func (c Config) checkLimits(ch *checker) {
	for field, v := range map[string]int{"Connections": c.Connections, "OrphanLimit": c.OrphanLimit, "SuspectAfter": c.SuspectAfter} {
		if v < 0 {
			ch.add(field, v, "use a positive number, or 0 for the default")
		}
	}
	for field, v := range map[string]time.Duration{"ConnectTimeout": c.ConnectTimeout, "SilenceLimit": c.SilenceLimit, "QuietLimit": c.QuietLimit, "SuspectFor": c.SuspectFor} {
		if v < 0 {
			ch.add(field, v, "use a positive duration, or 0 for the default")
		}
	}
	if n := c.OrphanLimit; n >= maxOrphans {
		ch.add("OrphanLimit", n, fmt.Sprintf("a connection has 32768 streams; use less than %d", maxOrphans))
	}
}

func (c Config) checkGuards(ch *checker) {
	if len(c.Guard.Operations) > 0 {
		ch.add("Guard.Operations", "set", "leave it empty: the profiles are the operations")
	}
	if len(c.Profiles) == 0 {
		return
	}
	all := c.withDefaults()
	ch.guard("Guard", append(all.policy().Check(), onlyOperations(all.isolatedPolicy().Check())...))
	if c.Failover != nil && len(ch.problems) == 0 {
		ch.guard("Failover.Guard", all.remotePolicy().Check())
	}
}

// onlyOperations returns the findings about operations. The shared parts were checked
// before.
func onlyOperations(all []resilience.Finding) []resilience.Finding {
	return slices.DeleteFunc(all, func(f resilience.Finding) bool {
		return !strings.HasPrefix(f.Field, "operations.") || strings.Contains(f.Field, degradedSuffix+".")
	})
}

package policyfile

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/backstay-go/backstay/internal/suggest"
	"github.com/backstay-go/backstay/resilience"
)

// called is an operation of a guard of the file.
type called struct {
	resilience.OperationPolicy
	field string // its path in the file
}

// together checks what takes the whole file: the names of guards, and what operations say that
// they call.
func together(parts []values) (found []Problem) {
	operations, guards := map[string]called{}, map[string]string{}
	for _, part := range parts {
		for _, g := range part.policies() {
			at := strings.TrimSuffix(g.Field(""), ".")
			if other, twice := guards[g.Name]; twice {
				found = append(found, Problem{Field: at, Message: fmt.Sprintf("its guard is called %s, as is that of %s", g.Name, other), Suggestion: "give each guard its own name"})
				continue
			}
			guards[g.Name] = at
			operations[g.Name] = called{g.Default, g.Field(resilience.DefaultOperation)}
			for name, o := range g.Operations {
				operations[g.Name+"."+name] = called{o, g.Field("operations." + name)}
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(operations)) {
		found = append(found, calls(name, operations)...)
	}
	return found
}

// calls checks what one operation says that it calls.
func calls(name string, operations map[string]called) (found []Problem) {
	outer := operations[name]
	for i, callee := range outer.Calls {
		at := fmt.Sprintf("%s.calls[%d]", outer.field, i)
		inner, ok := operations[callee]
		if !ok {
			p := Problem{Field: at, Message: fmt.Sprintf("is %q, and the file has no such operation", callee), Suggestion: "write GUARD.OPERATION, or GUARD for its default"}
			if near := suggest.Nearest(callee, maps.Keys(operations)); near != "" {
				p.Suggestion = fmt.Sprintf("did you mean %q?", near)
			}
			found = append(found, p)
			continue
		}
		if chain := chainTo(name, callee, operations, nil); chain != nil {
			found = append(found, Problem{Field: at, Message: "leads back to where it began: " + strings.Join(append([]string{name}, chain...), " calls "),
				Suggestion: "a guard whose calls wait for calls of the same guard runs out of permits; break the circle"})
			continue
		}
		found = append(found, shorter(outer, callee, inner)...)
	}
	return found
}

// chainTo is how one operation calls another, in the end; nil if it does not.
func chainTo(to, from string, operations map[string]called, seen []string) []string {
	if from == to {
		return []string{to}
	}
	if slices.Contains(seen, from) {
		return nil
	}
	for _, next := range operations[from].Calls {
		if chain := chainTo(to, next, operations, append(seen, from)); chain != nil {
			return append([]string{from}, chain...)
		}
	}
	return nil
}

// shorter warns when the caller's time is up before that of what it calls.
func shorter(outer called, callee string, inner called) []Problem {
	field, bound := "timeout", outer.Timeout
	if outer.AttemptTimeout > 0 {
		field, bound = "attempt_timeout", outer.AttemptTimeout
	}
	if bound >= inner.Timeout {
		return nil
	}
	return []Problem{{
		Field: outer.field + "." + field, Warning: true,
		Message:    fmt.Sprintf("is %v, and it calls %s, which may take %v (%s.timeout): its own deadline always comes first, so that the guard below never counts a hang", bound, callee, inner.Timeout, inner.field),
		Suggestion: fmt.Sprintf("raise it above %v, or lower the other", inner.Timeout.Round(time.Microsecond)),
	}}
}

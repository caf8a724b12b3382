package rest

import (
	"errors"
	"fmt"

	"github.com/backstay-go/backstay/internal/routes"
	"github.com/backstay-go/backstay/resilience"
)

// route is the meaning of a pattern of Transport.Routes. The zero value is no route.
type route struct {
	pattern string
	on      *resilience.Operation
}

// newRoutes returns the table of Transport.Routes. The error names each pattern that
// http.ServeMux does not take.
func newRoutes(guard *resilience.Guard, operations map[string]string) (table routes.Table[route], bad error) {
	if guard == nil {
		return table, nil
	}
	for pattern, operation := range operations {
		bad = errors.Join(bad, badPattern("Transport.Routes", pattern, table.Add(pattern, route{pattern, guard.Operation(operation)})))
	}
	return table, bad
}

// newPatterns returns a table that finds a request's pattern. field is the field that lists
// the patterns.
func newPatterns(field string, patterns []string) (table routes.Table[string], bad error) {
	for _, pattern := range patterns {
		bad = errors.Join(bad, badPattern(field, pattern, table.Add(pattern, pattern)))
	}
	return table, bad
}

func badPattern(field, pattern string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("rest: %s[%s]: %w", field, pattern, err)
}

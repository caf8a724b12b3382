package policyfile_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/backstay-go/backstay/resilience"
	"github.com/backstay-go/backstay/resilience/policyfile"
)

func ExampleOpen() {
	folder, err := os.MkdirTemp("", "policies")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(folder)
	file := filepath.Join(folder, "policies.yaml")
	const policies = "guards:\n  catalog:\n    bulkhead: {limit: %d}\n    default: {timeout: 1s}\n"
	if err := os.WriteFile(file, fmt.Appendf(nil, policies, 8), 0o600); err != nil {
		panic(err)
	}

	set, err := policyfile.Open(file, policyfile.Config{Environ: os.Environ()})
	if err != nil {
		panic(err)
	}
	defer set.Close()
	catalog, err := set.Guard("catalog")
	if err != nil {
		panic(err)
	}
	result, err := resilience.Do(context.Background(), catalog, func(context.Context) (string, error) { return "a title", nil })
	fmt.Println(result.Value, err)

	// The file changes. A program calls set.Watch, which does this by itself.
	if err := os.WriteFile(file, fmt.Appendf(nil, policies, 16), 0o600); err != nil {
		panic(err)
	}
	warnings, err := set.Reload()
	fmt.Println(warnings, err, catalog.Snapshot().Limit)
	// Output:
	// a title <nil>
	// [] <nil> 16
}

func ExampleParse() {
	const text = `guards:
  catalog:
    bulkhead: {limit: 8, maxWait: 50ms}
    default: {timeout: 1}
`
	_, _, err := policyfile.Parse("policies.yaml", []byte(text))
	fmt.Println(err)
	// Output:
	// policies.yaml:3:26: error: guards.catalog.bulkhead.maxWait: is not known; did you mean "max_wait"?
	//     3 |     bulkhead: {limit: 8, maxWait: 50ms}
	//       |                          ^
	// policies.yaml:4:24: error: guards.catalog.default.timeout: is "1"; a duration needs its unit, such as 1ms or 1s
	//     4 |     default: {timeout: 1}
	//       |                        ^
}

// A test or a build step checks a file without making guards.
func ExampleLoad() {
	file := filepath.Join(os.TempDir(), "no such folder", "policies.yaml")
	_, warnings, err := policyfile.Load(file, os.Environ()...)
	fmt.Println(len(warnings), errors.Is(err, fs.ErrNotExist))
	// Output: 0 true
}

package record_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/backstay-go/backstay/resilience"
	"github.com/backstay-go/backstay/resilience/record"
)

func keepRecord(file *os.File, policy resilience.Policy) (*resilience.Guard, *record.Writer, error) {
	writer, err := record.NewWriter(file, record.Options{})
	if err != nil {
		return nil, nil, err
	}
	guard, err := resilience.New(policy, resilience.WithListener(writer))
	return guard, writer, err
}

func Example() {
	file, err := os.CreateTemp("", "catalog.record")
	if err != nil {
		panic(err)
	}
	defer os.Remove(file.Name())
	defer file.Close()
	guard, writer, err := keepRecord(file, resilience.Policy{
		Name: "catalog", Bulkhead: resilience.BulkheadPolicy{Limit: 8},
		Default: resilience.OperationPolicy{Timeout: time.Minute},
	})
	if err != nil {
		panic(err)
	}
	defer guard.Close()
	if _, err := resilience.Do(context.Background(), guard, func(context.Context) (int, error) { return 42, nil }); err != nil {
		panic(err)
	}
	if err := writer.Close(); err != nil {
		panic(err)
	}
	if _, err := file.Seek(0, 0); err != nil {
		panic(err)
	}
	rec, err := record.ReadAll(file)
	if err != nil {
		panic(err)
	}
	for _, c := range rec.Calls {
		fmt.Println(c.Dependency, c.Operation, c.Criticality, c.Source, len(c.Attempts))
	}
	// Output: catalog default critical live 1
}

// A long record is read call by call.
func ExampleNewReader() {
	var file strings.Builder
	writer, err := record.NewWriter(&file, record.Options{})
	if err != nil {
		panic(err)
	}
	if err := writer.Close(); err != nil {
		panic(err)
	}
	reader, err := record.NewReader(strings.NewReader(file.String()))
	if err != nil {
		panic(err)
	}
	for {
		call, err := reader.Next()
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(call.Dependency, call.Operation)
	}
	// Output: EOF
}

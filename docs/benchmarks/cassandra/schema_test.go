package cassandra

import (
	"errors"
	"testing"
	"time"

	"github.com/backstay-go/backstay/clients/cassandra"
	"github.com/backstay-go/backstay/resilience"
)

// schema runs statements that change the schema.
func schema(tb testing.TB, hosts []string, statements ...string) {
	tb.Helper()
	s, err := cassandra.Connect(tb.Context(), cassandra.Config{Hosts: hosts, Profiles: map[string]cassandra.Profile{
		"schema": {OperationPolicy: resilience.OperationPolicy{Timeout: time.Minute}, Consistency: cassandra.Quorum},
	}})
	if err != nil {
		tb.Fatal(err)
	}
	for _, cql := range statements {
		if err = s.Query(cql).Exec(); err != nil {
			break
		}
	}
	if err := errors.Join(err, s.Close()); err != nil {
		tb.Fatal(err)
	}
}

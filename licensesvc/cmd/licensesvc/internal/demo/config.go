package demo

import (
	_ "embed"

	"github.com/backstay-go/backstay/chaos/scenario"
)

//go:embed demo.yaml
var sqliteText []byte

//go:embed demo-cassandra.yaml
var cassandraText []byte

// SQLite is the demonstration on the embedded store.
func SQLite() (scenario.Scenario, error) { return scenario.Parse("demo.yaml", sqliteText) }

// Cassandra is the demonstration on three real nodes. It needs Linux.
func Cassandra() (scenario.Scenario, error) {
	return scenario.Parse("demo-cassandra.yaml", cassandraText)
}

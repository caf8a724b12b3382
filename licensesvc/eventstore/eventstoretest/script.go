package eventstoretest

import (
	"strings"

	"github.com/datastax/go-cassandra-native-protocol/datatype"

	"github.com/backstay-go/backstay/internal/cqltest"
	"github.com/backstay-go/backstay/licensesvc/eventstore/schema"
)

// ScriptSchema makes a scripted cluster answer as one whose keyspace has all steps of a schema.
func ScriptSchema(c *cqltest.Cluster, s schema.Schema) {
	text := func(name string) cqltest.Column { return cqltest.Column{Name: name, Type: cqltest.Text} }
	var columns, steps [][]any
	for table, all := range s.Tables {
		for column, kind := range all {
			kind, static := strings.CutSuffix(kind, " static")
			of := "regular"
			if static {
				of = "static"
			}
			columns = append(columns, []any{table, column, kind, of})
		}
	}
	columns = append(columns, []any{"schema_steps", "number", "int", "clustering"})
	for n, step := range s.Steps {
		steps = append(steps, []any{n + 1, step.Name, len(step.Statements), true, step.Breaks})
	}
	c.On("SELECT table_name, column_name, type, kind FROM system_schema.columns WHERE keyspace_name = ?", cqltest.Statement{
		Columns: []cqltest.Column{text("table_name"), text("column_name"), text("type"), text("kind")},
		Answer:  func(r *cqltest.Request) { r.Rows(columns...) }})
	c.On("SELECT number, name, done, complete, breaks FROM schema_steps WHERE id = ?", cqltest.Statement{
		Columns: []cqltest.Column{{Name: "number", Type: datatype.Int}, text("name"), {Name: "done", Type: datatype.Int},
			{Name: "complete", Type: datatype.Boolean}, {Name: "breaks", Type: datatype.Boolean}},
		Answer: func(r *cqltest.Request) { r.Rows(steps...) }})
}

package cassandra_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/datastax/go-cassandra-native-protocol/datatype"
	"github.com/datastax/go-cassandra-native-protocol/message"

	"github.com/backstay-go/backstay/clients/cassandra"
	"github.com/backstay-go/backstay/internal/cqltest"
)

// TestValuesOfTheTextAreNotInErrors: passwords and values that are written into a
// statement are neither shown with it nor in what the server repeats of it, however the
// error is unwrapped.
func TestValuesOfTheTextAreNotInErrors(t *testing.T) {
	cluster, s := scripted(t, cqltest.Config{})
	for cql, secrets := range map[string][]string{
		"CREATE ROLE bob WITH PASSWORD = 'hunter2' AND LOGIN = true": {"hunter2"},
		"ALTER ROLE bob WITH PASSWORD = 'hun''ter2'":                 {"hun''ter2", "hun'ter2"},
		"INSERT INTO t (id, n) VALUES ($$secret one$$, 12345678)":    {"secret one", "12345678"},
		"SELECT v FROM t WHERE id = 'ab'":                            {"'ab'"},
	} {
		literal := secrets[len(secrets)-1]
		for _, answer := range []message.Message{
			&message.SyntaxError{ErrorMessage: "line 1:32 no viable alternative at input '" + literal + "' (" + cql + ")"},
			&message.Invalid{ErrorMessage: `Invalid constant (` + secrets[0] + `) for "n" of type int`},
			&message.ServerError{ErrorMessage: "java.lang.RuntimeException: " + secrets[0] + " in " + cql},
		} {
			cluster.On(cql, cqltest.Statement{Answer: func(r *cqltest.Request) { r.Send(answer) }})
			for _, run := range []func() error{
				s.Query(cql).Profile("once").Exec,
				s.NewBatch(cassandra.LoggedBatch).Query(cql).Profile("once").Exec,
			} {
				err := run()
				if err == nil {
					t.Fatal("no error")
				}
				for at := err; at != nil; at = errors.Unwrap(at) {
					for _, secret := range secrets {
						if strings.Contains(at.Error(), secret) {
							t.Errorf("%q is in %v (%T)", secret, at, at)
						}
					}
				}
				if !strings.Contains(err.Error(), strings.Fields(cql)[0]) {
					t.Errorf("%v does not say what it was", err)
				}
			}
		}
	}
}

// TestABadValueIsTheCallersFault, also when it shows only after the statement was prepared
// again, because another client changed the column's type (gocql#1186).
func TestABadValueIsTheCallersFault(t *testing.T) {
	cluster, s := scripted(t, cqltest.Config{})
	cluster.On(insertV, cqltest.Statement{Params: cqltest.Columns("id text, v text"), Answer: (*cqltest.Request).Void})
	if err := s.Query(insertV, "a", "x").Profile("once").Exec(); err != nil {
		t.Fatal(err)
	}
	cluster.On(insertV, cqltest.Statement{Params: []cqltest.Column{{Name: "id", Type: cqltest.Text}, {Name: "v", Type: datatype.Inet}}, Answer: (*cqltest.Request).Void})
	cluster.Node(0).Unprepare()
	err := s.Query(insertV, "a", "hunter2").Profile("once").Exec()
	if !errors.Is(err, cassandra.ErrInvalid) || errors.Is(err, cassandra.ErrOutcomeUnknown) || !strings.Contains(err.Error(), `"v"`) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("%v", err)
	}
	if err := s.Query(insertV, "a", "10.0.0.1").Profile("once").Exec(); err != nil {
		t.Errorf("a right value afterwards: %v", err)
	}
}

// TestTokensAfterManyTexts: statements that hold their values in their text do not keep
// others from going to their replicas.
func TestTokensAfterManyTexts(t *testing.T) {
	cluster, s := scripted(t, cqltest.Config{Nodes: 3, Keyspaces: map[string]int{"ks": 1}})
	cluster.On(selectV, selects)
	ask := func() (nodes int) {
		cluster.Forget()
		for range 20 {
			if err := s.Query(selectV, "a").Exec(); err != nil {
				t.Fatal(err)
			}
		}
		seen := map[*cqltest.Node]bool{}
		for _, r := range cluster.Received(selectV) {
			seen[r.Node] = true
		}
		return len(seen)
	}
	eventually(t, "the statement goes to its replica", func() bool { return ask() == 1 })
	for i := range 5000 {
		cql := strings.Replace(selectV, "?", "'"+strings.Repeat("x", i%50)+string(rune('a'+i%26))+"' AND n = "+strings.Repeat("1", i/50+1), 1)
		cluster.On(cql, selects)
		if err := s.Query(cql).Exec(); err != nil {
			t.Fatal(err)
		}
	}
	const other = "SELECT v FROM other WHERE id = ?"
	cluster.On(other, selects)
	for _, cql := range []string{selectV, other} {
		for range 5 {
			if err := s.Query(cql, "a").Exec(); err != nil {
				t.Fatal(err)
			}
		}
		cluster.Forget()
		for range 20 {
			if err := s.Query(cql, "a").Exec(); err != nil {
				t.Fatal(err)
			}
		}
		first := cluster.Received(cql)[0].Node
		for _, r := range cluster.Received(cql) {
			if r.Node != first {
				t.Fatalf("%s goes to several nodes", cql)
			}
		}
	}
}

package cassandra

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/backstay-go/backstay/licensesvc/eventstore"
)

// Health implements eventstore.Store. It warns of a keyspace that has too few replicas to lose a
// node, and of one without a commit log.
func (s *Store) Health(ctx context.Context) (eventstore.Health, error) {
	if err := s.check(); err != nil {
		return eventstore.Health{}, err
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	st, err := Schema().Status(ctx, SchemaOf(s.session))
	if err != nil {
		return eventstore.Health{}, failed("look at the schema", err)
	}
	var durable bool
	var replication map[string]string
	err = s.query(ctx, ProfileShow, "SELECT durable_writes, replication FROM system_schema.keyspaces WHERE keyspace_name = ?", s.session.Keyspace()).Scan(&durable, &replication)
	if err != nil {
		return eventstore.Health{}, failed("look at the replication", err)
	}
	return eventstore.Health{Schema: st, Warnings: doubts(s.session.Keyspace(), durable, replication)}, nil
}

// doubts returns a sentence for each setting of a keyspace that endangers what it holds.
func doubts(keyspace string, durable bool, replication map[string]string) (all []string) {
	if !durable {
		all = append(all, fmt.Sprintf("keyspace %s has durable_writes = false: a node that crashes loses what it had not written to its tables", keyspace))
	}
	for _, dc := range slices.Sorted(maps.Keys(replication)) {
		where := " in " + dc
		switch dc {
		case "class":
			continue
		case "replication_factor":
			where = ""
		}
		full, _, _ := strings.Cut(replication[dc], "/") // 3/1 has one transient replica
		switch n, err := strconv.Atoi(full); {
		case err != nil:
		case n == 1:
			all = append(all, fmt.Sprintf("keyspace %s has one replica%s: if its node crashes, acknowledged events of the last seconds can be lost, and if its disk fails, all of them; use three", keyspace, where))
		case n == 2:
			all = append(all, fmt.Sprintf("keyspace %s has two replicas%s: nothing can be appended while one of them is down; use three", keyspace, where))
		}
	}
	return all
}

package cassandra

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/backstay-go/backstay/clients/cassandra/internal/driver"
)

const (
	// agreementPause is how often nodes are asked which schema they have.
	agreementPause = 100 * time.Millisecond
	// agreementWait bounds how long a statement that changes the schema waits for it.
	agreementWait = 10 * time.Second
)

// AwaitSchemaAgreement waits until all nodes to which the session is connected have the
// same schema, as the node that is asked sees it. Statements that change the schema wait
// for it by themselves, within their profile's Timeout (Info.SchemaAgreed). The error
// matches ErrTimedOut or ErrCanceled when the context ends first, and names the versions.
func (s *Session) AwaitSchemaAgreement(ctx context.Context) error {
	if s.isClosed() {
		return errClosed
	}
	for {
		versions, err := s.schemaVersions(ctx)
		if err == nil && len(versions) == 1 {
			return nil
		}
		if waited(ctx, agreementPause) {
			continue
		}
		kind := ErrTimedOut
		if errors.Is(ctx.Err(), context.Canceled) {
			kind = ErrCanceled
		}
		if err != nil {
			return fmt.Errorf("%w: waiting for the schema to agree: %w: %w", kind, ctx.Err(), err)
		}
		return fmt.Errorf("%w: waiting for the schema to agree: nodes have the versions %s: %w", kind, strings.Join(versions, ", "), ctx.Err())
	}
}

// agrees waits for the schema within the time that a statement has.
func (s *Session) agrees(ctx context.Context, timeout time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, min(timeout, agreementWait))
	defer cancel()
	return s.AwaitSchemaAgreement(ctx) == nil
}

// schemaVersions asks one node which versions of the schema the nodes have to which the
// session is connected.
func (s *Session) schemaVersions(ctx context.Context) ([]string, error) {
	l := s.link.Load()
	connected := map[string]bool{}
	var ask *driver.Node
	for _, n := range l.nodes.All() {
		if n.Connections() > 0 {
			connected[n.ID()] = true
			if ask == nil || ask.Suspect() {
				ask = n
			}
		}
	}
	if ask == nil {
		return nil, fmt.Errorf("%w: no node is connected", ErrUnavailable)
	}
	var versions []string
	for _, table := range []string{"system.local", "system.peers"} {
		page, err := l.driver.Do(ctx, &driver.Request{Statements: []driver.Statement{{CQL: "SELECT host_id, schema_version FROM " + table}},
			Consistency: uint16(LocalOne), PageSize: defaultPageSize}, &driver.Call{Only: ask})
		if err != nil {
			return nil, err
		}
		for {
			row, ok := page.Row()
			if !ok {
				break
			}
			id, version := fmt.Sprint(row["host_id"]), fmt.Sprint(row["schema_version"])
			if row["schema_version"] != nil && (table == "system.local" || connected[id]) && !slices.Contains(versions, version) {
				versions = append(versions, version)
			}
		}
		if err := page.Err(); err != nil {
			return nil, err
		}
	}
	return versions, nil
}

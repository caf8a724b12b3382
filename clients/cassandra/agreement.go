package cassandra

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/backstay-go/backstay/clients/cassandra/internal/driver"
)

const (
	// agreementPause is the time between two looks at the nodes' schema versions.
	agreementPause = 100 * time.Millisecond
	// agreementWait bounds how long a statement that changes the schema waits for
	// agreement.
	agreementWait = 10 * time.Second
)

// AwaitSchemaAgreement waits until all nodes to which the session is connected have the
// same schema. Statements that change the schema already wait for that themselves,
// within their profile's Timeout (Info.SchemaAgreed). If the context ends first, the
// error matches ErrTimedOut or ErrCanceled and names the versions.
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

// agrees waits for schema agreement within the time that a statement has.
func (s *Session) agrees(ctx context.Context, timeout time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, min(timeout, agreementWait))
	defer cancel()
	return s.AwaitSchemaAgreement(ctx) == nil
}

// schemaVersions asks each node to which the session is connected for its own schema
// version. What a node knows about the other nodes is out of date too often.
func (s *Session) schemaVersions(ctx context.Context) ([]string, error) {
	l := s.link.Load()
	type result struct {
		version string
		err     error
	}
	results := make(chan result)
	var asked sync.WaitGroup
	for _, n := range l.nodes.All() {
		if n.Connections() > 0 {
			asked.Go(func() {
				version, err := schemaVersion(ctx, l.driver, n)
				results <- result{version, err}
			})
		}
	}
	go func() {
		asked.Wait()
		close(results)
	}()
	var versions []string
	var errs []error
	for r := range results {
		switch {
		case r.err != nil:
			errs = append(errs, r.err)
		case !slices.Contains(versions, r.version):
			versions = append(versions, r.version)
		}
	}
	if len(versions) == 0 && len(errs) == 0 {
		return nil, fmt.Errorf("%w: no node is connected", ErrUnavailable)
	}
	return versions, errors.Join(errs...)
}

func schemaVersion(ctx context.Context, d driver.Session, n *driver.Node) (string, error) {
	page, err := d.Do(ctx, &driver.Request{Statements: []driver.Statement{{CQL: "SELECT schema_version FROM system.local"}},
		Consistency: uint16(LocalOne), PageSize: 1}, &driver.Call{Only: n})
	if err != nil {
		return "", err
	}
	row, ok := page.Row()
	if !ok {
		return "", fmt.Errorf("%w: %s does not tell its schema's version", ErrFailed, n.Address)
	}
	return fmt.Sprint(row["schema_version"]), nil
}

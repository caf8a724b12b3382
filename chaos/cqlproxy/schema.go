package cqlproxy

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/backstay-go/backstay/chaos"
)

// Known returns the names that a plan's rules can use, with the keyspaces and tables that
// the first node to answer has. If no node answers, for example because the nodes require a
// password, keyspaces and tables stay nil, and the error says why.
func (p *Proxy) Known(ctx context.Context) (chaos.Known, error) {
	known := p.cfg.Known()
	var errs []error
	for _, n := range p.nodes {
		keyspaces, tables, err := p.schema(ctx, n.Upstream)
		if err == nil {
			known.Keyspaces, known.Tables = keyspaces, tables
			return known, nil
		}
		errs = append(errs, fmt.Errorf("cqlproxy: %s, %s: cannot read the schema: %w", p.cfg.Dependency, n.name(), err))
	}
	return known, errors.Join(errs...)
}

// schema asks a node for its keyspaces and tables.
func (p *Proxy) schema(ctx context.Context, upstream string) (keyspaces, tables []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.DialTimeout)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", upstream)
	if err != nil {
		return nil, nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })
	defer stop()
	ask := func(op byte, body []byte) (answer, error) {
		if _, err := conn.Write(newFrame(4, 0, 1, op, body)); err != nil {
			return answer{}, err
		}
		src := newSource(conn, p.cfg.MaxFrameBytes, true)
		b, err := src.next()
		if err != nil {
			return answer{}, err
		}
		return readAnswer(b.frames[0], b.frames[0].body())
	}
	options := appendString(appendString([]byte{0, 1}, "CQL_VERSION"), "3.0.0")
	a, err := ask(opStartup, options)
	if err != nil {
		return nil, nil, err
	}
	if a.frame.op() != opReady {
		return nil, nil, errors.New("the node wants a password, or refuses")
	}
	for _, table := range []string{"system_schema.tables", "system_virtual_schema.tables"} {
		text := "SELECT keyspace_name, table_name FROM " + table
		query := append(binary.BigEndian.AppendUint32(nil, uint32(len(text))), text...)
		a, err := ask(opQuery, append(query, 0, 1, 0)) // at ONE, without flags
		if err != nil {
			return nil, nil, err
		}
		rows, err := readRows(a)
		if err != nil {
			return nil, nil, err
		}
		for _, row := range rows.data {
			if len(row) == 2 {
				keyspaces, tables = append(keyspaces, string(row[0])), append(tables, string(row[1]))
			}
		}
	}
	for _, names := range []*[]string{&keyspaces, &tables} {
		slices.Sort(*names)
		*names = slices.Compact(*names)
	}
	return keyspaces, tables, nil
}

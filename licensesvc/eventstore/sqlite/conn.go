package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"

	sqlitelib "modernc.org/sqlite"
)

// connection is the writer's connection. It uses the driver directly: database/sql locks and
// copies for each statement, which a single goroutine on a single connection does not need.
type connection struct {
	conn       driver.Conn
	statements []*statement
}

func connect(ctx context.Context, dsn string) (*connection, error) {
	connector, err := sqlitelib.NewConnector(dsn)
	if err != nil {
		return nil, err
	}
	conn, err := connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &connection{conn: conn}, nil
}

// statement is one prepared statement. It is not safe for concurrent use.
type statement struct {
	stmt driver.Stmt
	args []driver.NamedValue // reused by each call
}

// prepare prepares a statement. The statement is closed together with the connection.
func (c *connection) prepare(ctx context.Context, sql string) (*statement, error) {
	stmt, err := c.conn.(driver.ConnPrepareContext).PrepareContext(ctx, sql)
	if err != nil {
		return nil, fmt.Errorf("prepare %q: %w", sql, err)
	}
	s := &statement{stmt: stmt}
	c.statements = append(c.statements, s)
	return s, nil
}

// script runs statements that are not worth preparing.
func (c *connection) script(ctx context.Context, sql string, args ...any) error {
	_, err := c.conn.(driver.ExecerContext).ExecContext(ctx, sql, named(nil, args))
	return err
}

// row returns the only row of a query that is not worth preparing.
func (c *connection) row(ctx context.Context, sql string) ([]driver.Value, error) {
	rows, err := c.conn.(driver.QueryerContext).QueryContext(ctx, sql, nil)
	if err != nil {
		return nil, err
	}
	var found []driver.Value
	err = eachRow(rows, func(row []driver.Value) error {
		found = append([]driver.Value(nil), row...)
		return nil
	})
	if err == nil && found == nil {
		err = fmt.Errorf("%s: no row", sql)
	}
	return found, err
}

func (c *connection) close() error {
	var errs []error
	for _, s := range c.statements {
		errs = append(errs, s.stmt.Close())
	}
	return errors.Join(append(errs, c.conn.Close())...)
}

// exec runs the statement and returns how many rows it changed.
func (s *statement) exec(ctx context.Context, args ...any) (changed int64, err error) {
	s.args = named(s.args, args)
	result, err := s.stmt.(driver.StmtExecContext).ExecContext(ctx, s.args)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// query calls each for every row. The row's values are valid only until each returns.
func (s *statement) query(ctx context.Context, each func(row []driver.Value) error, args ...any) error {
	s.args = named(s.args, args)
	rows, err := s.stmt.(driver.StmtQueryContext).QueryContext(ctx, s.args)
	if err != nil {
		return err
	}
	return eachRow(rows, each)
}

func eachRow(rows driver.Rows, each func(row []driver.Value) error) (err error) {
	defer func() { err = errors.Join(err, rows.Close()) }()
	row := make([]driver.Value, len(rows.Columns()))
	for {
		switch err := rows.Next(row); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if err := each(row); err != nil {
			return err
		}
	}
}

// named converts arguments to the form that the driver takes, in the given space.
func named(space []driver.NamedValue, args []any) []driver.NamedValue {
	space = space[:0]
	for i, a := range args {
		if n, ok := a.(int); ok {
			a = int64(n)
		}
		space = append(space, driver.NamedValue{Ordinal: i + 1, Value: a})
	}
	return space
}

package sqlite

import (
	"context"
	"database/sql"
	"sync"
)

// prepared keeps the statements of reads, so that SQLite parses each of them once per connection.
// Parsing takes longer than reading a few events. It is safe for concurrent use; closing the
// database closes the statements.
type prepared struct {
	db *sql.DB

	mu    sync.Mutex
	stmts map[string]*sql.Stmt
}

func (p *prepared) stmt(ctx context.Context, text string) (*sql.Stmt, error) {
	p.mu.Lock()
	s, ok := p.stmts[text]
	p.mu.Unlock()
	if ok {
		return s, nil
	}
	s, err := p.db.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if other, ok := p.stmts[text]; ok { // Prepared at the same time.
		return other, s.Close()
	}
	if p.stmts == nil {
		p.stmts = map[string]*sql.Stmt{}
	}
	p.stmts[text] = s
	return s, nil
}

// rows runs a query. The number of different texts must be bounded.
func (p *prepared) rows(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	s, err := p.stmt(ctx, text)
	if err != nil {
		return nil, err
	}
	return s.QueryContext(ctx, args...)
}

// row runs a query for one row and reads it.
func (p *prepared) row(ctx context.Context, text string, args []any, to ...any) error {
	s, err := p.stmt(ctx, text)
	if err != nil {
		return err
	}
	return s.QueryRowContext(ctx, args...).Scan(to...)
}

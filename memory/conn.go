package memory

import (
	"context"
	"database/sql"
	"errors"
	"sync"
)

// conn is the one connection that writes, with its prepared statements. It is
// used by the writer goroutine alone. Its statements do not take the caller's
// context: a transaction that has begun is finished.
type conn struct {
	c     *sql.Conn
	stmts map[string]*sql.Stmt
}

func (c *conn) stmt(query string) (*sql.Stmt, error) {
	if st, ok := c.stmts[query]; ok {
		return st, nil
	}
	st, err := c.c.PrepareContext(context.Background(), query)
	if err == nil {
		c.stmts[query] = st
	}
	return st, err
}

func (c *conn) run(query string, args []any) (sql.Result, error) {
	st, err := c.stmt(query)
	if err != nil {
		return nil, err
	}
	return st.ExecContext(context.Background(), args...)
}

// exec runs a statement and returns how many rows it changed.
func (c *conn) exec(query string, args ...any) (int64, error) {
	res, err := c.run(query, args)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// insert runs an INSERT and returns the new row's number.
func (c *conn) insert(query string, args ...any) (int64, error) {
	res, err := c.run(query, args)
	if err != nil {
		return 0, err
	}
	return res.LastInsertId()
}

// one scans the first row of a query; found is false when there is none.
func (c *conn) one(query string, args []any, dest ...any) (found bool, err error) {
	st, err := c.stmt(query)
	if err != nil {
		return false, err
	}
	err = st.QueryRowContext(context.Background(), args...).Scan(dest...)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// query makes conn a querier.
func (c *conn) query(query string, args ...any) (*sql.Rows, error) {
	st, err := c.stmt(query)
	if err != nil {
		return nil, err
	}
	return st.QueryContext(context.Background(), args...)
}

// readStatements keeps the statements of the reading pool prepared. Texts vary
// with filters and with the lists that a principal is not on; when there are
// too many, all are dropped and come again as they are needed.
type readStatements struct {
	db *sql.DB
	mu sync.RWMutex
	m  map[string]*sql.Stmt // nil: on its way
}

const maxReadStatements = 256

// get returns a statement for tx. One that is not prepared yet is prepared for
// tx alone, and for those who come later in the background: that takes another
// connection of the pool, and whoever waits for one while holding one can wait
// forever.
func (r *readStatements) get(ctx context.Context, tx *sql.Tx, query string) (*sql.Stmt, error) {
	r.mu.RLock()
	st, known := r.m[query]
	if st != nil {
		defer r.mu.RUnlock() // before, it could be closed
		return tx.StmtContext(ctx, st), nil
	}
	r.mu.RUnlock()
	if !known {
		r.want(query)
	}
	return tx.PrepareContext(ctx, query)
}

// want has a statement prepared, unless that is under way.
func (r *readStatements) want(query string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.m[query]; known {
		return
	}
	if len(r.m) >= maxReadStatements {
		r.drop()
	}
	r.m[query] = nil
	go r.prepare(query)
}

func (r *readStatements) prepare(query string) {
	st, err := r.db.PrepareContext(context.Background(), query) // ends with the pool
	r.mu.Lock()
	defer r.mu.Unlock()
	before, wanted := r.m[query]
	switch {
	case err != nil:
		delete(r.m, query)
	case !wanted || before != nil: // all were dropped meanwhile
		_ = st.Close()
	default:
		r.m[query] = st
	}
}

func (r *readStatements) drop() {
	for _, st := range r.m {
		if st != nil {
			_ = st.Close() // waits for nobody: rows under way keep what they need
		}
	}
	r.m = map[string]*sql.Stmt{}
}

// querier is what reads need: the writing connection, or a snapshot.
type querier interface {
	query(query string, args ...any) (*sql.Rows, error)
	one(query string, args []any, dest ...any) (found bool, err error)
}

// collect scans every row of a query with scan and closes it.
func collect[T any](q querier, scan func(*sql.Rows) (T, error), query string, args ...any) ([]T, error) {
	rows, err := q.query(query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

// single scans a row of one column.
func single[T any](rows *sql.Rows) (v T, err error) {
	err = rows.Scan(&v)
	return v, err
}

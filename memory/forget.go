package memory

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
)

func (c Forget) plan(t *txn) (Result, error) {
	r, err := t.visible("forget", c.ID)
	if err != nil {
		return Result{}, err
	}
	if err := t.writable("forget", r); err != nil {
		return Result{}, err
	}
	yes := true
	_, err = t.do(opForget, r.id, uuid.Nil, fields{Forgotten: &yes})
	return Result{ID: r.id.String()}, err
}

func (c Restore) plan(t *txn) (Result, error) {
	r, err := t.readable("restore", c.ID)
	if err != nil {
		return Result{}, err
	}
	if err := t.writable("restore", r); err != nil {
		return Result{}, err
	}
	f := &fields{}
	if c.Version != 0 {
		if f, err = t.versionFields(r, c.Version); err != nil {
			return Result{}, err
		}
		if f.Context != nil {
			if err := t.mayWrite("restore", Context, *f.Context); err != nil {
				return Result{}, err
			}
		}
	}
	if r.forgotten {
		f.Forgotten = new(bool)
	}
	if r.expiresAt > 0 && r.expiresAt <= t.now { // or it would be gone again at once
		f.ExpiresAt = new(int64)
	}
	if _, err := t.do(opRestore, r.id, uuid.Nil, f); err != nil {
		return Result{}, err
	}
	if r, err = t.load(r.id); err != nil {
		return Result{}, err
	}
	e, err := t.engram(r)
	return Result{Engram: e, ID: r.id.String()}, err
}

func (c Purge) plan(t *txn) (Result, error) {
	if !t.who.Can(Admin) {
		return Result{}, denied("purge", "missing right admin", "forget it instead (it can be restored), or ask an admin to purge it")
	}
	r, err := t.readable("purge", c.ID)
	if err != nil {
		return Result{}, err
	}
	if err := t.writable("purge", r); err != nil {
		return Result{}, err
	}
	_, err = t.do(opPurge, r.id, uuid.Nil, struct{}{})
	return Result{ID: r.id.String()}, err
}

// erase removes what a purge leaves behind outside the tables: words in old
// index segments, and pages in the write-ahead log. secure_delete has zeroed
// the rows themselves.
func (s *Store) erase() {
	if _, err := s.conn.exec(`INSERT INTO words (words) VALUES ('optimize')`); err != nil {
		s.opt.Log("purge: full text not compacted", "err", err)
	}
	// Readers of an older snapshot hold the log back; they are short.
	for range 50 {
		var busy, log, done int
		if _, err := s.conn.one(`PRAGMA wal_checkpoint(TRUNCATE)`, nil, &busy, &log, &done); err == nil && busy == 0 {
			return
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-s.stop:
			return
		}
	}
	s.opt.Log("purge: the write-ahead log could not be truncated yet; it will be at the next checkpoint")
}

// Select returns the ids of the engrams that f selects, oldest first, at most
// limit of them (MaxBatch if 0).
func (s *Store) Select(ctx context.Context, f Filter, limit int) (ids []string, err error) {
	if limit == 0 {
		limit = MaxBatch
	}
	if limit < 0 || limit > MaxBatch {
		return nil, invalid("select", fmt.Sprintf("limit is %d", limit), fmt.Sprintf("it goes from 1 to %d", MaxBatch))
	}
	err = s.view(ctx, "select", func(v *view) error {
		cond, args, err := f.sql(v, "select")
		if err != nil {
			return err
		}
		found, err := collect(v, single[[]byte], `SELECT e.id FROM engram e WHERE `+v.where("e")+cond+` ORDER BY e.ord, e.id LIMIT ?`, append(args, limit)...)
		ids = idStrings(found)
		return err
	})
	return ids, err
}

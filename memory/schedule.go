package memory

import (
	"context"
	"database/sql"
	"time"
)

// A Run is the next run of an entry in an approved agent's schedule.
type Run struct {
	Agent    string
	Place    int // of the entry in the manifest
	Due      time.Time
	Failures int       // in a row, of this run
	Last     time.Time // that succeeded; zero if none did
}

// Schedule lists the runs to come, the next one first. The caller needs Read.
func (s *Store) Schedule(ctx context.Context) (runs []Run, err error) {
	err = s.view(ctx, "list schedules", func(v *view) error {
		runs, err = collect(v, func(r *sql.Rows) (n Run, err error) {
			var due, last int64
			err = r.Scan(&n.Agent, &n.Place, &due, &n.Failures, &last)
			n.Due, n.Last = instant(due), instant(last)
			return n, err
		}, `SELECT agent, place, due, failures, ran FROM schedule ORDER BY due, agent, place`)
		return err
	})
	return runs, err
}

// ClaimRun takes a run for the caller until a time, and reports false if it is
// another's, or not what the schedule says any more: of any number of processes
// that claim a run one gets it, unless its time is over before it said what
// became of it. now is the caller's clock. The caller needs Read.
func (s *Store) ClaimRun(ctx context.Context, r Run, now, until time.Time) (mine bool, err error) {
	who, err := s.caller(ctx, "claim run", Read)
	if err != nil {
		return false, err
	}
	err = s.write(ctx, "claim run", who, func(t *txn) error {
		n, err := t.c.exec(`UPDATE schedule SET claimed = ? WHERE agent = ? AND place = ? AND due = ? AND claimed <= ?`,
			until.UnixMilli(), r.Agent, r.Place, r.Due.UnixMilli(), now.UnixMilli())
		mine = n == 1
		return err
	})
	return mine && err == nil, err
}

// PutOffRun gives up a claimed run: it is due again at the given time, having
// failed so many times in a row. The caller needs Read.
func (s *Store) PutOffRun(ctx context.Context, r Run, due time.Time, failures int) error {
	who, err := s.caller(ctx, "put off run", Read)
	if err != nil {
		return err
	}
	return s.write(ctx, "put off run", who, func(t *txn) error {
		_, err := t.c.exec(`UPDATE schedule SET due = ?, claimed = 0, failures = ? WHERE agent = ? AND place = ? AND due = ?`,
			due.UnixMilli(), failures, r.Agent, r.Place, r.Due.UnixMilli())
		return err
	})
}

// EndRun notes that a run was made and when the next one is due. Among the
// changes of a [Stage] it makes them happen once: it is an ErrConflict if the
// run is not due any more. It needs Read alone.
type EndRun struct {
	Run
	Next time.Time
	At   time.Time
}

func (EndRun) verb() string { return "end run" }

func (c EndRun) plan(t *txn) (Result, error) {
	n, err := t.c.exec(`UPDATE schedule SET due = ?, claimed = 0, failures = 0, ran = ? WHERE agent = ? AND place = ? AND due = ?`,
		c.Next.UnixMilli(), c.At.UnixMilli(), c.Agent, c.Place, c.Due.UnixMilli())
	if err == nil && n == 0 {
		err = &Error{Op: c.verb(), Kind: ErrConflict, Ref: c.Agent, Hint: "it was made by another process, or its approval was taken back: nothing is to be done"}
	}
	return Result{}, err
}

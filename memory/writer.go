package memory

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// maxGroup is how many mutations share one commit at most.
const maxGroup = 256

// write is one mutation on its way through the writer.
type write struct {
	op    string
	who   Principal
	run   func(*txn) error
	state atomic.Int32 // see below
	err   error
	done  chan struct{}
}

const (
	writeQueued    = iota
	writeTaken     // by the writer: it will be answered
	writeAbandoned // by the caller: it will not run
)

// write queues run for the writer and waits until its effect is durable. When
// ctx ends first, run has either not begun, and never will, or is waited for:
// a caller is never told that a change failed which was made.
func (s *Store) write(ctx context.Context, op string, who Principal, run func(*txn) error) error {
	if s.opt.ReadOnly {
		return denied(op, "read-only", "this server was started with --read-only; nothing can be changed through it")
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	w := &write{op: op, who: who, run: run, done: make(chan struct{})}
	select {
	case s.writes <- w:
	case <-ctx.Done():
		return ctx.Err()
	case <-s.stop:
		return closedError(op)
	}
	for {
		select {
		case <-w.done:
			return w.err
		case <-ctx.Done():
			if w.state.CompareAndSwap(writeQueued, writeAbandoned) {
				return ctx.Err()
			}
			<-w.done
			return w.err
		case <-s.stop:
			// The writer finishes what it has taken, and takes no more.
			if w.state.CompareAndSwap(writeQueued, writeAbandoned) {
				return closedError(op)
			}
			<-w.done
			return w.err
		}
	}
}

// writer is the only goroutine that changes the file. It takes what has queued
// up while the last commit was under way and commits it together, each
// mutation in a savepoint of its own.
func (s *Store) writer() {
	defer s.workers.Done()
	for {
		select {
		case w := <-s.writes:
			s.commit(s.take(w))
		case <-s.stop:
			return
		}
	}
}

// take claims w and what else is waiting.
func (s *Store) take(w *write) (group []*write) {
	for {
		if w.state.CompareAndSwap(writeQueued, writeTaken) {
			group = append(group, w)
		}
		if len(group) == maxGroup {
			return group
		}
		select {
		case w = <-s.writes:
		default:
			return group
		}
	}
}

// commit runs a group in one transaction and answers each of its writes.
func (s *Store) commit(group []*write) {
	if len(group) == 0 {
		return
	}
	t := &txn{s: s, c: s.conn}
	err := t.begin()
	if err == nil {
		made := false
		for _, w := range group {
			if err = t.runOne(w, len(group) > 1); err != nil {
				break
			}
			made = made || w.err == nil
		}
		switch {
		case err == nil && made:
			err = t.end()
		case err == nil: // all of them only wanted to know
			_, err = t.c.exec(`ROLLBACK`)
		}
		if err != nil {
			_, _ = s.conn.exec(`ROLLBACK`)
		}
	}
	if err == nil && t.purged {
		s.erase() // before the purge is acknowledged
	}
	for _, w := range group {
		if err != nil {
			w.err = storage(w.op, err)
		}
		if errors.Is(w.err, errUndo) {
			w.err = nil
		}
		close(w.done)
	}
	if err == nil && t.wrote {
		s.feed.wake()
	}
}

// txn is the transaction of one group of mutations, and the state of the one
// that is running.
type txn struct {
	s       *Store
	c       *conn
	who     Principal
	now     int64 // ms
	origin  string
	hlc     HLC
	oseq    int64
	sums    sums // what the space row will say
	sight   *sight
	wrote   bool // an op was written
	purged  bool // something was purged
	foreign bool // ops come from elsewhere and may be known

	trial    bool // it will be undone: what only searches need is left out
	recalled bool // the newest mutation was made before, and was not made again
}

// sums are the counters of the space.
type sums struct{ engrams, forgotten, links, bytes, agents int64 }

func (t *txn) time() time.Time { return time.UnixMilli(t.now).UTC() }

func (t *txn) begin() error {
	if err := retryBusy(context.Background(), func() error { _, err := t.c.exec(`BEGIN IMMEDIATE`); return err }); err != nil {
		return err
	}
	t.now = time.Now().UnixMilli()
	_, err := t.c.one(`SELECT origin, hlc, oseq, engrams, forgotten, links, bytes, agents FROM space`, nil,
		&t.origin, &t.hlc, &t.oseq, &t.sums.engrams, &t.sums.forgotten, &t.sums.links, &t.sums.bytes, &t.sums.agents)
	if err != nil {
		_, _ = t.c.exec(`ROLLBACK`)
	}
	return err
}

func (t *txn) end() error {
	_, err := t.c.exec(`UPDATE space SET hlc = ?, oseq = ?, engrams = ?, forgotten = ?, links = ?, bytes = ?, agents = ?`,
		int64(t.hlc), t.oseq, t.sums.engrams, t.sums.forgotten, t.sums.links, t.sums.bytes, t.sums.agents)
	if err == nil {
		_, err = t.c.exec(`COMMIT`)
	}
	return err
}

// runOne runs one write. A failure of the mutation is its own; an error that
// is returned ends the whole group.
func (t *txn) runOne(w *write, shared bool) error {
	saved := *t
	t.who, t.sight, t.foreign, t.trial = w.who, nil, false, false
	if shared {
		if _, err := t.c.exec(`SAVEPOINT one`); err != nil {
			return err
		}
	}
	w.err = t.guard(w)
	if w.err == nil {
		if shared {
			_, err := t.c.exec(`RELEASE one`)
			return err
		}
		return nil
	}
	if !shared {
		return w.err
	}
	*t = saved
	w.err = storage(w.op, w.err)
	if _, err := t.c.exec(`ROLLBACK TO one`); err != nil {
		return err
	}
	_, err := t.c.exec(`RELEASE one`)
	return err
}

// guard runs w, and turns a panic into its failure: the others in the group,
// and those to come, are not to suffer.
func (t *txn) guard(w *write) (err error) {
	defer func() {
		if p := recover(); p != nil {
			t.s.opt.Log("panic in a write", "op", w.op, "panic", fmt.Sprint(p))
			err = fmt.Errorf("%s: internal error", w.op)
		}
	}()
	return w.run(t)
}

// Do makes the changes of m, all or none, and returns one result a change;
// under a [Stage] it stages them. It returns once the changes are as durable as the store was opened for.
// Mutations that are made concurrently share a commit.
func (s *Store) Do(ctx context.Context, m Mutation) ([]Result, error) {
	if len(m.Changes) == 0 {
		return nil, invalid("change", "nothing to do", "give at least one item")
	}
	op := m.Changes[0].verb()
	if len(m.Changes) > MaxBatch {
		return nil, invalid(op, fmt.Sprintf("%d items, the most is %d", len(m.Changes), MaxBatch), "split the call into several")
	}
	need := Write
	if len(m.Changes) == 1 {
		switch m.Changes[0].(type) {
		case SetGlobals, EndRun: // no part of what is remembered
			need = Read
		}
	}
	who, err := s.caller(ctx, op, need)
	if err != nil {
		return nil, err
	}
	req, err := m.request(op)
	if err != nil {
		return nil, err
	}
	if ok, err := s.inquired(ctx, who, req); ok {
		return nil, err
	}
	req.stated(ctx)
	if st := s.stageOf(ctx); st != nil {
		return st.do(ctx, m, who, req)
	}
	var out []Result
	err = s.write(ctx, op, who, func(t *txn) error {
		out, err = t.mutate(m, req)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// request is a parsed request id and the digest of what it asks for.
type request struct {
	id     uuid.UUID
	digest [32]byte
}

func (m Mutation) request(op string) (*request, error) {
	if m.RequestID == "" {
		return nil, nil
	}
	id, err := uuid.Parse(m.RequestID)
	if err != nil {
		return nil, invalid(op, "request_id is not a UUID", "e.g. 0197a3c0-5b1e-7c3a-9d2f-1a2b3c4d5e6f; make a new one for each new request")
	}
	h := sha256.New()
	for _, c := range m.Changes {
		b, err := json.Marshal(c)
		if err != nil {
			return nil, invalid(op, "unencodable argument", "check the arguments")
		}
		fmt.Fprintf(h, "%T %d %s\n", c, len(b), b)
	}
	return &request{id, [32]byte(h.Sum(nil))}, nil
}

func (t *txn) mutate(m Mutation, req *request) ([]Result, error) {
	t.recalled = false
	if req != nil {
		if out, ok, err := t.recall(m.Changes[0].verb(), req); err != nil || ok {
			t.recalled = ok
			return out, err
		}
	}
	out := make([]Result, len(m.Changes))
	for i, c := range m.Changes {
		r, err := c.plan(t)
		if err != nil {
			return nil, atItem(err, i, len(m.Changes))
		}
		out[i] = r
	}
	if req != nil {
		if err := t.remember(req, out); err != nil {
			return nil, err
		}
	}
	return out, t.checkQuota(m.Changes[0].verb())
}

// atItem says which item of a batch an error is about.
func atItem(err error, i, n int) error {
	var e *Error
	if n == 1 || !errors.As(err, &e) {
		return err
	}
	at := *e
	at.Ref = fmt.Sprintf("item %d: %s", i, e.Ref)
	return &at
}

// requestTTL is how long first results are kept.
const requestTTL = 7 * 24 * time.Hour

// recall returns the first results of a repeated request.
func (t *txn) recall(op string, req *request) ([]Result, bool, error) {
	var digest []byte
	var text string
	ok, err := t.c.one(`SELECT digest, result FROM request WHERE principal = ? AND id = ?`, []any{t.who.Name, req.id[:]}, &digest, &text)
	if err != nil || !ok {
		return nil, false, err
	}
	if [32]byte(digest) != req.digest {
		return nil, false, &Error{Op: op, Kind: ErrConflict, Ref: "request_id was used for another request", Hint: "make a new UUID for each new request"}
	}
	var out []Result
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		return nil, false, err
	}
	for i := range out {
		if e := out[i].Engram; e != nil {
			if err := t.refill(e); err != nil {
				return nil, false, err
			}
		}
	}
	return out, true, nil
}

// refill completes a kept result from the present state. What was kept is the
// id and what the first answer said of it, never content: a purge must not
// have to look for it here.
func (t *txn) refill(e *Engram) error {
	kept := *e
	now, err := t.visible("", e.ID)
	if err != nil {
		return nil // purged, or no longer readable: the id is all there is to say
	}
	full, err := t.engram(now)
	if err != nil {
		return err
	}
	*e = *full
	e.Version, e.CreatedAt, e.UpdatedAt = kept.Version, kept.CreatedAt, kept.UpdatedAt
	return nil
}

func (t *txn) remember(req *request, out []Result) error {
	kept := make([]Result, len(out))
	for i, r := range out {
		kept[i] = r
		if r.Engram != nil {
			kept[i].Engram = &Engram{ID: r.Engram.ID, Version: r.Engram.Version, CreatedAt: r.Engram.CreatedAt, UpdatedAt: r.Engram.UpdatedAt}
		}
		if r.Link != nil {
			l := *r.Link
			l.Metadata = nil
			kept[i].Link = &l
		}
	}
	b, err := json.Marshal(kept)
	if err != nil {
		return err
	}
	if _, err := t.c.exec(`DELETE FROM request WHERE at < ?`, t.now-requestTTL.Milliseconds()); err != nil {
		return err
	}
	_, err = t.c.exec(`INSERT INTO request (principal, id, digest, result, at) VALUES (?,?,?,?,?)`, t.who.Name, req.id[:], req.digest[:], string(b), t.now)
	return err
}

func (t *txn) checkQuota(op string) error {
	q := t.s.opt.Quota
	over := func(what string, n, most int64) error {
		return &Error{Op: op, Kind: ErrQuota, Ref: fmt.Sprintf("%d %s, the most is %d", n, what, most),
			Hint: "purge what is no longer needed (memory_maintain, or engram_forget with purge), or raise the quota"}
	}
	switch {
	case op != "create" && op != "update":
		return nil
	case q.Engrams > 0 && t.sums.engrams > q.Engrams:
		return over("engrams", t.sums.engrams, q.Engrams)
	case q.Bytes > 0 && t.sums.bytes > q.Bytes:
		return over("bytes", t.sums.bytes, q.Bytes)
	}
	return nil
}

package memory

import (
	"context"
	"database/sql"
	"encoding/json"
	"sync"
	"time"

	"github.com/google/uuid"
)

// feed tells those who wait that something was committed by this process.
type feed struct {
	mu   sync.Mutex
	subs []chan struct{}
}

// subscribe returns a channel that receives after each commit; commits that
// happen while nobody looks are one.
func (f *feed) subscribe() <-chan struct{} {
	c := make(chan struct{}, 1)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.subs = append(f.subs, c)
	return c
}

func (f *feed) unsubscribe(c <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, s := range f.subs {
		if s == c {
			f.subs = append(f.subs[:i], f.subs[i+1:]...)
			return
		}
	}
}

func (f *feed) wake() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.subs {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// feedPoll is how often a tail looks for the commits of other processes.
const feedPoll = 100 * time.Millisecond

// Entry is an op at its place in this file's log.
type Entry struct {
	Seq int64 // local order of arrival
	Op
}

// Ops lists the ops of this file after the local position after, in the order
// in which they arrived; at most limit, MaxBatch if 0. It is the change feed
// that replication and watchers read. The caller needs Owner.
func (s *Store) Ops(ctx context.Context, after int64, limit int) (page []Entry, err error) {
	if limit <= 0 || limit > MaxBatch {
		limit = MaxBatch
	}
	err = s.viewAs(ctx, "ops", Owner, func(v *view) error {
		page, err = collect(v, scanOp, `SELECT seq, id, origin, oseq, hlc, principal, kind, target, other, body FROM op WHERE seq > ? ORDER BY seq LIMIT ?`, after, limit)
		return err
	})
	return page, err
}

func scanOp(r *sql.Rows) (p Entry, err error) {
	var id, target, other []byte
	var body string
	err = r.Scan(&p.Seq, &id, &p.Origin, &p.OSeq, &p.HLC, &p.Principal, &p.Kind, &target, &other, &body)
	if err != nil {
		return p, err
	}
	p.ID = uuid.UUID(id)
	if target != nil {
		p.Target = uuid.UUID(target)
	}
	if other != nil {
		p.Other = uuid.UUID(other)
	}
	if body != "" {
		p.Body = json.RawMessage(body)
	}
	return p, nil
}

// Watch calls f after commits by this or any other process, until ctx ends or
// the store closes. Commits in quick succession are one call. It starts with
// one call.
func (s *Store) Watch(ctx context.Context, f func()) {
	wake := s.feed.subscribe()
	defer s.feed.unsubscribe(wake)
	tick := time.NewTicker(feedPoll)
	defer tick.Stop()
	var seen int64 = -1
	for {
		var now int64
		err := s.snapshot(ctx, func(v *view) error {
			_, err := v.one(`SELECT ifnull(max(seq), 0) + (SELECT agents FROM space) FROM op`, nil, &now)
			return err
		})
		if err == nil && now != seen {
			seen = now
			f()
		}
		select {
		case <-wake:
		case <-tick.C:
		case <-ctx.Done():
			return
		case <-s.stop:
			return
		}
	}
}

// snapshot is a view for the store's own work, outside any principal's rights.
func (s *Store) snapshot(ctx context.Context, f func(*view) error) error {
	p := Principal{Space: s.space, Rights: Owner}
	return s.viewAs(WithPrincipal(ctx, p), "read", Read, f)
}

// background is a context that ends when the store closes.
func (s *Store) background() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		select {
		case <-s.stop:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

package memory

import (
	"sync"
	"time"

	"github.com/google/uuid"
)

// accessLog counts reads in memory until they are flushed; a crash loses at
// most a minute of counts.
type accessLog struct {
	mu     sync.Mutex
	counts map[int64]int64 // by row
	last   map[int64]int64 // ms
}

const accessFlush = time.Minute

// maxPendingAccess bounds the memory of the log; further engrams wait for the flush.
const maxPendingAccess = 100_000

func (a *accessLog) add(rows []int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.counts == nil {
		a.counts, a.last = map[int64]int64{}, map[int64]int64{}
	}
	now := time.Now().UnixMilli()
	for _, row := range rows {
		if _, ok := a.counts[row]; ok || len(a.counts) < maxPendingAccess {
			a.counts[row]++
			a.last[row] = now
		}
	}
}

func (a *accessLog) take() (counts, last map[int64]int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	counts, last = a.counts, a.last
	a.counts, a.last = nil, nil
	return counts, last
}

// flushLoop writes the counts once a minute.
func (s *Store) flushLoop() {
	defer s.workers.Done()
	tick := time.NewTicker(accessFlush)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.flushAccess()
		case <-s.stop:
			return
		}
	}
}

// flushAccess turns the pending counts into ops, cumulative per origin.
func (s *Store) flushAccess() {
	counts, last := s.reads.take()
	if len(counts) == 0 || s.opt.ReadOnly {
		return
	}
	ctx, cancel := s.background()
	defer cancel()
	err := s.write(ctx, "count", Principal{Space: s.space}, func(t *txn) error {
		for row, n := range counts {
			var id []byte
			var before int64
			ok, err := t.c.one(`SELECT e.id, ifnull(a.count, 0) FROM engram e LEFT JOIN access a ON a.engram = e.row AND a.origin = ? WHERE e.row = ? AND e.purged = 0`,
				[]any{t.origin, row}, &id, &before)
			if err != nil {
				return err
			}
			if !ok {
				continue
			}
			if _, err := t.do(opCount, uuid.UUID(id), uuid.Nil, countBody{Count: before + n, Last: last[row]}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		s.opt.Log("access counts not written", "err", err)
	}
}

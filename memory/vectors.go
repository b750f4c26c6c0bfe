package memory

import (
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// vectors keeps the index in step with the table of embeddings. The table is
// the truth; the index is loaded from it in the background, and caught up
// before each search with what this and other processes have written since.
type vectors struct {
	index  Index        // nil without an embedder
	model  atomic.Int64 // row of our embedder's model; 0 until it is adopted
	loaded chan struct{}
	fault  atomic.Pointer[string] // why the last embedding failed; nil when it did not

	mu  sync.Mutex // held while the index is brought up to date
	seq int64      // last embedding.seq in the index
}

const (
	embedBatch      = 64   // texts in one request to an embedder elsewhere
	localEmbedBatch = 1000 // texts in one transaction of a local one
	loadBatch       = 2000
)

// initVectors prepares the index; loading it is the background's work.
func (s *Store) initVectors() error {
	s.vectors.loaded = make(chan struct{})
	if s.opt.Embedder == nil || s.opt.Index == nil {
		close(s.vectors.loaded)
		return nil
	}
	var err error
	s.vectors.index, err = s.opt.Index(s.opt.Embedder.Dim())
	return err
}

// adoptModel makes the embedder's model the one in use. A new model starts
// with every engram waiting for its vector.
func (s *Store) adoptModel(ctx context.Context) error {
	name, dim := s.opt.Embedder.ID(), s.opt.Embedder.Dim()
	newest := func(q querier) (row int64, known string, err error) {
		_, err = q.one(`SELECT row, name FROM model ORDER BY row DESC LIMIT 1`, nil, &row, &known)
		return row, known, err
	}
	var row int64
	var known string
	err := s.snapshot(ctx, func(v *view) (err error) { row, known, err = newest(v); return err })
	if err != nil || known == name {
		s.vectors.model.Store(row)
		return err
	}
	if s.opt.ReadOnly || s.opt.KeepModel && known != "" {
		return nil
	}
	return s.write(ctx, "embed", Principal{}, func(t *txn) error {
		if row, known, err = newest(t.c); err != nil {
			return err
		}
		if known != name {
			ready := known == "" && t.sums.engrams == 0
			if row, err = t.c.insert(`INSERT INTO model (name, dim, ready) VALUES (?,?,?)`, name, dim, ready); err != nil {
				return err
			}
			if _, err := t.c.exec(`INSERT INTO unembedded (engram) SELECT row FROM engram WHERE created = 1 AND purged = 0 AND forgotten = 0 ON CONFLICT DO NOTHING`); err != nil {
				return err
			}
		}
		s.vectors.model.Store(row)
		return nil
	})
}

// embedLoop is the background worker: it loads the index, then gives vectors
// to engrams that wait for one. Failures are retried with growing pauses;
// nothing is lost meanwhile, and text search does not wait.
func (s *Store) embedLoop() {
	defer s.workers.Done()
	ctx, cancel := s.background()
	defer cancel()
	if err := s.adoptModel(ctx); err != nil && ctx.Err() == nil {
		s.opt.Log("embedding model not adopted", "err", err)
	}
	if s.opt.Local {
		s.embedLeftovers(ctx)
	}
	if err := s.syncIndex(ctx); err != nil && ctx.Err() == nil {
		s.opt.Log("vectors not loaded", "err", err)
	}
	close(s.vectors.loaded)
	wake := s.feed.subscribe()
	pause := time.Second
	for ctx.Err() == nil {
		n, err := s.embedSome(ctx)
		s.noteFault(err)
		switch {
		case err != nil:
			if ctx.Err() == nil {
				s.opt.Log("embedding failed; will be tried again", "err", err, "in", pause)
			}
			sleep(ctx, pause)
			pause = min(2*pause, time.Minute)
		case n == 0:
			pause = time.Second
			select {
			case <-wake:
			case <-time.After(30 * time.Second): // another process may have left work
			case <-ctx.Done():
			}
		}
	}
}

// embedLeftovers embeds a short queue before the index is loaded, so that what
// the last process wrote just before it ended is found at once.
func (s *Store) embedLeftovers(ctx context.Context) {
	for range 2 {
		if n, err := s.embedSome(ctx); n == 0 || err != nil {
			return
		}
	}
}

func (s *Store) noteFault(err error) {
	if err == nil {
		s.vectors.fault.Store(nil)
		return
	}
	text := err.Error()
	s.vectors.fault.Store(&text)
}

// embedSome embeds a batch of waiting engrams and returns how many.
func (s *Store) embedSome(ctx context.Context) (int, error) {
	model := s.vectors.model.Load()
	if model == 0 || s.opt.ReadOnly {
		return 0, nil
	}
	type item struct {
		row             int64
		source, content string
	}
	batch := embedBatch
	if s.opt.Local {
		batch = localEmbedBatch
	}
	var items []item
	ready := true
	err := s.snapshot(ctx, func(v *view) (err error) {
		items, err = collect(v, func(r *sql.Rows) (i item, err error) { err = r.Scan(&i.row, &i.source, &i.content); return },
			`SELECT e.row, e.source, e.content FROM unembedded u JOIN engram e ON e.row = u.engram ORDER BY u.engram LIMIT ?`, batch)
		if err == nil {
			_, err = v.one(`SELECT ready FROM model WHERE row = ?`, []any{model}, &ready)
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	if len(items) == 0 {
		if !ready {
			err = s.finishModel(ctx)
		}
		return 0, err
	}
	texts := make([]string, len(items))
	for i, it := range items {
		texts[i] = embedText(it.source, it.content)
	}
	vecs, err := s.opt.Embedder.Embed(ctx, texts)
	if err != nil {
		return 0, err
	}
	return len(items), s.write(ctx, "embed", Principal{}, func(t *txn) error {
		for i, it := range items {
			var source, content string
			if ok, err := t.c.one(`SELECT e.source, e.content FROM unembedded u JOIN engram e ON e.row = u.engram WHERE u.engram = ?`, []any{it.row}, &source, &content); err != nil {
				return err
			} else if !ok || source != it.source || content != it.content {
				continue // done by another process, or changed since: its turn comes again
			}
			if err := t.putEmbedding(it.row, model, texts[i], vecs[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// finishModel switches search to a model that every engram has a vector of,
// and drops the older ones.
func (s *Store) finishModel(ctx context.Context) error {
	return s.write(ctx, "embed", Principal{}, func(t *txn) error {
		var left int
		if _, err := t.c.one(`SELECT count(*) FROM unembedded`, nil, &left); err != nil || left > 0 {
			return err
		}
		for _, q := range []string{
			`UPDATE model SET ready = 1 WHERE row = ?`,
			`DELETE FROM embedding WHERE model < ?`,
			`DELETE FROM model WHERE row < ?`,
		} {
			if _, err := t.c.exec(q, s.vectors.model.Load()); err != nil {
				return err
			}
		}
		return nil
	})
}

// syncIndex applies what the table of embeddings has gained since the last time.
func (s *Store) syncIndex(ctx context.Context) error {
	x := &s.vectors
	model := x.model.Load()
	if x.index == nil || model == 0 {
		return nil
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for {
		var put, gone []int64
		var vecs [][]float32
		n, last := 0, x.seq
		err := s.snapshot(ctx, func(v *view) error {
			rows, err := v.query(`SELECT seq, engram, live, vec FROM embedding WHERE seq > ? AND model = ? ORDER BY seq LIMIT ?`, x.seq, model, loadBatch)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				var engram int64
				var live bool
				var raw sql.RawBytes
				if err := rows.Scan(&last, &engram, &live, &raw); err != nil {
					return err
				}
				n++
				if live && len(raw) > 0 {
					put, vecs = append(put, engram), append(vecs, unpackVector(raw))
				} else {
					gone = append(gone, engram)
				}
			}
			return rows.Err()
		})
		if err != nil || n == 0 {
			return err
		}
		if err := x.index.Delete(ctx, gone); err != nil {
			return err
		}
		if err := x.index.Put(ctx, put, vecs); err != nil {
			return err
		}
		x.seq = last
		if n < loadBatch {
			return nil
		}
	}
}

// nearest returns the k engrams nearest to text in meaning, as rows and
// cosines. why is set when meaning cannot be had for now.
func (s *Store) nearest(ctx context.Context, text string, k int, allow []uint64) (rows []int64, scores []float32, why string, err error) {
	x := &s.vectors
	if x.index == nil {
		return nil, nil, "", nil
	}
	select {
	case <-x.loaded:
	case <-time.After(s.opt.indexWait()):
		return nil, nil, "vectors are still loading: found by words only", nil
	case <-ctx.Done():
		return nil, nil, "", ctx.Err()
	}
	if x.model.Load() == 0 {
		return nil, nil, "this space uses another embedding model: found by words only; run 'engram-mcp doctor'", nil
	}
	if ready, left, total, err := s.modelReady(ctx); err != nil {
		return nil, nil, "", err
	} else if !ready {
		return nil, nil, progressNote(left, total), nil
	}
	if err := s.syncIndex(ctx); err != nil {
		return nil, nil, "", err
	}
	vecs, err := s.opt.Embedder.Embed(ctx, []string{text})
	if err != nil {
		if ctx.Err() != nil {
			return nil, nil, "", ctx.Err()
		}
		s.opt.Log("query not embedded", "err", err)
		return nil, nil, "the embedder does not answer: found by words only; run 'engram-mcp doctor'", nil
	}
	rows, scores, err = x.index.Nearest(ctx, vecs[0], k, allow)
	return rows, scores, "", err
}

// modelReady reports whether every engram has had a vector of our model, and
// how far re-embedding has come.
func (s *Store) modelReady(ctx context.Context) (ready bool, left, total int64, err error) {
	err = s.snapshot(ctx, func(v *view) error {
		_, err := v.one(`SELECT m.ready, (SELECT count(*) FROM unembedded), s.engrams - s.forgotten FROM space s, model m WHERE m.row = ?`,
			[]any{s.vectors.model.Load()}, &ready, &left, &total)
		return err
	})
	return ready, left, total, err
}

func progressNote(left, total int64) string {
	done := max(0, total-left)
	return fmt.Sprintf("vectors are being made (%d of %d): found by words only", done, total)
}

func packVector(vec []float32) []byte {
	b := make([]byte, 4*len(vec))
	for i, v := range vec {
		binary.LittleEndian.PutUint32(b[4*i:], math.Float32bits(v))
	}
	return b
}

func unpackVector(b []byte) []float32 {
	vec := make([]float32, len(b)/4)
	for i := range vec {
		vec[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return vec
}

package memory

import (
	"context"
	"crypto/sha256"
	"slices"
	"strconv"
)

// What this file makes is derived from the engrams and can be made again: the
// words in full text, the analysis that scoring needs, and vectors.

// embedText is what is embedded of an engram: who said it is part of what it means.
func embedText(source, content string) string {
	if source == "" {
		return content
	}
	return source + ": " + content
}

// derive brings full text and vectors in step with a record that has changed.
func (t *txn) derive(old, now *record) error {
	if t.trial {
		return nil
	}
	same := old.content == now.content && old.source == now.source
	if old.live() == now.live() && same && old.ord() == now.ord() && slices.Equal(old.tags, now.tags) {
		return nil
	}
	if !now.live() {
		if !old.live() {
			return nil
		}
		if _, err := t.c.exec(`DELETE FROM words WHERE rowid = ?`, now.row); err != nil {
			return err
		}
		if _, err := t.c.exec(`DELETE FROM analysis WHERE engram = ?`, now.row); err != nil {
			return err
		}
		return t.unembed(now.row)
	}
	verb := `INSERT`
	if old.live() {
		verb = `INSERT OR REPLACE`
	}
	if err := t.deriveWords(now, verb); err != nil {
		return err
	}
	if old.live() && same {
		return nil
	}
	return t.embed(now)
}

// deriveWords makes the words and the analysis of a live engram.
func (t *txn) deriveWords(r *record, verb string) error {
	in := analysisInput{Content: r.content, Tags: r.tags, Source: r.source, When: instant(r.ord())}
	if _, err := t.c.exec(verb+` INTO words (rowid, text) VALUES (?,?)`, r.row, in.indexText()); err != nil {
		return err
	}
	_, err := t.c.exec(`INSERT OR REPLACE INTO analysis (engram, data) VALUES (?,?)`, r.row, analyse(in, t.s.opt.Lexicon).appendTo(nil))
	return err
}

// embed gives an engram its vector now, if that is quick, or queues it.
func (t *txn) embed(r *record) error {
	s := t.s
	if model := s.vectors.model.Load(); s.opt.Local && model != 0 {
		text := embedText(r.source, r.content)
		if vecs, err := s.opt.Embedder.Embed(context.Background(), []string{text}); err == nil && len(vecs) == 1 {
			return t.putEmbedding(r.row, model, text, vecs[0])
		}
	}
	if err := t.unembed(r.row); err != nil {
		return err
	}
	// Without a model nobody waits: whoever brings the first one queues all.
	_, err := t.c.exec(`INSERT INTO unembedded (engram) SELECT ? WHERE EXISTS (SELECT 1 FROM model) ON CONFLICT DO NOTHING`, r.row)
	return err
}

func (t *txn) putEmbedding(row, model int64, text string, vec []float32) error {
	sum := sha256.Sum256([]byte(text))
	if _, err := t.c.exec(`INSERT OR REPLACE INTO embedding (engram, model, live, hash, vec, seq) VALUES (?,?,1,?,?, (SELECT ifnull(max(seq), 0) + 1 FROM embedding))`,
		row, model, sum[:], packVector(vec)); err != nil {
		return err
	}
	_, err := t.c.exec(`DELETE FROM unembedded WHERE engram = ?`, row)
	return err
}

// unembed takes an engram out of every process's index.
func (t *txn) unembed(row int64) error {
	_, err := t.c.exec(`UPDATE embedding SET seq = (SELECT max(seq) + 1 FROM embedding), live = 0 WHERE engram = ? AND live = 1`, row)
	if err == nil {
		_, err = t.c.exec(`DELETE FROM unembedded WHERE engram = ?`, row)
	}
	return err
}

// derivation names everything that analyses depend on besides the engram.
func (s *Store) derivation() string {
	name := strconv.Itoa(analysisVersion)
	if s.opt.Lexicon != nil {
		name += " " + s.opt.Lexicon.ID()
	}
	return name
}

// reanalyse makes words and analyses anew, in the background, when they were
// made by another version of this program or with another lexicon. Until it is
// done, engrams are found by the words they were stored with and scored
// without likeness of words.
func (s *Store) reanalyse() {
	defer s.workers.Done()
	ctx, cancel := s.background()
	defer cancel()
	var made string
	var engrams int64
	err := s.snapshot(ctx, func(v *view) error {
		_, err := v.one(`SELECT derivation, engrams FROM space`, nil, &made, &engrams)
		return err
	})
	if err == nil && made != s.derivation() {
		if engrams > 0 {
			err = s.rederive(ctx, Principal{Space: s.space}, nil)
		}
		if err == nil {
			err = s.write(ctx, "analyse", Principal{}, func(t *txn) error {
				_, err := t.c.exec(`UPDATE space SET derivation = ?`, s.derivation())
				return err
			})
		}
	}
	if err != nil && ctx.Err() == nil && !s.closed() {
		s.opt.Log("engrams not analysed again; will be tried at the next start", "err", err)
	}
}

// rederive makes words and analyses of every engram anew, in small
// transactions that let others in between.
func (s *Store) rederive(ctx context.Context, who Principal, progress func(done, total int64)) error {
	var after, done int64
	for {
		n := 0
		err := s.write(ctx, "analyse", who, func(t *txn) error {
			ids, err := collect(t.c, single[[]byte], `SELECT id FROM engram WHERE row > ? AND created = 1 AND purged = 0 AND forgotten = 0 ORDER BY row LIMIT ?`, after, maintainBatch)
			if err != nil {
				return err
			}
			for _, id := range ids {
				r, err := t.load([16]byte(id))
				if err != nil {
					return err
				}
				if err := t.deriveWords(r, `INSERT OR REPLACE`); err != nil {
					return err
				}
				after = r.row
			}
			n = len(ids)
			if done += int64(n); progress != nil {
				progress(done, t.sums.engrams-t.sums.forgotten)
			}
			return nil
		})
		if err != nil || n < maintainBatch {
			s.items.drop()
			return err
		}
	}
}

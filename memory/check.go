package memory

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// A Problem is something that Check found, and how to mend it.
type Problem struct {
	What string `json:"what"`
	Hint string `json:"hint"`
}

// Check examines the open space: the file's integrity, the full-text index
// against the engrams, the counters, the vectors. It reads everything once and
// changes nothing. The caller needs Owner.
func (s *Store) Check(ctx context.Context) (problems []Problem, err error) {
	err = s.viewAs(ctx, "check", Owner, func(v *view) error {
		problems = append(problems, integrity(v)...)
		for _, c := range consistency {
			var n int64
			if _, err := v.one(c.query, nil, &n); err != nil {
				return err
			}
			if n != 0 {
				problems = append(problems, Problem{fmt.Sprintf(c.what, n), c.hint})
			}
		}
		return nil
	})
	if why := s.vectors.fault.Load(); why != nil {
		problems = append(problems, Problem{"the embedder fails: " + *why, "text search goes on; check that the embedding server runs and that the configured address, model and key are right"})
	}
	if st, statsErr := s.Stats(ctx); statsErr == nil && s.opt.Embedder != nil && st.Model != "" && st.Model != s.opt.Embedder.ID() {
		problems = append(problems, Problem{"the vectors of this space are of another embedding model, " + st.Model, "configure the model that made them, or run 'engram-mcp serve' with the new one until re-embedding is done"})
	}
	return problems, err
}

// consistency are counts that must be 0.
var consistency = []struct{ query, what, hint string }{
	{`SELECT (SELECT count(*) FROM engram WHERE created = 1 AND purged = 0 AND forgotten = 0) - (SELECT count(*) FROM words_docsize)`,
		"full text and engrams differ by %d", "run 'engram-mcp doctor --mend' to rebuild the full-text index"},
	{`SELECT (SELECT count(*) FROM engram WHERE created = 1 AND purged = 0) - engrams FROM space`,
		"the counter of engrams is off by %d", "run 'engram-mcp doctor --mend' to count again"},
	{`SELECT count(*) FROM op o WHERE o.kind = 'create' AND o.body <> '' AND NOT EXISTS (SELECT 1 FROM engram e WHERE e.id = o.target AND e.created = 1)`,
		"%d creates are in the log but not in the state", "export what is readable with 'engram-mcp export', and restore the last backup"},
	{`SELECT count(*) FROM engram e LEFT JOIN grp g ON g.row = e.context WHERE e.context IS NOT NULL AND g.row IS NULL`,
		"%d engrams are in a context that is not there", "restore the last backup"},
}

func integrity(v *view) []Problem {
	const hint = "keep this file, and run 'engram-mcp restore' with your last backup; 'engram-mcp export' may still save what is readable"
	lines, err := collect(v, single[string], `PRAGMA integrity_check(10)`)
	if err != nil {
		return []Problem{{"the file is damaged: " + err.Error(), hint}}
	}
	var out []Problem
	for _, l := range lines {
		if l != "ok" {
			out = append(out, Problem{"the file is damaged: " + l, hint})
		}
	}
	return out
}

// checkFile examines a file that nobody has open, such as a backup.
func checkFile(ctx context.Context, path string) []Problem {
	if _, err := os.Stat(path); err != nil {
		return []Problem{{"it cannot be read", "check the path"}}
	}
	db, err := sql.Open("sqlite", "file:"+filepath.ToSlash(path)+"?mode=ro&_pragma=busy_timeout(10000)&_pragma=query_only(1)")
	if err != nil {
		return []Problem{{err.Error(), "check the path"}}
	}
	defer db.Close()
	s := &Store{path: path, readDB: db, statements: readStatements{db: db, m: map[string]*sql.Stmt{}}, stop: make(chan struct{}), space: "x"}
	if _, _, err := s.version(ctx, db); err != nil { // an older one is brought up to date when it is opened
		var e *Error
		if errors.As(storage("check", err), &e) {
			return []Problem{{e.Ref, e.Hint}}
		}
		return []Problem{{err.Error(), "choose another file"}}
	}
	var out []Problem
	if err := s.snapshot(ctx, func(v *view) error { out = integrity(v); return nil }); err != nil {
		out = append(out, Problem{err.Error(), "choose another file"})
	}
	return out
}

// Mend rebuilds what is derived: the full-text index, the analyses and the
// counters, and queues missing vectors. progress may be nil. The caller needs Owner.
func (s *Store) Mend(ctx context.Context, progress func(done, total int64)) error {
	who, err := s.caller(ctx, "mend", Owner)
	if err != nil {
		return err
	}
	err = s.write(ctx, "mend", who, func(t *txn) error {
		if _, err := t.c.exec(`INSERT INTO words (words) VALUES ('delete-all')`); err != nil {
			return err
		}
		_, err := t.c.one(`SELECT count(*), ifnull(sum(forgotten), 0), ifnull(sum(octet_length(content) + octet_length(metadata)), 0), (SELECT count(*) FROM link WHERE live > 0)
			FROM engram WHERE created = 1 AND purged = 0`, nil, &t.sums.engrams, &t.sums.forgotten, &t.sums.bytes, &t.sums.links)
		return err
	})
	if err == nil {
		err = s.rederive(ctx, who, progress)
	}
	if err != nil {
		return err
	}
	return s.write(ctx, "mend", who, func(t *txn) error {
		if s.vectors.model.Load() == 0 {
			return nil
		}
		_, err := t.c.exec(`INSERT INTO unembedded (engram) SELECT e.row FROM engram e WHERE e.created = 1 AND e.purged = 0 AND e.forgotten = 0
			AND NOT EXISTS (SELECT 1 FROM embedding x WHERE x.engram = e.row AND x.model = ? AND x.live = 1) ON CONFLICT DO NOTHING`, s.vectors.model.Load())
		t.wrote = true
		return err
	})
}

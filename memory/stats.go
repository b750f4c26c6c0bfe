package memory

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
)

// Stats describes the space as the caller sees it: the counts of what it may
// read. Operations and bytes are those of the whole space, and would tell that
// there is more; so only who manages the space is told them.
func (s *Store) Stats(ctx context.Context) (st Stats, err error) {
	st.Space = s.space
	manages := false
	err = s.view(ctx, "stats", func(v *view) error {
		_, err := v.one(`SELECT engrams, forgotten, links, (SELECT ifnull(max(seq), 0) FROM op),
			(SELECT count(*) FROM grp WHERE kind = 'context'), (SELECT count(*) FROM grp WHERE kind = 'collection'),
			ifnull((SELECT name FROM model ORDER BY row DESC LIMIT 1), ''),
			(SELECT count(*) FROM unembedded) FROM space`, nil,
			&st.Engrams, &st.Forgotten, &st.Links, &st.Ops, &st.Contexts, &st.Collections, &st.Model, &st.Pending)
		if manages = v.who.Can(Admin) && v.who.Scope == nil; !manages {
			st.Ops = 0
		}
		if err != nil || v.all() {
			return err
		}
		readable := func(e string) string { return v.readable(e) + ` AND ` + e + `.forgotten = 0` }
		_, err = v.one(`SELECT (SELECT count(*) FROM engram e WHERE `+v.readable("e")+`), (SELECT count(*) FROM engram e WHERE `+v.readable("e")+` AND e.forgotten = 1),
			(SELECT count(*) FROM link l JOIN engram a ON a.row = l.src JOIN engram b ON b.row = l.dst WHERE l.live > 0 AND `+readable("a")+` AND `+readable("b")+`),
			(SELECT count(*) FROM grp WHERE kind = 'context' AND row NOT IN (SELECT value FROM json_each(?1))),
			(SELECT count(*) FROM grp WHERE kind = 'collection' AND row NOT IN (SELECT value FROM json_each(?1))),
			(SELECT count(*) FROM unembedded u JOIN engram e ON e.row = u.engram WHERE `+v.readable("e")+`)`, []any{jsonText(v.hiddenRows())},
			&st.Engrams, &st.Forgotten, &st.Links, &st.Contexts, &st.Collections, &st.Pending)
		return err
	})
	if err != nil {
		return st, err
	}
	if st.Model != "" {
		st.Embedded = max(0, st.Engrams-st.Forgotten-st.Pending)
	}
	if !manages {
		return st, nil
	}
	for _, suffix := range []string{"", "-wal"} {
		if info, err := os.Stat(s.path + suffix); err == nil {
			st.FileBytes += info.Size()
		}
	}
	return st, nil
}

// Digest is a hash of the whole state: equal sets of ops give equal digests,
// on any node, whatever the order they came in. Access counts are part of it,
// derived data (indexes, vectors) is not. The caller needs Owner.
func (s *Store) Digest(ctx context.Context) (sum [32]byte, err error) {
	err = s.viewAs(ctx, "digest", Owner, func(v *view) error {
		h := sha256.New()
		for _, q := range []string{
			`SELECT hex(id), created, purged, forgotten, ifnull((SELECT name FROM grp WHERE row = context), ''), created_at, updated_at, valid_from, valid_to, expires_at,
				confidence, importance, version, kind, source, author, trust, tags, base, clocks, metadata, content
				FROM engram WHERE created = 1 OR purged = 1 OR clocks <> '{}' OR version > 0 ORDER BY id`,
			`SELECT hex(e.id), g.name, hex(m.tag), m.dead FROM member m JOIN engram e ON e.row = m.engram JOIN grp g ON g.row = m.grp ORDER BY e.id, g.name, m.tag`,
			`SELECT hex(a.id), hex(b.id), l.relation, l.live, l.weight, l.metadata, l.valid_from, l.valid_to, l.clock FROM link l JOIN engram a ON a.row = l.src JOIN engram b ON b.row = l.dst ORDER BY a.id, b.id, l.relation`,
			`SELECT hex(t.tag), hex(a.id), hex(b.id), l.relation, t.dead FROM link_tag t JOIN link l ON l.row = t.link JOIN engram a ON a.row = l.src JOIN engram b ON b.row = l.dst ORDER BY t.tag`,
			`SELECT hex(e.id), a.origin, a.count, a.last FROM access a JOIN engram e ON e.row = a.engram ORDER BY e.id, a.origin`,
			`SELECT kind, name, description, ifnull(readers, '-'), ifnull(writers, '-'), clocks FROM grp WHERE clocks <> '{}' ORDER BY kind, name`,
			`SELECT hex(id) FROM op ORDER BY id`,
		} {
			if err := v.hashRows(h, q); err != nil {
				return err
			}
		}
		sum = [32]byte(h.Sum(nil))
		return nil
	})
	return sum, err
}

// hashRows writes the rows of q to h, each value with its length.
func (v *view) hashRows(h io.Writer, q string) error {
	rows, err := v.query(q)
	if err != nil {
		return err
	}
	defer rows.Close()
	cols, err := rows.Columns()
	if err != nil {
		return err
	}
	values := make([]any, len(cols))
	for i := range values {
		values[i] = new(any)
	}
	fmt.Fprintf(h, "%s\n", q)
	for rows.Next() {
		if err := rows.Scan(values...); err != nil {
			return err
		}
		for _, p := range values {
			text := fmt.Sprint(*p.(*any))
			fmt.Fprintf(h, "%d:%s,", len(text), text)
		}
		fmt.Fprintln(h)
	}
	return rows.Err()
}

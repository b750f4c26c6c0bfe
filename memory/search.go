package memory

import (
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// poolSize is how many candidates by words, and as many by meaning, a search
// starts from. It grows with the limit of the first page, and the cursor keeps
// it: the pages of a query are cut from one ranking, which ends with the pool.
const poolSize = 60

// Search answers q from one snapshot: the same store and query give the same
// answer, ttl aside. Any text is a legal query.
func (s *Store) Search(ctx context.Context, q Query) (Found, error) {
	if err := q.complete(); err != nil {
		return Found{}, err
	}
	place, err := q.place()
	if err != nil {
		return Found{}, err
	}
	terms := queryTerms(q.Text)
	match := matchExpr(terms)
	if match == "" {
		var out Found
		err = s.view(ctx, "search", func(v *view) error { return (&seeker{view: v, Query: q}).newest(place, &out) })
		return out, err
	}
	offset, pool, err := q.ranking(place)
	if err != nil {
		return Found{}, err
	}
	var n near
	var out Found
	if q.Mode != Text {
		allow, err := s.allowed(ctx, q)
		if err != nil {
			return out, err
		}
		if n, err = s.nearest(ctx, q.Text, pool, allow); err != nil {
			return out, storage("search", err)
		}
		if n.why != "" {
			out.Notes = append(out.Notes, n.why)
		}
	}
	err = s.view(ctx, "search", func(v *view) error {
		k := &seeker{view: v, Query: q, offset: offset, pool: pool}
		if q.Mode == Vector {
			return k.byMeaning(n, &out)
		}
		return k.ranked(terms, n, &out)
	})
	return out, err
}

func (q *Query) complete() error {
	switch {
	case q.Limit < 0 || q.Limit > MaxPage:
		return invalid("search", fmt.Sprintf("limit is %d", q.Limit), fmt.Sprintf("it goes from 1 to %d", MaxPage))
	case q.Mode != "" && q.Mode != Hybrid && q.Mode != Text && q.Mode != Vector:
		return invalid("search", "mode "+string(q.Mode), "use "+quoteList(string(Hybrid), string(Text), string(Vector)))
	}
	q.Limit = cmp.Or(q.Limit, 10)
	q.Mode = cmp.Or(q.Mode, Hybrid)
	return nil
}

// fingerprint ties a cursor to its query.
func (q Query) fingerprint() uint32 {
	q.Limit, q.Cursor, q.Explain = 0, "", false
	h := sha256.Sum256(fmt.Appendf(nil, "%+v", q))
	return binary.BigEndian.Uint32(h[:])
}

// A cursor is the query's fingerprint and where the next page begins, which a
// ranking and a list tell in different ways.
func (q Query) cursor(place []byte) string {
	return base64.RawURLEncoding.EncodeToString(append(binary.BigEndian.AppendUint32(nil, q.fingerprint()), place...))
}

// place reads a cursor; without one it is empty.
func (q Query) place() ([]byte, error) {
	if q.Cursor == "" {
		return nil, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(q.Cursor)
	if err != nil || len(b) < 6 || binary.BigEndian.Uint32(b) != q.fingerprint() {
		return nil, badCursor("search")
	}
	return b[4:], nil
}

// ranking reads the place of a page of a ranking: how many hits come before it,
// and the size of the pool that they were chosen from.
func (q Query) ranking(place []byte) (offset, pool int, err error) {
	if place == nil {
		return 0, max(poolSize, 2*q.Limit), nil
	}
	at, size := binary.Uvarint(place)
	if size <= 0 {
		return 0, 0, badCursor("search")
	}
	of, last := binary.Uvarint(place[size:])
	if last <= 0 || at > 1<<31 || of > 2*MaxPage {
		return 0, 0, badCursor("search")
	}
	return int(at), int(of), nil
}

// sql is f as SQL conditions on e, each with a leading AND.
func (f Filter) sql(v *view, op string) (cond string, args []any, err error) {
	k := &checker{op: op}
	k.names("tags", f.Tags, MaxTags)
	k.names("collections", f.Collections, MaxCollections)
	k.unit("min_confidence", f.MinConfidence)
	if k.err != nil {
		return "", nil, k.err
	}
	var b strings.Builder
	add := func(sql string, more ...any) {
		b.WriteString(" AND " + sql)
		args = append(args, more...)
	}
	if f.Context != "" {
		add(`e.context = (SELECT row FROM grp WHERE kind = 'context' AND name = ?)`, f.Context)
	}
	if len(f.Collections) > 0 {
		add(`EXISTS (SELECT 1 FROM member m JOIN grp g ON g.row = m.grp WHERE m.engram = e.row AND m.dead = 0 AND g.kind = 'collection'
			AND g.name IN (SELECT value FROM json_each(?)) AND g.row NOT IN (SELECT value FROM json_each(?)))`, jsonText(f.Collections), jsonText(v.hiddenRows()))
	}
	for _, tag := range f.Tags {
		add(`EXISTS (SELECT 1 FROM json_each(e.tags) WHERE value = ?)`, tag)
	}
	if f.Kind != "" {
		add(`e.kind = ?`, f.Kind)
	}
	if f.Source != "" {
		add(`e.source = ?`, f.Source)
	}
	if !f.After.IsZero() {
		add(`e.ord >= ?`, ms(f.After))
	}
	if !f.Before.IsZero() {
		add(`e.ord < ?`, ms(f.Before))
	}
	if !f.ValidAt.IsZero() {
		add(`e.valid_from <= ? AND (e.valid_to = 0 OR e.valid_to > ?)`, ms(f.ValidAt), ms(f.ValidAt))
	}
	if f.MinConfidence > 0 {
		add(`e.confidence >= ?`, f.MinConfidence)
	}
	return b.String(), args, nil
}

// allowed is the bitmap of rows that the filter and the caller's rights leave,
// or nil when they leave nearly everything and checking the hits is cheaper.
func (s *Store) allowed(ctx context.Context, q Query) (allow []uint64, err error) {
	err = s.view(ctx, "search", func(v *view) error {
		cond, args, err := q.Filter.sql(v, "search")
		if err != nil || cond == "" && v.all() {
			return err
		}
		rows, err := v.query(`SELECT e.row FROM engram e WHERE `+v.where("e")+cond, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		allow = []uint64{}
		for rows.Next() {
			var row int64
			if err := rows.Scan(&row); err != nil {
				return err
			}
			if need := int(row/64) + 1; need > len(allow) {
				allow = append(allow, make([]uint64, need-len(allow))...)
			}
			allow[row/64] |= 1 << (row % 64)
		}
		return rows.Err()
	})
	return allow, err
}

// seeker is one search over one snapshot.
type seeker struct {
	*view
	Query
	offset    int
	pool      int   // candidates by words, and as many by meaning
	linkCount int64 // live links of the space
	err       error // the first failure inside ranking
}

// newest lists without a query. A page begins after the engram that the one
// before has ended with: what is written meanwhile shifts nothing, and the last
// page costs what the first did.
func (k *seeker) newest(place []byte, out *Found) error {
	cond, args, err := k.Filter.sql(k.view, "search")
	if err != nil {
		return err
	}
	if place != nil {
		created, size := binary.Uvarint(place)
		if size <= 0 || len(place) != size+len(uuid.UUID{}) {
			return badCursor("search")
		}
		cond += ` AND (e.created_at, e.id) < (?, ?)`
		args = append(args, int64(created), place[size:])
	}
	found, err := k.load("1", cond+` ORDER BY e.created_at DESC, e.id DESC LIMIT ?`, append(args, k.Limit+1)...)
	if err != nil {
		return err
	}
	if len(found) > k.Limit {
		found = found[:k.Limit]
		last := found[k.Limit-1]
		id, err := uuid.Parse(last.ID)
		if err != nil {
			return err
		}
		out.Cursor = k.cursor(append(binary.AppendUvarint(nil, uint64(last.CreatedAt.UnixMilli())), id[:]...))
	}
	for _, e := range found {
		out.Hits = append(out.Hits, Hit{Engram: e.Engram})
	}
	return nil
}

// wordHit is a candidate by words; bm25 is positive, higher is better.
type wordHit struct {
	row  int64
	bm25 float64
}

func scanWordHit(r *sql.Rows) (h wordHit, err error) {
	err = r.Scan(&h.row, &h.bm25)
	h.bm25 = -h.bm25
	return h, err
}

// wordsQuery ranks by BM25 first and looks at the engram of each match after:
// full text is the outer loop, whatever the filter.
func (k *seeker) wordsQuery(cond string) string {
	return `SELECT words.rowid, bm25(words) AS score FROM words CROSS JOIN engram e ON e.row = words.rowid
		WHERE words MATCH ? AND ` + k.where("e") + cond + ` ORDER BY score, words.rowid LIMIT ?`
}

// byWords returns the best most matches that the caller may see and the filter
// lets through. The common case, where nearly all pass, does not touch the
// engrams of worse matches.
func (k *seeker) byWords(match string, most int) ([]wordHit, error) {
	cond, args, err := k.Filter.sql(k.view, "search")
	if err != nil {
		return nil, err
	}
	if cond == "" && k.all() {
		top, err := collect(k, scanWordHit, `SELECT rowid, bm25(words) AS score FROM words WHERE words MATCH ? ORDER BY score, rowid LIMIT ?`, match, most)
		if err != nil {
			return nil, err
		}
		alive, err := k.visibleRows(top)
		if err != nil || len(alive) == len(top) || len(top) < most {
			return alive, err
		}
	}
	all := append([]any{match}, args...)
	return collect(k, scanWordHit, k.wordsQuery(cond), append(all, most)...)
}

// visibleRows drops the hits that have expired since they were indexed.
func (k *seeker) visibleRows(hits []wordHit) ([]wordHit, error) {
	rows := make([]int64, len(hits))
	for i, h := range hits {
		rows[i] = h.row
	}
	live, err := collect(k, single[int64], `SELECT e.row FROM engram e WHERE e.row IN (SELECT value FROM json_each(?)) AND `+k.where("e"), jsonText(rows))
	if err != nil {
		return nil, err
	}
	ok := make(map[int64]bool, len(live))
	for _, row := range live {
		ok[row] = true
	}
	return slices.DeleteFunc(hits, func(h wordHit) bool { return !ok[h.row] }), nil
}

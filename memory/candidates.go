package memory

import (
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
)

// The window around a candidate by words or meaning: it is widened by its
// nearest neighbours on either side, and all are scored with what stands in
// the window. Reaching further changed no figure and cost a quarter more.
const (
	widenBy     = 2
	windowReach = maxNeighbours
)

// ranked scores the candidates by words and meaning with their neighbours, and
// cuts out the page.
func (k *seeker) ranked(terms []queryTerm, n near, out *Found) error {
	in, err := k.corpus()
	if err != nil {
		return err
	}
	words, err := k.byWords(matchExpr(k.telling(terms, in)), k.pool)
	if err != nil {
		return err
	}
	seeds := make([]int64, 0, len(words)+len(n.rows))
	for _, h := range words {
		seeds = append(seeds, h.row)
	}
	seeds = append(seeds, n.rows...)
	slices.Sort(seeds)
	seeds = slices.Compact(seeds)
	if in.strands, err = k.strands(seeds); err != nil {
		return err
	}
	if in.links, err = k.candidateLinks(in.strands); err != nil {
		return err
	}
	if k.Mode != Text {
		in.lexicon, in.vector = k.s.opt.Lexicon, n.query
	}
	hits := rank(in)
	if k.err != nil {
		return k.err
	}
	return k.page(len(hits), out, func(i int) scored {
		h := &hits[i]
		var parts map[string]float64
		if k.Explain {
			parts = map[string]float64{}
			for p, v := range h.parts {
				if v != 0 {
					parts[rankPartNames[p]] = float64(v) / scoresPerPoint
				}
			}
		}
		return scored{h.item.id, float64(h.score) / scoresPerPoint, parts}
	})
}

// byMeaning orders by the likeness of the vectors alone.
func (k *seeker) byMeaning(n near, out *Found) error {
	found, err := k.loadMatching(n.rows)
	if err != nil {
		return err
	}
	ids := make(map[int64]string, len(found))
	for _, e := range found {
		ids[e.row] = e.ID
	}
	var list []scored
	for i, row := range n.rows {
		if id, ok := ids[row]; ok {
			v := float64(n.cosines[i])
			list = append(list, scored{id, v, map[string]float64{rankPartNames[partCosine]: v}})
		}
	}
	return k.page(len(list), out, func(i int) scored { return list[i] })
}

// scoresPerPoint turns whole scores into the numbers shown: dividing keeps
// them short in decimal.
const scoresPerPoint = 1 / scoreUnit

// scored is a place in the ranking.
type scored struct {
	id    string
	score float64
	parts map[string]float64
}

// page loads the hits that were asked for, of n.
func (k *seeker) page(n int, out *Found, at func(i int) scored) error {
	end := min(n, k.offset+k.Limit)
	if k.offset >= end {
		return nil
	}
	list := make([]scored, 0, end-k.offset)
	ids := make([]string, 0, end-k.offset)
	for i := k.offset; i < end; i++ {
		list = append(list, at(i))
		ids = append(ids, list[len(list)-1].id)
	}
	found, err := k.loadIDs(ids)
	if err != nil {
		return err
	}
	for _, x := range list {
		e, ok := found[x.id]
		if !ok {
			continue
		}
		h := Hit{Engram: e.Engram, Score: x.score}
		if k.Explain {
			h.Parts = x.parts
		}
		out.Hits = append(out.Hits, h)
	}
	if end < n {
		out.Cursor = k.cursor(binary.AppendUvarint(binary.AppendUvarint(nil, uint64(end)), uint64(k.pool)))
	}
	return nil
}

func (v *view) loadIDs(ids []string) (map[string]loaded, error) {
	hexes := make([]string, len(ids))
	for i, id := range ids {
		u, err := uuid.Parse(id)
		if err != nil {
			return nil, err
		}
		hexes[i] = fmt.Sprintf("%X", u[:])
	}
	found, err := v.load(`e.id IN (SELECT unhex(value) FROM json_each(?))`, "", jsonText(hexes))
	byID := make(map[string]loaded, len(found))
	for _, e := range found {
		byID[e.ID] = e
	}
	return byID, err
}

// loadMatching loads the rows that are visible and pass the filter.
func (k *seeker) loadMatching(rows []int64) ([]loaded, error) {
	cond, args, err := k.Filter.sql(k.view, "search")
	if err != nil {
		return nil, err
	}
	return k.load(`e.row IN (SELECT value FROM json_each(?))`, cond, append([]any{jsonText(rows)}, args...)...)
}

// corpus describes the space to the ranker. Relative dates in a query are
// counted from today.
func (k *seeker) corpus() (in rankInput, err error) {
	in = rankInput{query: k.Text, now: time.UnixMilli(k.now).UTC().Truncate(24 * time.Hour)}
	if _, err = k.one(`SELECT engrams - forgotten, links FROM space`, nil, &in.engrams, &k.linkCount); err != nil {
		return in, err
	}
	if !k.all() {
		if _, err = k.one(`SELECT count(*) FROM engram e WHERE e.forgotten = 0 AND `+k.readable("e"), nil, &in.engrams); err != nil {
			return in, err
		}
	}
	var newest int64
	_, err = k.one(`SELECT e.created_at FROM engram e WHERE `+k.where("e")+` ORDER BY e.created_at DESC LIMIT 1`, nil, &newest)
	in.newest = instant(newest)
	counts := map[string]int{}
	in.df = func(stem string) int {
		n, known := counts[stem]
		if !known {
			var dfErr error
			if n, dfErr = k.frequency(stem); dfErr != nil && k.err == nil {
				k.err = dfErr
			}
			counts[stem] = n
		}
		return n
	}
	return in, err
}

// frequency is in how many engrams a word stands, of those that the caller may
// read: a word that is rare there and common elsewhere would tell of elsewhere.
func (k *seeker) frequency(stem string) (n int, err error) {
	if !k.all() {
		_, err = k.one(`SELECT count(*) FROM words CROSS JOIN engram e ON e.row = words.rowid WHERE words MATCH ? AND `+k.readable("e"), []any{matchExpr([]queryTerm{{stem: stem}})}, &n)
		return n, err
	}
	_, err = k.one(`SELECT doc FROM vocab WHERE term = ?`, []any{stem}, &n)
	return n, err
}

// Words in more than a twentieth of the engrams find too much to help, when
// the query has rarer ones.
const (
	commonShare  = 20
	fewForCommon = 1000 // in a space smaller than this every word may find
)

// telling leaves out of a query the words that are everywhere.
func (k *seeker) telling(terms []queryTerm, in rankInput) []queryTerm {
	if in.engrams < fewForCommon {
		return terms
	}
	rare := slices.DeleteFunc(slices.Clone(meaningful(terms)), func(t queryTerm) bool { return in.df(t.stem) > in.engrams/commonShare })
	if !slices.ContainsFunc(rare, func(t queryTerm) bool { return in.df(t.stem) > 0 }) {
		return terms
	}
	return rare
}

// strands are the seeds and their neighbours, as far as the caller may read
// them, in the order of their contexts. The seeds and their nearest neighbours
// are candidates if they pass the filter; the others only lend their words.
func (k *seeker) strands(seeds []int64) ([]strand, error) {
	next := map[int64]int64{}
	wanted := map[int64]bool{} // row → candidate
	follows := map[int64]bool{}
	add := func(row int64, candidate bool) { wanted[row] = wanted[row] || candidate }
	windows, err := k.windows(seeds)
	if err != nil {
		return nil, err
	}
	for _, w := range windows {
		for i, row := range w.rows {
			add(row, i >= w.center-widenBy && i <= w.center+widenBy)
			if i > 0 {
				next[w.rows[i-1]] = row
				follows[row] = true
			}
		}
	}
	items, err := k.items(wanted)
	if err != nil {
		return nil, err
	}
	heads := make([]int64, 0, len(wanted))
	for row := range wanted {
		if !follows[row] {
			heads = append(heads, row)
		}
	}
	slices.Sort(heads) // so that equal inputs are ranked in equal order
	out := make([]strand, 0, len(heads))
	for _, row := range heads {
		var s strand
		for ok := true; ok; row, ok = next[row] {
			s = append(s, items[row])
		}
		out = append(out, s)
	}
	return out, nil
}

// windows finds what stands around each seed in its context.
func (k *seeker) windows(seeds []int64) ([]around, error) {
	side := func(cmp, dir string) string {
		return fmt.Sprintf(`(SELECT json_group_array(r) FROM (SELECT n.row AS r FROM engram n WHERE n.context = e.context AND (n.ord, n.id) %s (e.ord, e.id) AND %s ORDER BY n.ord %s, n.id %s LIMIT %d))`,
			cmp, k.where("n"), dir, dir, windowReach)
	}
	return collect(k, func(r *sql.Rows) (w around, err error) {
		var row int64
		var before, after string
		if err = r.Scan(&row, &before, &after); err != nil {
			return w, err
		}
		var later []int64
		if err = errors.Join(json.Unmarshal([]byte(before), &w.rows), json.Unmarshal([]byte(after), &later)); err != nil {
			return w, err
		}
		slices.Reverse(w.rows)
		w.center = len(w.rows)
		w.rows = append(append(w.rows, row), later...)
		return w, nil
	}, `SELECT e.row, `+side("<", "DESC")+`, `+side(">", "ASC")+` FROM json_each(?) s CROSS JOIN engram e ON e.row = s.value WHERE `+k.where("e"), jsonText(seeds))
}

// around is a run of visible engrams with a seed at its center.
type around struct {
	rows   []int64
	center int
}

// passing are the rows that the filter lets through; nil for all.
func (k *seeker) passing(rows []int64) (map[int64]bool, error) {
	cond, args, err := k.Filter.sql(k.view, "search")
	if err != nil || cond == "" {
		return nil, err
	}
	found, err := collect(k, single[int64], `SELECT e.row FROM json_each(?) s CROSS JOIN engram e ON e.row = s.value WHERE 1`+cond, append([]any{jsonText(rows)}, args...)...)
	ok := make(map[int64]bool, len(found))
	for _, row := range found {
		ok[row] = true
	}
	return ok, err
}

// maxCandidateLinks bounds the links that one ranking looks at.
const maxCandidateLinks = 2000

// candidateLinks are the visible links with an end among the candidates.
func (k *seeker) candidateLinks(strands []strand) ([]rankLink, error) {
	if k.linkCount == 0 {
		return nil, nil
	}
	var hexes []string
	for _, s := range strands {
		for i := range s {
			if s[i].candidate {
				u := uuid.MustParse(s[i].id) // from the file
				hexes = append(hexes, fmt.Sprintf("%X", u[:]))
			}
		}
	}
	half := func(near, far string) string {
		return `SELECT a.id AS src, b.id AS dst, l.relation AS relation, l.weight AS weight FROM json_each(?1) s CROSS JOIN engram ` + near + ` ON ` + near + `.id = unhex(s.value)
			CROSS JOIN link l ON l.` + map[string]string{"a": "src", "b": "dst"}[near] + ` = ` + near + `.row CROSS JOIN engram ` + far + ` ON ` + far + `.row = l.` + map[string]string{"a": "src", "b": "dst"}[far] + `
			WHERE l.live > 0 AND ` + k.where(far)
	}
	return collect(k, func(r *sql.Rows) (l rankLink, err error) {
		var src, dst []byte
		if err = r.Scan(&src, &dst, &l.relation, &l.weight); err == nil {
			l.from, l.to = uuid.UUID(src).String(), uuid.UUID(dst).String()
		}
		return l, err
	}, `SELECT src, dst, relation, weight FROM (`+half("a", "b")+` UNION `+half("b", "a")+`) ORDER BY weight DESC, src, dst, relation LIMIT ?2`, jsonText(hexes), maxCandidateLinks)
}

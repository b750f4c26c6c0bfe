package memory

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// maxVisited bounds the engrams that one walk may look at.
const maxVisited = 20_000

// Walk follows links, in either direction, from w.Start. It never passes
// through an engram that the caller may not read: a link or a path is seen
// only when every engram on it is.
func (s *Store) Walk(ctx context.Context, w Walk) (Graph, error) {
	if err := w.complete(); err != nil {
		return Graph{}, err
	}
	var g Graph
	err := s.view(ctx, "graph", func(v *view) error {
		k := &walker{view: v, Walk: w, parent: map[int64]int64{}}
		start, err := k.resolve(w.Start)
		if err != nil {
			return err
		}
		var rows []int64
		if w.Mode == Path {
			goal, err := k.resolve([]string{w.To})
			if err != nil {
				return err
			}
			rows, err = k.path(start[0], goal[0])
			if err != nil {
				return err
			}
		} else if rows, err = k.spread(start); err != nil {
			return err
		}
		g, err = k.graph(rows)
		return err
	})
	return g, err
}

func (w *Walk) complete() error {
	if w.Mode == "" {
		w.Mode = Neighbors
	}
	depth, ok := map[WalkMode]int{Neighbors: 1, Path: 6, Subgraph: 2}[w.Mode]
	switch {
	case !ok:
		return invalid("graph", "mode "+string(w.Mode), "use "+quoteList(string(Neighbors), string(Path), string(Subgraph)))
	case len(w.Start) == 0 || len(w.Start) > MaxPage:
		return invalid("graph", fmt.Sprintf("start has %d ids", len(w.Start)), "give the id of an engram; engram_search finds it")
	case w.Mode == Path && (w.To == "" || len(w.Start) != 1):
		return invalid("graph", "a path needs one start and a to", `e.g. {"start": ["…"], "to": "…", "mode": "path"}`)
	case w.Depth < 0 || w.Depth > MaxDepth:
		return invalid("graph", fmt.Sprintf("depth is %d", w.Depth), fmt.Sprintf("it goes from 1 to %d", MaxDepth))
	case w.Limit < 0 || w.Limit > MaxPage:
		return invalid("graph", fmt.Sprintf("limit is %d", w.Limit), fmt.Sprintf("it goes from 1 to %d", MaxPage))
	}
	w.Depth = cmp.Or(w.Depth, depth)
	w.Limit = cmp.Or(w.Limit, 50)
	return nil
}

// walker is one walk over one snapshot.
type walker struct {
	*view
	Walk
	parent    map[int64]int64 // row → the row it was reached from; the start from itself
	truncated bool
}

func (k *walker) resolve(ids []string) (rows []int64, err error) {
	for _, id := range ids {
		u, err := uuid.Parse(id)
		if err != nil {
			return nil, notFound("graph", id)
		}
		found, err := collect(k, single[int64], `SELECT e.row FROM engram e WHERE e.id = ? AND `+k.where("e"), u[:])
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			return nil, notFound("graph", id)
		}
		rows = append(rows, found[0])
	}
	return rows, nil
}

// edge leads from one visible engram to another.
type edge struct{ from, to int64 }

// edges are the links of a frontier, strongest first.
func (k *walker) edges(frontier []int64) ([]edge, error) {
	half := func(near, far string) string {
		return `SELECT l.` + near + ` AS near, l.` + far + ` AS far, l.weight AS weight FROM json_each(?1) f CROSS JOIN link l ON l.` + near + ` = f.value
			CROSS JOIN engram e ON e.row = l.` + far + ` WHERE l.live > 0 AND (?2 = '[]' OR l.relation IN (SELECT value FROM json_each(?2))) AND ` + k.where("e")
	}
	rows, relations := jsonText(frontier), jsonText(k.Relations)
	return collect(k, func(r *sql.Rows) (e edge, err error) { var w float64; err = r.Scan(&e.from, &e.to, &w); return },
		`SELECT near, far, weight FROM (`+half("src", "dst")+` UNION ALL `+half("dst", "src")+`) ORDER BY weight DESC, far, near LIMIT ?3`,
		rows, relations, maxVisited)
}

// step goes one step from the frontier and returns what it reaches first.
func (k *walker) step(frontier []int64, most int) (next []int64, err error) {
	if err := k.ctx.Err(); err != nil {
		return nil, err
	}
	edges, err := k.edges(frontier)
	if err != nil {
		return nil, err
	}
	for _, e := range edges {
		if _, seen := k.parent[e.to]; seen {
			continue
		}
		if len(k.parent) >= most {
			k.truncated = true
			break
		}
		k.parent[e.to] = e.from
		next = append(next, e.to)
	}
	return next, nil
}

// spread is breadth first from the start, within Depth and Limit.
func (k *walker) spread(start []int64) (rows []int64, err error) {
	for _, row := range start {
		if _, seen := k.parent[row]; !seen {
			k.parent[row] = row
			rows = append(rows, row)
		}
	}
	frontier := rows
	for depth := 0; depth < k.Depth && len(frontier) > 0; depth++ {
		if frontier, err = k.step(frontier, k.Limit+len(start)); err != nil {
			return nil, err
		}
		rows = append(rows, frontier...)
	}
	return rows, nil
}

// path is a shortest path, or nothing when there is none within Depth.
func (k *walker) path(start, goal int64) ([]int64, error) {
	k.parent[start] = start
	frontier := []int64{start}
	for depth := 0; depth < k.Depth && len(frontier) > 0; depth++ {
		if _, found := k.parent[goal]; found {
			break
		}
		var err error
		if frontier, err = k.step(frontier, maxVisited); err != nil {
			return nil, err
		}
	}
	if _, found := k.parent[goal]; !found {
		return nil, nil
	}
	rows := []int64{goal}
	for row := goal; row != start; {
		row = k.parent[row]
		rows = append(rows, row)
	}
	slices.Reverse(rows)
	return rows, nil
}

// graph loads the engrams, in order, and the links among them.
func (k *walker) graph(rows []int64) (Graph, error) {
	g := Graph{Truncated: k.truncated}
	found, err := k.loadRows(rows)
	if err != nil {
		return g, err
	}
	for _, e := range found {
		g.Engrams = append(g.Engrams, e.Engram)
	}
	only := ""
	if k.Mode == Neighbors { // the links of the start alone
		only = ` AND (l.src IN (SELECT value FROM json_each(?3)) OR l.dst IN (SELECT value FROM json_each(?3)))`
	}
	g.Links, err = collect(k, scanLink, `SELECT `+linkColumns+` FROM json_each(?1) f CROSS JOIN link l ON l.src = f.value
		JOIN engram a ON a.row = l.src JOIN engram b ON b.row = l.dst
		WHERE l.live > 0 AND l.dst IN (SELECT value FROM json_each(?1)) AND (?2 = '[]' OR l.relation IN (SELECT value FROM json_each(?2)))`+only+`
		ORDER BY l.weight DESC, a.id, b.id, l.relation LIMIT 1000`, jsonText(rows), jsonText(k.Relations), jsonText(rows[:min(len(rows), len(k.Start))]))
	return g, err
}

// loadRows reads visible engrams by row, in the order given.
func (v *view) loadRows(rows []int64) ([]loaded, error) {
	found, err := v.load(`e.row IN (SELECT value FROM json_each(?))`, "", jsonText(rows))
	if err != nil {
		return nil, err
	}
	at := make(map[int64]int, len(rows))
	for i, row := range rows {
		at[row] = i
	}
	slices.SortFunc(found, func(a, b loaded) int { return cmp.Compare(at[a.row], at[b.row]) })
	return found, nil
}

// jsonText is a list as an argument of json_each.
func jsonText[T any](list []T) string {
	if len(list) == 0 {
		return "[]"
	}
	b, _ := json.Marshal(list) // lists of numbers and strings cannot fail
	return strings.TrimSpace(string(b))
}

package memory

import (
	"database/sql"

	"github.com/google/uuid"
)

func (c SetLink) plan(t *txn) (Result, error) {
	k := &checker{op: "link"}
	k.name("relation", c.Relation, true)
	k.unit("weight", c.Weight)
	k.metadata(c.Metadata)
	k.span(c.ValidFrom, c.ValidTo)
	if k.err != nil {
		return Result{}, k.err
	}
	from, to, err := t.linkEnds("link", c.From, c.To)
	if err != nil {
		return Result{}, err
	}
	if from.id == to.id {
		return Result{}, invalid("link", "from and to are the same engram", "link two different engrams")
	}
	metadata := compact(c.Metadata)
	same, err := t.c.one(`SELECT 1 FROM link WHERE src = ? AND dst = ? AND relation = ? AND live > 0 AND weight = ? AND metadata = ? AND valid_from = ? AND valid_to = ?`,
		[]any{from.row, to.row, c.Relation, c.Weight, metadata, ms(c.ValidFrom), ms(c.ValidTo)}, new(int))
	if err != nil {
		return Result{}, err
	}
	if !same {
		body := linkBody{Relation: c.Relation, Weight: c.Weight, Metadata: metadata, ValidFrom: ms(c.ValidFrom), ValidTo: ms(c.ValidTo)}
		if _, err := t.do(opLink, from.id, to.id, body); err != nil {
			return Result{}, err
		}
	}
	l := c.Link
	l.From, l.To, l.Metadata = from.id.String(), to.id.String(), object(metadata)
	return Result{Link: &l}, nil
}

// linkEnds finds both ends of a link; the caller must be able to read both and
// to write the first.
func (t *txn) linkEnds(op, from, to string) (src, dst *record, err error) {
	if src, err = t.visible(op, from); err != nil {
		return nil, nil, err
	}
	if dst, err = t.visible(op, to); err != nil {
		return nil, nil, err
	}
	return src, dst, t.writable(op, src)
}

func (c Unlink) plan(t *txn) (Result, error) {
	from, to, err := t.linkEnds("unlink", c.From, c.To)
	if err != nil {
		return Result{}, err
	}
	type link struct {
		row      int64
		relation string
	}
	links, err := collect(t.c, func(r *sql.Rows) (l link, err error) { err = r.Scan(&l.row, &l.relation); return },
		`SELECT row, relation FROM link WHERE src = ?1 AND dst = ?2 AND live > 0 AND (?3 = '' OR relation = ?3) ORDER BY relation`, from.row, to.row, c.Relation)
	if err != nil {
		return Result{}, err
	}
	if len(links) == 0 {
		e := notFound("unlink", c.Relation+" link from "+c.From+" to "+c.To)
		e.Hint = "list the links of an engram with engram_get and include_links"
		return Result{}, e
	}
	for _, l := range links {
		seen, err := collect(t.c, single[[]byte], `SELECT tag FROM link_tag WHERE link = ? AND dead = 0`, l.row)
		if err != nil {
			return Result{}, err
		}
		if _, err := t.do(opUnlink, from.id, to.id, unlinkBody{Relation: l.relation, Seen: idStrings(seen)}); err != nil {
			return Result{}, err
		}
	}
	return Result{Link: &Link{From: from.id.String(), To: to.id.String(), Relation: c.Relation}}, nil
}

const linkColumns = `a.id, b.id, l.relation, l.weight, l.metadata, l.valid_from, l.valid_to`

func scanLink(rows *sql.Rows) (l Link, err error) {
	var from, to []byte
	var metadata string
	var start, end int64
	if err = rows.Scan(&from, &to, &l.Relation, &l.Weight, &metadata, &start, &end); err != nil {
		return l, err
	}
	l.From, l.To = uuid.UUID(from).String(), uuid.UUID(to).String()
	l.Metadata, l.ValidFrom, l.ValidTo = object(metadata), instant(start), instant(end)
	return l, nil
}

// linksOf are the visible links from and to an engram that is visible itself,
// strongest first, at most MaxPage.
func (v *view) linksOf(row int64) ([]Link, error) {
	return collect(v, scanLink, `SELECT `+linkColumns+` FROM link l JOIN engram a ON a.row = l.src JOIN engram b ON b.row = l.dst
		WHERE l.live > 0 AND (l.src = ?1 OR l.dst = ?1) AND `+v.where("a")+` AND `+v.where("b")+`
		ORDER BY l.weight DESC, a.id, b.id, l.relation LIMIT ?2`, row, MaxPage)
}

package memory

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Apply takes in ops that were made by other stores, in any order, and
// returns how many were new. It is idempotent: an op that is there already
// changes nothing. All of ops are applied, or, on error, none.
//
// An op whose clock is more than a minute ahead is refused with ErrInvalid; an
// op that repeats the (Origin, OSeq) of another one, which means that a
// database file was copied, with ErrConflict. The caller needs Owner.
func (s *Store) Apply(ctx context.Context, ops []Op) (fresh int, err error) {
	who, err := s.caller(ctx, "apply", Owner)
	if err != nil {
		return 0, err
	}
	err = s.write(ctx, "apply", who, func(t *txn) error {
		fresh, t.foreign = 0, true
		for i := range ops {
			if err := ops[i].valid(t.time()); err != nil {
				return err
			}
			t.hlc = max(t.hlc, ops[i].HLC)
			ok, err := t.apply(&ops[i])
			if err != nil {
				return err
			}
			if ok {
				fresh++
			}
		}
		return nil
	})
	return fresh, err
}

// do stamps a new op of this store and applies it.
func (t *txn) do(kind string, target, other uuid.UUID, body any) (*Op, error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	t.hlc = max(t.hlc+1, HLC(t.now<<16))
	t.oseq++
	o := &Op{ID: newID(), Origin: t.origin, OSeq: t.oseq, HLC: t.hlc, Principal: t.who.Name,
		Kind: kind, Target: target, Other: other, Body: raw}
	_, err = t.apply(o)
	return o, err
}

// apply writes the op and its effect; fresh is false when it was there
// already.
func (t *txn) apply(o *Op) (fresh bool, err error) {
	if t.foreign {
		if o.Origin == t.origin { // our own, from before this file was restored
			t.oseq = max(t.oseq, o.OSeq)
		}
		if known, err := t.c.one(`SELECT 1 FROM op WHERE id = ?`, []any{o.ID[:]}, new(int)); err != nil || known {
			return false, err
		}
	}
	keep := true // the body
	switch o.Kind {
	case opCreate, opUpdate, opForget, opRestore:
		keep, err = t.applyFields(o)
	case opPurge:
		err = t.applyPurge(o)
	case opLink:
		keep, err = t.applyLink(o)
	case opUnlink:
		keep, err = t.applyUnlink(o)
	case opCount:
		keep, err = t.applyCount(o)
	case opGroup:
		err = t.applyGroup(o)
	}
	if err != nil {
		return false, err
	}
	body := string(o.Body)
	if !keep {
		body = ""
	}
	_, err = t.c.exec(`INSERT INTO op (id, origin, oseq, hlc, principal, kind, target, other, body) VALUES (?,?,?,?,?,?,?,?,?)`,
		o.ID[:], o.Origin, o.OSeq, int64(o.HLC), o.Principal, o.Kind, nullID(o.Target), nullID(o.Other), body)
	var low *sqlite.Error
	if errors.As(err, &low) && low.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE {
		return false, &Error{Op: "apply", Kind: ErrConflict, Ref: "op " + o.Origin + "/" + strconv.FormatInt(o.OSeq, 10) + " is there with another id", Err: err,
			Hint: "two files share one origin: one was copied; run 'engram-mcp restore' on the copy to give it an origin of its own"}
	}
	t.wrote = true
	return true, err
}

// applyFields merges a create, update, forget or restore. keep is false when
// the engram was purged, so that a late op leaves no trace of its body.
func (t *txn) applyFields(o *Op) (keep bool, err error) {
	r, err := t.load(o.Target)
	if err != nil || r.purged {
		return false, err
	}
	var f *fields
	var body fields
	if ok, err := o.decode(&body); err != nil {
		return false, err
	} else if ok {
		f = &body
	}
	old := *r
	r.clocks = clocks{}
	for k, v := range old.clocks {
		r.clocks[k] = v
	}
	r.merge(clock{o.HLC, o.Origin}, o.Kind == opCreate, f)
	if r.context != old.context || r.contextRow == 0 {
		if r.contextRow, err = t.group(Context, r.context); err != nil {
			return false, err
		}
	}
	if r.row == 0 {
		if err := t.insertRecord(r); err != nil {
			return false, err
		}
	}
	if f != nil {
		if err := t.applyMembers(r, o, f); err != nil {
			return false, err
		}
	}
	if err := t.storeRecord(r); err != nil {
		return false, err
	}
	t.tally(&old, r)
	return true, t.derive(&old, r)
}

// applyMembers adds and removes the memberships that the op names.
func (t *txn) applyMembers(r *record, o *Op, f *fields) error {
	if len(f.Join)+len(f.Leave) == 0 {
		return nil
	}
	for _, name := range f.Join {
		g, err := t.group(Collection, name)
		if err != nil {
			return err
		}
		if _, err := t.c.exec(`INSERT INTO member (engram, grp, tag) VALUES (?,?,?) ON CONFLICT DO NOTHING`, r.row, g, o.ID[:]); err != nil {
			return err
		}
	}
	for name, seen := range f.Leave {
		g, err := t.group(Collection, name)
		if err != nil {
			return err
		}
		for _, s := range seen {
			tag, err := uuid.Parse(s)
			if err != nil {
				return invalid("apply", "op "+o.ID.String()+": leave", "the store it came from is damaged")
			}
			if _, err := t.c.exec(`INSERT INTO member (engram, grp, tag, dead) VALUES (?,?,?,1) ON CONFLICT DO UPDATE SET dead = 1`, r.row, g, tag[:]); err != nil {
				return err
			}
		}
	}
	_, err := t.c.one(`SELECT count(DISTINCT grp) FROM member WHERE engram = ? AND dead = 0`, []any{r.row}, &r.members)
	return err
}

// applyPurge turns the engram into a tombstone and blanks every op about it.
func (t *txn) applyPurge(o *Op) error {
	r, err := t.ensure(o.Target)
	if err != nil || r.purged {
		return err
	}
	old := *r
	*r = record{row: r.row, id: r.id, purged: true, clocks: clocks{}}
	if err := t.storeRecord(r); err != nil {
		return err
	}
	live, err := collect(t.c, single[int64], `SELECT row FROM link WHERE live > 0 AND (src = ?1 OR dst = ?1)`, r.row)
	if err != nil {
		return err
	}
	t.sums.links -= int64(len(live))
	for _, q := range []string{
		`DELETE FROM link_tag WHERE link IN (SELECT row FROM link WHERE src = ?1 OR dst = ?1)`,
		`DELETE FROM link WHERE src = ?1 OR dst = ?1`,
		`DELETE FROM member WHERE engram = ?1`,
		`DELETE FROM access WHERE engram = ?1`,
		`DELETE FROM unembedded WHERE engram = ?1`,
		`DELETE FROM words WHERE rowid = ?1`,
		`DELETE FROM analysis WHERE engram = ?1`,
		`UPDATE embedding SET seq = (SELECT max(seq) + 1 FROM embedding), live = 0, hash = NULL, vec = NULL WHERE engram = ?1`,
	} {
		if _, err := t.c.exec(q, r.row); err != nil {
			return err
		}
	}
	if _, err := t.c.exec(`UPDATE op SET body = '' WHERE (target = ?1 OR other = ?1) AND body <> ''`, o.Target[:]); err != nil {
		return err
	}
	t.tally(&old, r)
	t.purged = true
	return nil
}

// applyLink adds a link, or changes the weight of one: the link lives while
// any op that added it has not been unlinked.
func (t *txn) applyLink(o *Op) (keep bool, err error) {
	var b linkBody
	if ok, err := o.decode(&b); err != nil || !ok {
		return false, err
	}
	src, dst, err := t.ends(o)
	if err != nil || src == 0 || dst == 0 {
		return false, err
	}
	row, old, err := t.link(src, dst, b.Relation)
	if err != nil {
		return false, err
	}
	if _, err := t.c.exec(`INSERT INTO link_tag (tag, link) VALUES (?,?) ON CONFLICT DO NOTHING`, o.ID[:], row); err != nil {
		return false, err
	}
	if at := (clock{o.HLC, o.Origin}); at.after(old) {
		_, err = t.c.exec(`UPDATE link SET weight = ?, metadata = ?, valid_from = ?, valid_to = ?, clock = ? WHERE row = ?`,
			b.Weight, b.Metadata, b.ValidFrom, b.ValidTo, at.String(), row)
		if err != nil {
			return false, err
		}
	}
	return true, t.countLink(row)
}

// applyUnlink removes the adds that it saw; one that it did not see wins.
func (t *txn) applyUnlink(o *Op) (keep bool, err error) {
	var b unlinkBody
	if ok, err := o.decode(&b); err != nil || !ok {
		return false, err
	}
	src, dst, err := t.ends(o)
	if err != nil || src == 0 || dst == 0 {
		return false, err
	}
	row, _, err := t.link(src, dst, b.Relation)
	if err != nil {
		return false, err
	}
	for _, s := range b.Seen {
		tag, err := uuid.Parse(s)
		if err != nil {
			return false, invalid("apply", "op "+o.ID.String()+": seen", "the store it came from is damaged")
		}
		if _, err := t.c.exec(`INSERT INTO link_tag (tag, link, dead) VALUES (?,?,1) ON CONFLICT DO UPDATE SET dead = 1`, tag[:], row); err != nil {
			return false, err
		}
	}
	return true, t.countLink(row)
}

// ends finds the rows of a link's engrams; 0 stands for a purged one.
func (t *txn) ends(o *Op) (src, dst int64, err error) {
	for i, id := range []uuid.UUID{o.Target, o.Other} {
		r, err := t.ensure(id)
		if err != nil {
			return 0, 0, err
		}
		if !r.purged {
			*[]*int64{&src, &dst}[i] = r.row
		}
	}
	return src, dst, nil
}

// link finds or makes the row of a link, and returns the clock of its values.
func (t *txn) link(src, dst int64, relation string) (row int64, at clock, err error) {
	var text string
	ok, err := t.c.one(`SELECT row, clock FROM link WHERE src = ? AND dst = ? AND relation = ?`, []any{src, dst, relation}, &row, &text)
	if err != nil {
		return 0, clock{}, err
	}
	if !ok {
		row, err = t.c.insert(`INSERT INTO link (src, dst, relation) VALUES (?,?,?)`, src, dst, relation)
		return row, clock{}, err
	}
	at, err = parseClock(text)
	return row, at, err
}

// countLink brings link.live up to date with its tags.
func (t *txn) countLink(row int64) error {
	var old, live int64
	if _, err := t.c.one(`SELECT live, (SELECT count(*) FROM link_tag WHERE link = ?1 AND dead = 0) FROM link WHERE row = ?1`, []any{row}, &old, &live); err != nil {
		return err
	}
	if old == live {
		return nil
	}
	t.sums.links += min(live, 1) - min(old, 1)
	_, err := t.c.exec(`UPDATE link SET live = ? WHERE row = ?`, live, row)
	return err
}

func (t *txn) applyCount(o *Op) (keep bool, err error) {
	var b countBody
	if ok, err := o.decode(&b); err != nil || !ok {
		return false, err
	}
	r, err := t.ensure(o.Target)
	if err != nil || r.purged {
		return false, err
	}
	_, err = t.c.exec(`INSERT INTO access (engram, origin, count, last) VALUES (?,?,?,?)
		ON CONFLICT DO UPDATE SET count = max(count, excluded.count), last = max(last, excluded.last)`,
		r.row, o.Origin, b.Count, b.Last)
	return true, err
}

func (t *txn) applyGroup(o *Op) error {
	var b groupBody
	if ok, err := o.decode(&b); err != nil || !ok {
		return err
	}
	row, err := t.group(b.Kind, b.Name)
	if err != nil || row == 0 {
		return err
	}
	var text string
	if _, err := t.c.one(`SELECT clocks FROM grp WHERE row = ?`, []any{row}, &text); err != nil {
		return err
	}
	cs, err := parseClocks(text)
	if err != nil {
		return err
	}
	at := clock{o.HLC, o.Origin}
	if at.after(cs["set"]) { // tells a group that was set from one that is only named
		cs["set"] = at
	}
	set := func(name, query string, given bool, value any) {
		if err != nil || !given || !at.after(cs[name]) {
			return
		}
		cs[name] = at
		_, err = t.c.exec(query, value, row)
	}
	set("description", `UPDATE grp SET description = ? WHERE row = ?`, b.Description != nil, b.Description)
	set("readers", `UPDATE grp SET readers = ? WHERE row = ?`, b.Readers != nil, b.Readers.column())
	set("writers", `UPDATE grp SET writers = ? WHERE row = ?`, b.Writers != nil, b.Writers.column())
	if err != nil {
		return err
	}
	t.sight = nil
	_, err = t.c.exec(`UPDATE grp SET clocks = ? WHERE row = ?`, cs.String(), row)
	return err
}

// column is how a list is stored: NULL when it is open.
func (l *nameList) column() any {
	if l == nil || l.Open {
		return nil
	}
	names := slices.Clone(l.Names)
	if names == nil {
		names = []string{}
	}
	b, _ := json.Marshal(names)
	return string(b)
}

// group finds or makes the row of a context or collection; 0 for no name.
func (t *txn) group(kind GroupKind, name string) (row int64, err error) {
	if name == "" {
		return 0, nil
	}
	ok, err := t.c.one(`SELECT row FROM grp WHERE kind = ? AND name = ?`, []any{string(kind), name}, &row)
	if err != nil || ok {
		return row, err
	}
	return t.c.insert(`INSERT INTO grp (kind, name) VALUES (?,?)`, string(kind), name)
}

// load reads the record of an engram; one that no op has named yet comes back
// with row 0.
func (t *txn) load(id uuid.UUID) (*record, error) {
	r := &record{id: id, clocks: clocks{}}
	var tags, base, cs string
	var context *string
	ok, err := t.c.one(`SELECT e.row, e.created, e.purged, e.forgotten, ifnull(e.context, 0), g.name, e.created_at, e.updated_at,
		e.valid_from, e.valid_to, e.expires_at, e.confidence, e.importance, e.version, e.members,
		e.kind, e.source, e.author, e.trust, e.tags, e.base, e.clocks, e.metadata, e.content
		FROM engram e LEFT JOIN grp g ON g.row = e.context WHERE e.id = ?`, []any{id[:]},
		&r.row, &r.created, &r.purged, &r.forgotten, &r.contextRow, &context, &r.createdAt, &r.updated,
		&r.validFrom, &r.validTo, &r.expiresAt, &r.confidence, &r.importance, &r.version, &r.members,
		&r.kind, &r.source, &r.author, &r.trust, &tags, &base, &cs, &r.metadata, &r.content)
	if err != nil || !ok {
		return r, err
	}
	if context != nil {
		r.context = *context
	}
	if r.tags, err = parseTags(tags); err != nil {
		return nil, err
	}
	if r.base, err = parseClock(base); err != nil {
		return nil, err
	}
	r.clocks, err = parseClocks(cs)
	return r, err
}

// ensure is load, with a waiting row made for an engram that is not there yet.
func (t *txn) ensure(id uuid.UUID) (*record, error) {
	r, err := t.load(id)
	if err == nil && r.row == 0 {
		err = t.insertRecord(r)
	}
	return r, err
}

func (t *txn) insertRecord(r *record) (err error) {
	r.row, err = t.c.insert(`INSERT INTO engram (id) VALUES (?)`, r.id[:])
	return err
}

func (t *txn) storeRecord(r *record) error {
	tags := "[]"
	if len(r.tags) > 0 {
		b, _ := json.Marshal(r.tags)
		tags = string(b)
	}
	twin, err := t.twin(r)
	if err != nil {
		return err
	}
	_, err = t.c.exec(`UPDATE engram SET created = ?, purged = ?, forgotten = ?, context = ?, ord = ?, created_at = ?, updated_at = ?,
		valid_from = ?, valid_to = ?, expires_at = ?, confidence = ?, importance = ?, version = ?, members = ?, twin = ?,
		kind = ?, source = ?, author = ?, trust = ?, tags = ?, base = ?, clocks = ?, metadata = ?, content = ? WHERE row = ?`,
		r.created, r.purged, r.forgotten, nullRow(r.contextRow), r.ord(), r.createdAt, r.updated,
		r.validFrom, r.validTo, r.expiresAt, r.confidence, r.importance, r.version, r.members, twin,
		r.kind, r.source, r.author, r.trust, tags, r.base.String(), r.clocks.String(), r.metadata, r.content, r.row)
	return err
}

// twin hashes what makes two engrams duplicates of each other.
func (t *txn) twin(r *record) (int64, error) {
	if !r.created || r.purged {
		return 0, nil
	}
	var collections []string
	if r.members > 0 {
		var err error
		collections, err = collect(t.c, single[string], `SELECT DISTINCT g.name FROM member m JOIN grp g ON g.row = m.grp WHERE m.engram = ? AND m.dead = 0 ORDER BY g.name`, r.row)
		if err != nil {
			return 0, err
		}
	}
	return twinHash(r.context, collections, r.source, r.kind, r.content, r.validFrom), nil
}

// twinHash needs collections sorted.
func twinHash(context string, collections []string, source, kind, content string, validFrom int64) int64 {
	h := sha256.New()
	for _, s := range []string{context, strings.Join(collections, "\x01"), source, kind, strconv.FormatInt(validFrom, 10)} {
		h.Write([]byte(s))
		h.Write([]byte{0})
	}
	h.Write([]byte(content))
	return int64(binary.BigEndian.Uint64(h.Sum(nil)))
}

// tally keeps the counters of the space.
func (t *txn) tally(old, now *record) {
	count := func(r *record) (engrams, forgotten, bytes int64) {
		if r.created && !r.purged {
			engrams, bytes = 1, int64(len(r.content)+len(r.metadata))
			if r.forgotten {
				forgotten = 1
			}
		}
		return
	}
	e0, f0, b0 := count(old)
	e1, f1, b1 := count(now)
	t.sums.engrams += e1 - e0
	t.sums.forgotten += f1 - f0
	t.sums.bytes += b1 - b0
}

func parseTags(s string) (tags []string, err error) {
	if s == "[]" {
		return nil, nil
	}
	err = json.Unmarshal([]byte(s), &tags)
	return tags, err
}

func nullID(id uuid.UUID) any {
	if id == uuid.Nil {
		return nil
	}
	return id[:]
}

func nullRow(row int64) any {
	if row == 0 {
		return nil
	}
	return row
}

func newID() uuid.UUID { return uuid.Must(uuid.NewV7()) } // fails only when the system has no randomness

package memory

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

func (c Create) check() error {
	k := &checker{op: "create"}
	k.content(c.Content)
	k.name("kind", c.Kind, false)
	k.name("source", c.Source, false)
	k.name("context", c.Context, false)
	k.names("tags", c.Tags, MaxTags)
	k.names("collections", c.Collections, MaxCollections)
	k.metadata(c.Metadata)
	k.span(c.ValidFrom, c.ValidTo)
	k.span(c.ExpiresAt, time.Time{})
	k.span(c.CreatedAt, time.Time{})
	if c.TTL < 0 {
		k.fail("the time to live is negative", `e.g. "ttl_seconds": 86400`)
	}
	if c.Confidence != nil {
		k.unit("confidence", *c.Confidence)
	}
	if c.Importance != nil {
		k.unit("importance", *c.Importance)
	}
	return k.err
}

func (c Create) plan(t *txn) (Result, error) {
	if err := c.check(); err != nil {
		return Result{}, err
	}
	if err := t.mayWrite("create", Context, c.Context); err != nil {
		return Result{}, err
	}
	c.Collections = orderedSet(c.Collections)
	for _, name := range c.Collections {
		if err := t.mayWrite("create", Collection, name); err != nil {
			return Result{}, err
		}
	}
	if scope := t.who.Scope; scope != nil && scope.WriteCollections != nil && len(c.Collections) == 0 {
		return Result{}, denied("create", "no collection", "the agent's manifest lets it write into some collections only: name one of them")
	}
	if (c.ID != "" || !c.CreatedAt.IsZero()) && !t.who.Can(Admin) {
		return Result{}, denied("create", "id and created_at", "they are kept for imports by an admin; leave them out")
	}
	if twin, err := t.findTwin(c); err != nil {
		return Result{}, err
	} else if twin != nil {
		return t.createAgain(c, twin)
	}
	id := c.staged
	if id == uuid.Nil {
		id = newID()
	}
	if c.ID != "" {
		var err error
		if id, err = uuid.Parse(c.ID); err != nil {
			return Result{}, invalid("create", "id "+c.ID, "leave it out, or give a UUID")
		}
	}
	if _, err := t.do(opCreate, id, uuid.Nil, t.createBody(c)); err != nil {
		return Result{}, err
	}
	r, err := t.load(id)
	if err != nil {
		return Result{}, err
	}
	if err := t.createLinks(r, c.Links); err != nil {
		return Result{}, err
	}
	e, err := t.engram(r)
	return Result{Engram: e}, err
}

// createBody leaves out what is at its default, see fields.complete.
func (t *txn) createBody(c Create) fields {
	created := t.now
	if !c.CreatedAt.IsZero() {
		created = c.CreatedAt.UnixMilli()
	}
	trust := string(t.who.Trust)
	if trust == "" {
		trust = string(TrustAgent)
	}
	if c.TTL > 0 {
		c.ExpiresAt = t.time().Add(c.TTL)
	}
	f := fields{Content: &c.Content, Confidence: c.Confidence, Importance: c.Importance, Trust: &trust, CreatedAt: &created,
		Kind: given(c.Kind), Source: given(c.Source), Author: given(t.who.Name), Context: given(c.Context),
		Metadata: given(compact(c.Metadata)), ValidFrom: given(ms(c.ValidFrom)), ValidTo: given(ms(c.ValidTo)), ExpiresAt: given(ms(c.ExpiresAt)),
		Join: c.Collections}
	if tags := set(c.Tags); len(tags) > 0 {
		f.Tags = &tags
	}
	return f
}

func (t *txn) createLinks(r *record, links []Link) error {
	for _, l := range links {
		l.From = r.id.String()
		if _, err := (SetLink{Link: l}).plan(t); err != nil {
			return err
		}
	}
	return nil
}

// findTwin looks for the live, readable engram that c would duplicate.
func (t *txn) findTwin(c Create) (*record, error) {
	v, err := t.seen()
	if err != nil {
		return nil, err
	}
	if c.ID != "" {
		r, err := t.visible("create", c.ID)
		if err == nil {
			return r, nil
		}
		if id, bad := uuid.Parse(c.ID); bad == nil {
			if r, err := t.load(id); err != nil || r.created || r.purged {
				return nil, or(err, error(&Error{Op: "create", Kind: ErrConflict, Ref: "id " + c.ID, Hint: "an engram with this id was forgotten or purged, or is not yours to read; leave the id out"}))
			}
		}
		return nil, nil
	}
	if c.AllowDuplicate || !t.who.Can(Read) {
		return nil, nil
	}
	kind := c.Kind
	if kind == "" {
		kind = DefaultKind
	}
	hash := twinHash(c.Context, c.Collections, c.Source, kind, c.Content, ms(c.ValidFrom))
	ids, err := collect(t.c, single[[]byte], `SELECT e.id FROM engram e WHERE e.twin = ? AND `+v.where("e")+` ORDER BY e.id`, hash)
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		r, err := t.load(uuid.UUID(id))
		if err != nil {
			return nil, err
		}
		if r.content == c.Content && r.source == c.Source && r.kind == kind && r.context == c.Context && r.validFrom == ms(c.ValidFrom) {
			return r, nil
		}
	}
	return nil, nil
}

// createAgain answers a create whose memory is there already, with the new
// tags and links added to it.
func (t *txn) createAgain(c Create, r *record) (Result, error) {
	if tags := set(append(slices.Clone(r.tags), c.Tags...)); len(tags) > len(r.tags) && len(tags) <= MaxTags {
		if t.writable("create", r) == nil {
			if _, err := t.do(opUpdate, r.id, uuid.Nil, fields{Tags: &tags}); err != nil {
				return Result{}, err
			}
		}
	}
	if err := t.createLinks(r, c.Links); err != nil {
		return Result{}, err
	}
	r, err := t.load(r.id)
	if err != nil {
		return Result{}, err
	}
	e, err := t.engram(r)
	return Result{Engram: e, Duplicate: true}, err
}

func (u Update) plan(t *txn) (Result, error) {
	r, err := t.visible("update", u.ID)
	if err != nil {
		return Result{}, err
	}
	if err := t.writable("update", r); err != nil {
		return Result{}, err
	}
	if u.IfVersion != 0 && u.IfVersion != r.version {
		return Result{}, &Error{Op: "update", Kind: ErrConflict, Ref: fmt.Sprintf("version is %d, not %d", r.version, u.IfVersion),
			Hint: "somebody changed it: read it again with engram_get, merge your change, and use its version as if_version"}
	}
	f, err := u.body(t, r)
	if err != nil {
		return Result{}, err
	}
	if f == nil {
		e, err := t.engram(r)
		return Result{Engram: e}, err
	}
	if _, err := t.do(opUpdate, r.id, uuid.Nil, f); err != nil {
		return Result{}, err
	}
	if r, err = t.load(r.id); err != nil {
		return Result{}, err
	}
	e, err := t.engram(r)
	return Result{Engram: e}, err
}

// body checks u and makes the op's body of what differs from r; nil when
// nothing does.
func (u Update) body(t *txn, r *record) (*fields, error) {
	k := &checker{op: "update"}
	f, changed := &fields{}, false
	text := func(name string, to **string, old string, v *string, required bool) {
		if v == nil || *v == old {
			return
		}
		if name == "content" {
			k.content(*v)
		} else {
			k.name(name, *v, required)
		}
		*to, changed = v, true
	}
	unit := func(name string, to **float64, old float64, v *float64) {
		if v == nil || *v == old {
			return
		}
		k.unit(name, *v)
		*to, changed = v, true
	}
	when := func(to **int64, old int64, v *time.Time) {
		if v == nil || ms(*v) == old {
			return
		}
		k.span(*v, time.Time{})
		n := ms(*v)
		*to, changed = &n, true
	}
	text("content", &f.Content, r.content, u.Content, true)
	text("kind", &f.Kind, r.kind, u.Kind, true)
	text("source", &f.Source, r.source, u.Source, false)
	text("context", &f.Context, r.context, u.Context, false)
	unit("confidence", &f.Confidence, r.confidence, u.Confidence)
	unit("importance", &f.Importance, r.importance, u.Importance)
	when(&f.ValidFrom, r.validFrom, u.ValidFrom)
	when(&f.ValidTo, r.validTo, u.ValidTo)
	when(&f.ExpiresAt, r.expiresAt, u.expiry(t))
	if u.Tags != nil {
		k.names("tags", *u.Tags, MaxTags)
		if tags := set(*u.Tags); !slices.Equal(tags, r.tags) {
			f.Tags, changed = &tags, true
		}
	}
	if u.Metadata != nil {
		k.metadata(u.Metadata)
		if m := compact(u.Metadata); m != r.metadata {
			f.Metadata, changed = &m, true
		}
	}
	from, to := r.validFrom, r.validTo
	if f.ValidFrom != nil {
		from = *f.ValidFrom
	}
	if f.ValidTo != nil {
		to = *f.ValidTo
	}
	k.span(instant(from), instant(to))
	if k.err != nil {
		return nil, k.err
	}
	if f.Context != nil {
		if err := t.mayWrite("update", Context, *f.Context); err != nil {
			return nil, err
		}
	}
	moved, err := u.membership(t, r, f)
	if err != nil || !changed && !moved {
		return nil, err
	}
	return f, nil
}

// expiry is the expiry that u asks for, nil for none.
func (u Update) expiry(t *txn) *time.Time {
	if u.TTL == nil {
		return u.ExpiresAt
	}
	var at time.Time
	if *u.TTL > 0 {
		at = t.time().Add(*u.TTL)
	}
	return &at
}

// membership fills f.Join and f.Leave so that r ends up in u.Collections,
// leaving memberships alone that the caller cannot see.
func (u Update) membership(t *txn, r *record, f *fields) (moved bool, err error) {
	if u.Collections == nil {
		return false, nil
	}
	k := &checker{op: "update"}
	k.names("collections", *u.Collections, MaxCollections)
	if k.err != nil {
		return false, k.err
	}
	v, err := t.seen()
	if err != nil {
		return false, err
	}
	want := orderedSet(*u.Collections)
	if scope := v.who.Scope; scope != nil && scope.WriteCollections != nil && len(want) == 0 {
		return false, denied("update", "no collection", "the agent's manifest lets it write into some collections only: leave it in one of them")
	}
	have, err := members(t.c, v, r.row)
	if err != nil {
		return false, err
	}
	for _, name := range want {
		if slices.Contains(have, name) {
			continue
		}
		if err := t.mayWrite("update", Collection, name); err != nil {
			return false, err
		}
		f.Join = append(f.Join, name)
	}
	for _, name := range have {
		if slices.Contains(want, name) {
			continue
		}
		tags, err := collect(t.c, single[[]byte], `SELECT m.tag FROM member m JOIN grp g ON g.row = m.grp WHERE m.engram = ? AND m.dead = 0 AND g.kind = 'collection' AND g.name = ?`, r.row, name)
		if err != nil {
			return false, err
		}
		if f.Leave == nil {
			f.Leave = map[string][]string{}
		}
		f.Leave[name] = idStrings(tags)
	}
	return len(f.Join)+len(f.Leave) > 0, nil
}

// members are the names of the collections of an engram that v may see.
func members(q querier, v *sight, row int64) ([]string, error) {
	type group struct {
		row  int64
		name string
	}
	all, err := collect(q, func(r *sql.Rows) (g group, err error) { err = r.Scan(&g.row, &g.name); return },
		`SELECT DISTINCT g.row, g.name FROM member m JOIN grp g ON g.row = m.grp WHERE m.engram = ? AND m.dead = 0 ORDER BY g.name`, row)
	var names []string
	for _, g := range all {
		if !v.hidden[g.row] {
			names = append(names, g.name)
		}
	}
	return names, err
}

// engram is a record as the running principal may see it.
func (t *txn) engram(r *record) (*Engram, error) {
	v, err := t.seen()
	if err != nil {
		return nil, err
	}
	e := &Engram{ID: r.id.String(), Content: r.content, Kind: r.kind, Source: r.source, Author: r.author, Trust: Trust(r.trust),
		Confidence: r.confidence, Importance: r.importance, Tags: r.tags, Metadata: object(r.metadata), Context: r.context,
		ValidFrom: instant(r.validFrom), ValidTo: instant(r.validTo), ExpiresAt: instant(r.expiresAt),
		CreatedAt: instant(r.createdAt), UpdatedAt: instant(r.updated), Version: r.version}
	if r.members > 0 {
		e.Collections, err = members(t.c, v, r.row)
	}
	return e, err
}

// Get returns the engrams with these ids, each once, in the order asked for.
// missing lists the ids, as given, of those that the caller cannot have: not
// there, forgotten, expired, or not readable. At most MaxPage ids, and no more of
// them than have MaxPageBytes together.
func (s *Store) Get(ctx context.Context, ids []string, o GetOptions) (engrams []Engram, missing []string, err error) {
	if len(ids) == 0 || len(ids) > MaxPage {
		return nil, nil, invalid("get", fmt.Sprintf("%d ids", len(ids)), fmt.Sprintf("give 1 to %d ids", MaxPage))
	}
	var rows []int64
	err = s.stagedView(ctx, "get", func(v *view) error {
		engrams, missing, rows = nil, nil, nil
		size := 0
		seen := map[uuid.UUID]bool{}
		for _, id := range ids {
			u, err := uuid.Parse(id)
			if err == nil && seen[u] {
				continue
			}
			seen[u] = true
			var found []loaded
			if err == nil {
				if found, err = v.load(`e.id = ?`, "", u[:]); err != nil {
					return err
				}
			}
			if len(found) == 0 {
				missing = append(missing, id)
				continue
			}
			e := found[0]
			if err := v.details(&e, o); err != nil {
				return err
			}
			if size += len(e.Content) + len(e.Metadata); size > MaxPageBytes && len(engrams) > 0 {
				return invalid("get", fmt.Sprintf("these engrams have more than %d bytes together", MaxPageBytes), "give fewer ids at once")
			}
			engrams = append(engrams, e.Engram)
			rows = append(rows, e.row)
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	s.reads.add(rows)
	return engrams, missing, nil
}

// loaded is an engram with its row.
type loaded struct {
	Engram
	row, contextRow, ord, members int64
}

const engramColumns = `e.row, e.id, ifnull(e.context, 0), ifnull((SELECT name FROM grp WHERE row = e.context), ''), e.ord, e.created_at, e.updated_at,
	e.valid_from, e.valid_to, e.expires_at, e.confidence, e.importance, e.version, e.members,
	e.kind, e.source, e.author, e.trust, e.tags, e.metadata, e.content`

func scanEngram(rows *sql.Rows) (e loaded, err error) {
	var id []byte
	var created, updated, from, to, expires int64
	var tags, metadata string
	err = rows.Scan(&e.row, &id, &e.contextRow, &e.Context, &e.ord, &created, &updated, &from, &to, &expires,
		&e.Confidence, &e.Importance, &e.Version, &e.members, &e.Kind, &e.Source, &e.Author, &e.Trust, &tags, &metadata, &e.Content)
	if err != nil {
		return e, err
	}
	e.ID = uuid.UUID(id).String()
	e.CreatedAt, e.UpdatedAt = instant(created), instant(updated)
	e.ValidFrom, e.ValidTo, e.ExpiresAt = instant(from), instant(to), instant(expires)
	e.Metadata = object(metadata)
	e.Tags, err = parseTags(tags)
	return e, err
}

// load reads the visible engrams that meet a condition on e. tail is what
// follows the WHERE: ORDER BY, LIMIT.
func (v *view) load(cond, tail string, args ...any) ([]loaded, error) {
	found, err := collect(v, scanEngram, `SELECT `+engramColumns+` FROM engram e WHERE `+cond+` AND `+v.where("e")+` `+tail, args...)
	if err != nil {
		return nil, err
	}
	for i := range found {
		if found[i].members > 0 {
			if found[i].Collections, err = members(v, v.sight, found[i].row); err != nil {
				return nil, err
			}
		}
	}
	return found, nil
}

// details fills what only Get shows.
func (v *view) details(e *loaded, o GetOptions) error {
	var count, last sql.NullInt64
	if _, err := v.one(`SELECT sum(count), max(last) FROM access WHERE engram = ?`, []any{e.row}, &count, &last); err != nil {
		return err
	}
	e.AccessCount, e.LastAccessed = count.Int64, instant(last.Int64)
	if e.contextRow != 0 {
		id, _ := uuid.Parse(e.ID)
		for _, side := range []struct {
			to        *string
			cmp, sort string
		}{{&e.Previous, "<", "DESC"}, {&e.Next, ">", "ASC"}} {
			var at []byte
			ok, err := v.one(fmt.Sprintf(`SELECT e.id FROM engram e WHERE e.context = ? AND (e.ord, e.id) %s (?, ?) AND %s ORDER BY e.ord %s, e.id %s LIMIT 1`,
				side.cmp, v.where("e"), side.sort, side.sort), []any{e.contextRow, e.ord, id[:]}, &at)
			if err != nil {
				return err
			}
			if ok {
				*side.to = uuid.UUID(at).String()
			}
		}
	}
	if !o.Links {
		return nil
	}
	var err error
	e.Links, err = v.linksOf(e.row)
	return err
}

// ms is a time as stored: milliseconds since 1970, 0 for none. The first
// millisecond of 1970 itself moves by one.
func ms(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	if n := t.UnixMilli(); n != 0 {
		return n
	}
	return 1
}

func instant(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// given is nil for a zero value.
func given[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

func or[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

// set removes repeats and keeps the order; trimmed, and never nil, which an op
// would take for not given.
func set(list []string) []string {
	out := make([]string, 0, len(list))
	for _, s := range list {
		if s = strings.TrimSpace(s); s != "" && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

func orderedSet(list []string) []string {
	out := set(list)
	slices.Sort(out)
	return out
}

// compact is metadata as stored: without needless space, empty for {}.
func compact(raw json.RawMessage) string {
	if raw == nil {
		return ""
	}
	b, err := json.Marshal(raw) // compacts; the checker has seen that it is valid
	if err != nil || string(b) == "{}" || string(b) == "null" {
		return ""
	}
	return string(b)
}

func object(s string) json.RawMessage {
	if s == "" {
		return nil
	}
	return json.RawMessage(s)
}

func idStrings(ids [][]byte) []string {
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = uuid.UUID(id).String()
	}
	return out
}

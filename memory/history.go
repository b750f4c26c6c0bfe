package memory

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"github.com/google/uuid"
)

// chapter is one op of an engram and the state after it.
type chapter struct {
	Version
	fields *fields
	after  record
	joined []string // collections after it
}

// chapters replays the ops of an engram in the order of their clocks.
func chapters(q querier, id uuid.UUID) ([]chapter, error) {
	ops, err := collect(q, func(r *sql.Rows) (o Op, err error) {
		var raw []byte
		var body string
		if err = r.Scan(&raw, &o.Origin, &o.HLC, &o.Principal, &o.Kind, &body); err == nil {
			o.ID, o.Body = uuid.UUID(raw), json.RawMessage(body)
		}
		return o, err
	}, `SELECT id, origin, hlc, principal, kind, body FROM op WHERE target = ? AND kind IN ('create', 'update', 'forget', 'restore') ORDER BY hlc, origin, id`, id[:])
	if err != nil {
		return nil, err
	}
	state := record{id: id, clocks: clocks{}}
	tags := map[string]string{} // op id → the collection it joined
	out := make([]chapter, 0, len(ops))
	for _, o := range ops {
		var f *fields
		var body fields
		if ok, err := o.decode(&body); err != nil {
			return nil, err
		} else if ok {
			f = &body
		}
		state.clocks = clocks{} // in order of time every op wins
		state.merge(clock{o.HLC, o.Origin}, o.Kind == opCreate, f)
		c := chapter{Version: Version{Version: state.version, At: o.HLC.Time(), Principal: o.Principal, Change: o.Kind, Compacted: f == nil}, fields: f}
		if f != nil {
			for _, name := range f.Join {
				tags[o.ID.String()] = name
			}
			for _, seen := range f.Leave {
				for _, tag := range seen {
					delete(tags, tag)
				}
			}
		}
		for _, name := range tags {
			c.joined = append(c.joined, name)
		}
		slices.Sort(c.joined)
		c.joined = slices.Compact(c.joined)
		c.after = state
		out = append(out, c)
	}
	return out, nil
}

// readableThen reports whether the principal could read the engram as it was
// after the chapter: an engram that moved here from a closed context does not
// bring that context's words along.
func (v *sight) readableThen(q querier, c chapter) (bool, error) {
	if v.all() {
		return true, nil
	}
	scope := v.who.Scope
	if scope != nil && scope.ReadContexts != nil && !slices.Contains(scope.ReadContexts, c.after.context) {
		return false, nil
	}
	if scope != nil && scope.ReadCollections != nil && !slices.ContainsFunc(c.joined, func(name string) bool { return slices.Contains(scope.ReadCollections, name) }) {
		return false, nil
	}
	var at int64
	if _, err := q.one(`SELECT row FROM grp WHERE kind = 'context' AND name = ?`, []any{c.after.context}, &at); err != nil || v.hidden[at] {
		return false, err
	}
	open := func(name string) bool { return !v.hiddenNames[name] }
	return len(c.joined) == 0 || slices.ContainsFunc(c.joined, open), nil
}

// History lists the versions of an engram, newest first, the forgotten ones of
// a forgotten engram too. Versions from a time when the engram was where the
// caller may not read are left out. limit goes to MaxPage, 50 if 0.
func (s *Store) History(ctx context.Context, id, cursor string, limit int) (versions []Version, next string, err error) {
	if limit == 0 {
		limit = 50
	}
	if limit < 1 || limit > MaxPage {
		return nil, "", invalid("history", fmt.Sprintf("limit is %d", limit), fmt.Sprintf("it goes from 1 to %d", MaxPage))
	}
	before := int64(1) << 62
	if cursor != "" {
		if before, err = strconv.ParseInt(cursor, 10, 64); err != nil {
			return nil, "", badCursor("history")
		}
	}
	u, err := uuid.Parse(id)
	if err != nil {
		return nil, "", notFound("history", id)
	}
	err = s.view(ctx, "history", func(v *view) error {
		ok, err := v.one(`SELECT 1 FROM engram e WHERE e.id = ? AND `+v.readable("e"), []any{u[:]}, new(int))
		if err != nil {
			return err
		}
		if !ok {
			return notFound("history", id)
		}
		all, err := chapters(v, u)
		if err != nil {
			return err
		}
		for _, c := range slices.Backward(all) {
			if c.Version.Version >= before {
				continue
			}
			ok, err := v.readableThen(v, c)
			if err != nil {
				return err
			}
			if !ok {
				continue
			}
			if len(versions) == limit {
				next = strconv.FormatInt(versions[limit-1].Version, 10)
				break
			}
			versions = append(versions, c.shown(v.sight))
		}
		return nil
	})
	return versions, next, err
}

// shown is a chapter with its fields as a caller sees them: names as in
// Engram, times as text, no memberships by op.
func (c chapter) shown(v *sight) Version {
	out := c.Version
	if c.fields == nil {
		return out
	}
	raw, _ := json.Marshal(c.fields)
	var m map[string]any
	_ = json.Unmarshal(raw, &m) // what was just marshalled
	delete(m, "leave")
	delete(m, "join")
	if c.fields.Join != nil || c.fields.Leave != nil {
		m["collections"] = slices.DeleteFunc(slices.Clone(c.joined), func(name string) bool { return v.hiddenNames[name] })
	}
	for _, k := range []string{"valid_from", "valid_to", "expires_at", "created_at"} {
		if n, ok := m[k].(float64); ok {
			m[k] = ""
			if n != 0 {
				m[k] = instant(int64(n))
			}
		}
	}
	if c.fields.Metadata != nil {
		m["metadata"] = object(*c.fields.Metadata)
	}
	out.Fields = m
	return out
}

// versionFields are the changes that take r back to an earlier version.
func (t *txn) versionFields(r *record, version int64) (*fields, error) {
	v, err := t.seen()
	if err != nil {
		return nil, err
	}
	all, err := chapters(t.c, r.id)
	if err != nil {
		return nil, err
	}
	missing := &Error{Op: "restore", Kind: ErrNotFound, Ref: fmt.Sprintf("version %d", version), Hint: "engram_history lists the versions that can be restored"}
	if version < 1 || version > int64(len(all)) {
		return nil, missing
	}
	c := all[version-1]
	if ok, err := v.readableThen(t.c, c); err != nil || !ok {
		return nil, or(err, error(missing))
	}
	for _, earlier := range all[:version] {
		if earlier.Compacted {
			missing.Ref += " was compacted"
			return nil, missing
		}
	}
	f := &fields{}
	then := &c.after
	diff(&f.Content, r.content, then.content)
	diff(&f.Kind, r.kind, then.kind)
	diff(&f.Source, r.source, then.source)
	diff(&f.Confidence, r.confidence, then.confidence)
	diff(&f.Importance, r.importance, then.importance)
	diff(&f.Metadata, r.metadata, then.metadata)
	diff(&f.Context, r.context, then.context)
	diff(&f.ValidFrom, r.validFrom, then.validFrom)
	diff(&f.ValidTo, r.validTo, then.validTo)
	diff(&f.ExpiresAt, r.expiresAt, then.expiresAt)
	if !slices.Equal(r.tags, then.tags) {
		tags := set(then.tags)
		f.Tags = &tags
	}
	return f, nil
}

func diff[T comparable](to **T, now, then T) {
	if now != then {
		*to = &then
	}
}

package memory

import (
	"context"
	"database/sql"
	"encoding/base64"
	"fmt"
	"slices"

	"github.com/google/uuid"
)

func (c SetGroup) plan(t *txn) (Result, error) {
	op := "set " + string(c.Kind)
	if err := c.check(op); err != nil {
		return Result{}, err
	}
	g, exists, err := t.loadGroup(c.Kind, c.Name)
	if err != nil {
		return Result{}, err
	}
	v, err := t.seen()
	if err != nil {
		return Result{}, err
	}
	if !v.inScope(c.Kind, c.Name) {
		return Result{}, denied(op, c.Name, "the agent's manifest does not list it under write")
	}
	if exists && !g.readableBy(t.who) { // as if it were not there, except that it cannot be made
		exists = false
		if !c.MustExist && !t.who.Can(Admin) {
			return Result{}, denied(op, c.Name, "choose another name")
		}
	}
	switch {
	case c.MustExist && !exists:
		e := notFound(op, c.Name)
		e.Hint = fmt.Sprintf("%s_list shows what there is", c.Kind)
		return Result{}, e
	case c.Create && exists:
		return Result{}, &Error{Op: op, Kind: ErrConflict, Ref: c.Name + " exists", Hint: fmt.Sprintf("change it with %s_update, or just use it", c.Kind)}
	case exists && !t.who.Can(Admin) && !g.writableBy(t.who):
		return Result{}, denied(op, c.Name, "you are not among its writers: ask one of them or an admin")
	}
	b := groupBody{Kind: c.Kind, Name: c.Name, Description: c.Description, Readers: listOf(c.Readers), Writers: listOf(c.Writers)}
	if err := c.keepsAccess(t, op, g); err != nil {
		return Result{}, err
	}
	if _, err := t.do(opGroup, uuid.Nil, uuid.Nil, b); err != nil {
		return Result{}, err
	}
	g, _, err = t.loadGroup(c.Kind, c.Name)
	return Result{Group: &g}, err
}

func (c SetGroup) check(op string) error {
	k := &checker{op: op}
	if c.Kind != Context && c.Kind != Collection {
		k.fail("kind "+string(c.Kind), "use context or collection")
	}
	k.name("name", c.Name, true)
	if c.Description != nil && len(*c.Description) > 4096 {
		k.fail("description is longer than 4096 bytes", "shorten it")
	}
	for _, list := range []*[]string{c.Readers, c.Writers} {
		if list != nil {
			k.names("readers and writers", *list, 1000)
		}
	}
	return k.err
}

// keepsAccess refuses lists that would lock out whoever sets them: only an
// admin may give a group away.
func (c SetGroup) keepsAccess(t *txn, op string, g Group) error {
	if t.who.Can(Admin) || c.Readers == nil && c.Writers == nil {
		return nil
	}
	if c.Readers != nil {
		g.Readers = *c.Readers
	}
	if c.Writers != nil {
		g.Writers = *c.Writers
	}
	if !g.writableBy(t.who) {
		return invalid(op, "the new lists leave you out", fmt.Sprintf("add %q to writers, or ask an admin to set them", t.who.Name))
	}
	return nil
}

func listOf(l *[]string) *nameList {
	if l == nil {
		return nil
	}
	return &nameList{Open: *l == nil, Names: orderedSet(*l)}
}

func (t *txn) loadGroup(kind GroupKind, name string) (g Group, exists bool, err error) {
	g = Group{Kind: kind, Name: name}
	var readers, writers *string
	exists, err = t.c.one(`SELECT description, readers, writers FROM grp WHERE kind = ? AND name = ?`, []any{string(kind), name}, &g.Description, &readers, &writers)
	if err == nil && exists {
		err = g.lists(readers, writers)
	}
	return g, exists, err
}

// Groups lists the contexts or the collections that the caller may read, by
// name, with the number of engrams it sees in each. limit goes to MaxPage, 50 if 0.
func (s *Store) Groups(ctx context.Context, kind GroupKind, cursor string, limit int) (groups []Group, next string, err error) {
	if limit == 0 {
		limit = 50
	}
	if limit < 1 || limit > MaxPage {
		return nil, "", invalid("list", fmt.Sprintf("limit is %d", limit), fmt.Sprintf("it goes from 1 to %d", MaxPage))
	}
	after, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return nil, "", badCursor("list")
	}
	err = s.view(ctx, "list", func(v *view) error {
		type row struct {
			Group
			row int64
		}
		count := `(SELECT count(*) FROM engram e WHERE e.context = g.row AND ` + v.where("e") + `)`
		if kind == Collection {
			count = `(SELECT count(DISTINCT m.engram) FROM member m JOIN engram e ON e.row = m.engram WHERE m.grp = g.row AND m.dead = 0 AND ` + v.where("e") + `)`
		}
		found, err := collect(v, func(r *sql.Rows) (g row, err error) {
			var readers, writers *string
			if err = r.Scan(&g.row, &g.Name, &g.Description, &readers, &writers, &g.Engrams); err == nil {
				err = g.lists(readers, writers)
			}
			g.Kind = kind
			return g, err
		}, `SELECT g.row, g.name, g.description, g.readers, g.writers, `+count+` FROM grp g WHERE g.kind = ? AND g.name > ? AND g.row NOT IN (SELECT value FROM json_each(?)) ORDER BY g.name LIMIT ?`,
			string(kind), string(after), jsonText(v.hiddenRows()), limit+1)
		if err != nil {
			return err
		}
		for i, g := range found {
			if i == limit {
				next = base64.RawURLEncoding.EncodeToString([]byte(found[i-1].Name))
				break
			}
			groups = append(groups, g.Group)
		}
		return nil
	})
	return groups, next, err
}

func (v *sight) hiddenRows() []int64 {
	rows := make([]int64, 0, len(v.hidden))
	for row := range v.hidden {
		rows = append(rows, row)
	}
	slices.Sort(rows)
	return rows
}

func badCursor(op string) *Error {
	return invalid(op, "cursor", "use the cursor of the last answer unchanged, or leave it out to start again")
}

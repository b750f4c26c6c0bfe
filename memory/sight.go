package memory

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// sight is what one principal may see of the groups that list readers or
// writers. Groups that are not listed are open.
type sight struct {
	who           Principal
	now           int64 // ms; engrams that expired before it are gone
	hidden        map[int64]bool
	locked        map[int64]bool // readable, perhaps, but not writable
	hiddenContext []string       // rows, as SQL text
	hiddenGroup   []string
	hiddenNames   map[string]bool // of collections
	scopeContexts []string        // rows of what a scope lists
	scopeGroups   []string
}

// narrowed is v.where for a scope: the engram's place must be on its lists.
func (v *sight) narrowed(e string) (cond string) {
	if s := v.who.Scope; s != nil {
		if s.ReadContexts != nil {
			cond += fmt.Sprintf(` AND ifnull(%s.context, 0) IN (%s)`, e, strings.Join(v.scopeContexts, ","))
		}
		if s.ReadCollections != nil {
			cond += fmt.Sprintf(` AND EXISTS (SELECT 1 FROM member WHERE engram = %s.row AND dead = 0 AND grp IN (%s))`, e, strings.Join(v.scopeGroups, ","))
		}
	}
	return cond
}

// all reports whether nothing that is there is kept from the principal.
func (v *sight) all() bool {
	s := v.who.Scope
	return len(v.hidden) == 0 && (s == nil || s.ReadContexts == nil && s.ReadCollections == nil)
}

// inScope reports whether a scope lets its principal write into a group; the
// group "" stands for no context.
func (v *sight) inScope(kind GroupKind, name string) bool {
	if v.who.Scope == nil {
		return true
	}
	list := v.who.Scope.WriteContexts
	if kind == Collection {
		list = v.who.Scope.WriteCollections
	}
	return list == nil || slices.Contains(list, name)
}

// lookScope finds the rows of the groups that the scope lists for reading, and
// hides the others.
func (v *sight) lookScope(q querier) error {
	s := v.who.Scope
	if s == nil || s.ReadContexts == nil && s.ReadCollections == nil {
		return nil
	}
	rows, err := q.query(`SELECT row, kind, name FROM grp`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var row int64
		var kind GroupKind
		var name string
		if err := rows.Scan(&row, &kind, &name); err != nil {
			return err
		}
		list, found := s.ReadContexts, &v.scopeContexts
		if kind == Collection {
			list, found = s.ReadCollections, &v.scopeGroups
		}
		if list == nil {
			continue
		}
		if slices.Contains(list, name) {
			*found = append(*found, strconv.FormatInt(row, 10))
			continue
		}
		v.hidden[row] = true
		if kind == Collection {
			v.hiddenNames[name] = true
		}
	}
	return rows.Err()
}

// look reads the lists as they stand in q's snapshot.
func look(q querier, who Principal, now int64) (*sight, error) {
	v := &sight{who: who, now: now, hidden: map[int64]bool{}, locked: map[int64]bool{}, hiddenNames: map[string]bool{}}
	if err := v.lookScope(q); err != nil || who.Can(Owner) {
		return v, err
	}
	rows, err := q.query(`SELECT row, kind, name, readers, writers FROM grp WHERE readers IS NOT NULL OR writers IS NOT NULL`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var row int64
		var g Group
		var readers, writers *string
		if err := rows.Scan(&row, &g.Kind, &g.Name, &readers, &writers); err != nil {
			return nil, err
		}
		if err := g.lists(readers, writers); err != nil {
			return nil, err
		}
		if !g.writableBy(who) {
			v.locked[row] = true
		}
		if !g.readableBy(who) {
			v.hidden[row] = true
			text := strconv.FormatInt(row, 10)
			if g.Kind == Context {
				v.hiddenContext = append(v.hiddenContext, text)
			} else {
				v.hiddenGroup = append(v.hiddenGroup, text)
				v.hiddenNames[g.Name] = true
			}
		}
	}
	return v, rows.Err()
}

// lists decodes the stored readers and writers.
func (g *Group) lists(readers, writers *string) error {
	for _, x := range []struct {
		text *string
		to   *[]string
	}{{readers, &g.Readers}, {writers, &g.Writers}} {
		if x.text == nil {
			continue
		}
		if err := json.Unmarshal([]byte(*x.text), x.to); err != nil {
			return fmt.Errorf("list of a group: %w", err)
		}
	}
	return nil
}

// where is the SQL condition under which the engram of table alias e may be
// shown to the principal. Every read goes through it.
func (v *sight) where(e string) string { return v.readable(e) + v.alive(e) }

// alive is the part of where about time and forgetting.
func (v *sight) alive(e string) string {
	return fmt.Sprintf(` AND %[1]s.forgotten = 0 AND (%[1]s.expires_at = 0 OR %[1]s.expires_at > 1000 * unixepoch('subsec'))`, e)
}

// readable is the part of where about rights.
func (v *sight) readable(e string) string {
	s := fmt.Sprintf(`%[1]s.created = 1 AND %[1]s.purged = 0`, e)
	if len(v.hiddenContext) > 0 {
		s += fmt.Sprintf(` AND ifnull(%s.context, 0) NOT IN (%s)`, e, strings.Join(v.hiddenContext, ","))
	}
	if len(v.hiddenGroup) > 0 {
		s += fmt.Sprintf(` AND (%[1]s.members = 0 OR EXISTS (SELECT 1 FROM member WHERE engram = %[1]s.row AND dead = 0 AND grp NOT IN (%[2]s)))`,
			e, strings.Join(v.hiddenGroup, ","))
	}
	return s + v.narrowed(e)
}

// view is a read-only snapshot as one principal sees it.
type view struct {
	*sight
	querier
	s   *Store
	ctx context.Context
}

// snapshot reads from a transaction of the reading pool.
type snapshot struct {
	ctx   context.Context
	tx    *sql.Tx
	stmts *readStatements
}

func (s snapshot) query(query string, args ...any) (*sql.Rows, error) {
	st, err := s.stmts.get(s.ctx, s.tx, query)
	if err != nil {
		return nil, err
	}
	return st.QueryContext(s.ctx, args...)
}

func (s snapshot) one(query string, args []any, dest ...any) (bool, error) {
	st, err := s.stmts.get(s.ctx, s.tx, query)
	if err != nil {
		return false, err
	}
	err = st.QueryRowContext(s.ctx, args...).Scan(dest...)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// view runs f on one snapshot. The caller needs Read.
func (s *Store) view(ctx context.Context, op string, f func(*view) error) error {
	return s.viewAs(ctx, op, Read, f)
}

// stagedView is view, on what is staged under ctx if anything is.
func (s *Store) stagedView(ctx context.Context, op string, f func(*view) error) error {
	if st := s.stageOf(ctx); st != nil {
		who, err := s.caller(ctx, op, Read)
		if err != nil {
			return err
		}
		if ok, err := st.view(ctx, op, who, f); ok {
			return err
		}
	}
	return s.view(ctx, op, f)
}

func (s *Store) viewAs(ctx context.Context, op string, r Rights, f func(*view) error) error {
	who, err := s.caller(ctx, op, r)
	if err != nil {
		return err
	}
	if s.closed() {
		return closedError(op)
	}
	tx, err := s.readDB.BeginTx(ctx, nil)
	if err != nil {
		return storage(op, err)
	}
	defer tx.Rollback()
	v := &view{s: s, ctx: ctx, querier: snapshot{ctx, tx, &s.statements}}
	if v.sight, err = look(v, who, time.Now().UnixMilli()); err != nil {
		return storage(op, err)
	}
	return storage(op, f(v))
}

// seen is the sight of the mutation that is running.
func (t *txn) seen() (*sight, error) {
	if t.sight == nil {
		v, err := look(t.c, t.who, t.now)
		if err != nil {
			return nil, err
		}
		t.sight = v
	}
	return t.sight, nil
}

// visible loads a live engram that the principal may read, or says not found.
func (t *txn) visible(op, id string) (*record, error) { return t.find(op, id, (*sight).where) }

// readable is visible for forgotten and expired engrams too.
func (t *txn) readable(op, id string) (*record, error) { return t.find(op, id, (*sight).readable) }

func (t *txn) find(op, id string, where func(*sight, string) string) (*record, error) {
	v, err := t.seen()
	if err != nil {
		return nil, err
	}
	u, err := uuid.Parse(id)
	if err != nil || !t.who.Can(Read) { // who may not read is told nothing of what is there
		return nil, notFound(op, id)
	}
	ok, err := t.c.one(`SELECT 1 FROM engram e WHERE e.id = ? AND `+where(v, "e"), []any{u[:]}, new(int))
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, notFound(op, id)
	}
	return t.load(u)
}

// writable reports whether the principal may change r: its context and every
// collection it is in.
func (t *txn) writable(op string, r *record) error {
	v, err := t.seen()
	if err != nil || len(v.locked) == 0 && v.who.Scope == nil {
		return err
	}
	deny := denied(op, r.id.String(), "you may read this engram but not change it: ask a writer of its context and collections, or create one of your own and link it")
	if v.locked[r.contextRow] || !v.inScope(Context, r.context) {
		return deny
	}
	type group struct {
		row  int64
		name string
	}
	groups, err := collect(t.c, func(r *sql.Rows) (g group, err error) { err = r.Scan(&g.row, &g.name); return },
		`SELECT DISTINCT g.row, g.name FROM member m JOIN grp g ON g.row = m.grp WHERE m.engram = ? AND m.dead = 0`, r.row)
	if err != nil {
		return err
	}
	for _, g := range groups {
		if v.locked[g.row] || !v.inScope(Collection, g.name) {
			return deny
		}
	}
	if len(groups) == 0 && v.who.Scope != nil && v.who.Scope.WriteCollections != nil {
		return deny
	}
	return nil
}

// mayWrite reports whether the principal may put engrams into a named group.
// One that does not exist yet is made open to the space, so anyone may.
func (t *txn) mayWrite(op string, kind GroupKind, name string) error {
	v, err := t.seen()
	if err != nil {
		return err
	}
	if !v.inScope(kind, name) {
		return denied(op, fmt.Sprintf("%s %q", kind, name), "the agent's manifest does not list it under write: use one that it lists")
	}
	if name == "" || len(v.locked) == 0 {
		return nil
	}
	var row int64
	if _, err := t.c.one(`SELECT row FROM grp WHERE kind = ? AND name = ?`, []any{string(kind), name}, &row); err != nil {
		return err
	}
	if v.locked[row] {
		return denied(op, fmt.Sprintf("%s %s", kind, name), "you are not among its writers: ask one of them, or choose another "+string(kind))
	}
	return nil
}

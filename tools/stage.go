package tools

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"engram-mcp/memory"
)

// A stage holds what the call of an agent has written until the call ends:
// then all of it is committed in one transaction, or none. Until then the call
// sees its own writes in get, update, link and forget, by id; search and graph
// show what is committed. A call within a call has a stage within the stage,
// whose commit joins the outer one.
type stage struct {
	outer *stage

	mu      *sync.Mutex // one for the whole tree
	changes []memory.Change
	engrams map[string]memory.Engram // as they will be
	gone    map[string]bool          // will be forgotten or purged
	links   map[linkKey]*memory.Link // nil: will be removed
	cut     map[[2]string]bool       // all links from the first to the second will be removed
	globals map[string]stagedGlobals // by agent
}

type linkKey struct{ from, to, relation string }

type stagedGlobals struct {
	value    json.RawMessage
	revision int64 // that it replaces; negative replaces any
}

// maxStaged bounds what one call of an agent can change: what one mutation holds.
const maxStaged = memory.MaxBatch

type stageKey struct{}

func stageOf(ctx context.Context) *stage {
	st, _ := ctx.Value(stageKey{}).(*stage)
	return st
}

func newStage(outer *stage) *stage {
	st := &stage{outer: outer, mu: new(sync.Mutex), engrams: map[string]memory.Engram{}, gone: map[string]bool{},
		links: map[linkKey]*memory.Link{}, cut: map[[2]string]bool{}, globals: map[string]stagedGlobals{}}
	if outer != nil {
		st.mu = outer.mu
	}
	return st
}

// begin opens a stage for the writes of a call, as sandbox.Options.Begin asks.
func (a *Agents) begin(ctx context.Context) (context.Context, func(context.Context) error, func()) {
	st := newStage(stageOf(ctx))
	staged := context.WithValue(ctx, stageKey{}, st)
	commit := func(context.Context) error {
		if st.outer == nil {
			return a.committed(staged, a.commit(staged, st))
		}
		st.mu.Lock()
		defer st.mu.Unlock()
		return st.join()
	}
	return staged, commit, func() {}
}

// join hands the writes to the outer stage. The caller holds mu.
func (st *stage) join() error {
	o := st.outer
	if o.count()+len(st.changes) > maxStaged {
		return tooMuch()
	}
	o.changes = append(o.changes, st.changes...)
	for id, e := range st.engrams {
		o.engrams[id] = e
	}
	for id, gone := range st.gone {
		o.gone[id] = gone
	}
	for ends := range st.cut {
		o.cutAll(ends)
	}
	for key, l := range st.links {
		o.links[key] = l
	}
	for name, g := range st.globals {
		o.globals[name] = g
	}
	return nil
}

// count is how many changes this stage and those around it hold.
func (st *stage) count() int {
	n := len(st.changes)
	if st.outer != nil {
		n += st.outer.count()
	}
	return n
}

func tooMuch() error {
	return invalid("", fmt.Sprintf("an agent's call changes more than %d things", maxStaged), "let it do less at once, in several calls")
}

// do makes changes in one transaction, or stages them when an agent makes them.
func do(ctx context.Context, s *memory.Store, requestID string, changes []memory.Change) ([]memory.Result, error) {
	st := stageOf(ctx)
	if st == nil {
		return s.Do(ctx, memory.Mutation{RequestID: requestID, Changes: changes})
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	batch := newStage(st) // all or none
	out := make([]memory.Result, len(changes))
	for i, c := range changes {
		if batch.count() >= maxStaged {
			return nil, tooMuch()
		}
		var err error
		if out[i], err = batch.apply(ctx, s, c); err != nil {
			return nil, err
		}
	}
	return out, batch.join()
}

// unstaged refuses what cannot be taken back when the call of an agent fails.
func unstaged(ctx context.Context) error {
	if stageOf(ctx) == nil {
		return nil
	}
	return &memory.Error{Kind: memory.ErrDenied, Ref: "an agent cannot do this", Hint: "its effect could not be taken back if the agent failed: call the tool itself"}
}

func (st *stage) apply(ctx context.Context, s *memory.Store, c memory.Change) (memory.Result, error) {
	switch c := c.(type) {
	case memory.Create:
		return st.create(ctx, s, c)
	case memory.Update:
		return st.update(ctx, s, c)
	case memory.Forget:
		return st.forget(ctx, s, c.ID, c)
	case memory.Purge:
		if err := mayAdmin(ctx, "purge"); err != nil {
			return memory.Result{}, err
		}
		return st.forget(ctx, s, c.ID, c)
	case memory.SetLink:
		return st.link(ctx, s, c)
	case memory.Unlink:
		return st.unlink(ctx, s, c)
	case memory.SetGroup:
		if err := mayAdmin(ctx, "change contexts and collections"); err != nil {
			return memory.Result{}, err
		}
		g := memory.Group{Kind: c.Kind, Name: c.Name}
		if c.Description != nil {
			g.Description = *c.Description
		}
		st.changes = append(st.changes, c)
		return memory.Result{Group: &g}, nil
	}
	return memory.Result{}, unstaged(ctx)
}

// mayAdmin checks for a change that needs Admin here, because commit gives
// itself that right to set ids.
func mayAdmin(ctx context.Context, what string) error {
	if caller, _ := memory.PrincipalFrom(ctx); caller.Can(memory.Admin) {
		return nil
	}
	return &memory.Error{Kind: memory.ErrDenied, Ref: "missing right admin", Hint: "through an agent only an admin may " + what}
}

func (st *stage) create(ctx context.Context, s *memory.Store, c memory.Create) (memory.Result, error) {
	twin, err := st.twin(ctx, s, c)
	if err != nil {
		return memory.Result{}, err
	}
	if twin != nil {
		return st.createAgain(ctx, s, c, *twin)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return memory.Result{}, err
	}
	caller, _ := memory.PrincipalFrom(ctx)
	links := c.Links
	c.ID, c.CreatedAt, c.Links = id.String(), time.Now().UTC().Truncate(time.Millisecond), nil
	e := memory.Engram{ID: c.ID, Content: c.Content, Kind: c.Kind, Source: c.Source, Author: caller.Name, Trust: caller.Trust,
		Confidence: 1, Importance: .5, Tags: c.Tags, Metadata: c.Metadata, Context: c.Context, Collections: c.Collections,
		ValidFrom: c.ValidFrom, ValidTo: c.ValidTo, ExpiresAt: c.ExpiresAt, CreatedAt: c.CreatedAt, UpdatedAt: c.CreatedAt, Version: 1}
	if e.Kind == "" {
		e.Kind = memory.DefaultKind
	}
	if c.Confidence != nil {
		e.Confidence = *c.Confidence
	}
	if c.Importance != nil {
		e.Importance = *c.Importance
	}
	st.changes = append(st.changes, c)
	st.engrams[c.ID] = e
	return memory.Result{Engram: &e}, st.linkAll(ctx, s, c.ID, links)
}

func (st *stage) linkAll(ctx context.Context, s *memory.Store, from string, links []memory.Link) error {
	for _, l := range links {
		l.From = from
		if _, err := st.link(ctx, s, memory.SetLink{Link: l}); err != nil {
			return err
		}
	}
	return nil
}

// createAgain adds the tags and links of c to the engram that c would repeat.
func (st *stage) createAgain(ctx context.Context, s *memory.Store, c memory.Create, e memory.Engram) (memory.Result, error) {
	tags := slices.Clone(e.Tags)
	for _, t := range c.Tags {
		if !slices.Contains(tags, t) {
			tags = append(tags, t)
		}
	}
	if len(tags) > len(e.Tags) {
		r, err := st.update(ctx, s, memory.Update{ID: e.ID, Tags: &tags})
		if err != nil {
			return memory.Result{}, err
		}
		e = *r.Engram
	}
	return memory.Result{Engram: &e, Duplicate: true}, st.linkAll(ctx, s, e.ID, c.Links)
}

// twin is the engram that c would repeat: one that this call has staged, or
// one in the store. The store is asked by the words of c, for which an equal
// text is the best match there is.
func (st *stage) twin(ctx context.Context, s *memory.Store, c memory.Create) (*memory.Engram, error) {
	if c.AllowDuplicate {
		return nil, nil
	}
	for o := st; o != nil; o = o.outer {
		for _, e := range o.engrams {
			if !st.forgotten(e.ID) && sameMemory(c, e) {
				return &e, nil
			}
		}
	}
	q := memory.Query{Text: shorten(c.Content, 1000), Mode: memory.Text, Limit: 20,
		Filter: memory.Filter{Context: c.Context, Collections: c.Collections, Kind: c.Kind, Source: c.Source}}
	found, err := s.Search(ctx, q)
	if err != nil { // a field that cannot be; the commit says so in better words
		return nil, nil
	}
	for _, h := range found.Hits {
		if e, err := st.find(ctx, s, h.ID); err == nil && sameMemory(c, e) {
			return &e, nil
		}
	}
	return nil, nil
}

func sameMemory(c memory.Create, e memory.Engram) bool {
	kind := c.Kind
	if kind == "" {
		kind = memory.DefaultKind
	}
	sorted := func(l []string) []string { return slices.Compact(slices.Sorted(slices.Values(l))) }
	return c.Content == e.Content && kind == e.Kind && c.Source == e.Source && c.Context == e.Context && c.ValidFrom.Equal(e.ValidFrom) &&
		slices.Equal(sorted(c.Collections), sorted(e.Collections))
}

func (st *stage) update(ctx context.Context, s *memory.Store, u memory.Update) (memory.Result, error) {
	e, err := st.find(ctx, s, u.ID)
	if err != nil {
		return memory.Result{}, err
	}
	if u.IfVersion != 0 && u.IfVersion != e.Version {
		return memory.Result{}, &memory.Error{Kind: memory.ErrConflict, Ref: fmt.Sprintf("version is %d, not %d", e.Version, u.IfVersion),
			Hint: "read it again with engram_get, merge your change, and use its version as if_version"}
	}
	put(&e.Content, u.Content)
	put(&e.Kind, u.Kind)
	put(&e.Source, u.Source)
	put(&e.Confidence, u.Confidence)
	put(&e.Importance, u.Importance)
	put(&e.Tags, u.Tags)
	put(&e.Context, u.Context)
	put(&e.Collections, u.Collections)
	put(&e.ValidFrom, u.ValidFrom)
	put(&e.ValidTo, u.ValidTo)
	put(&e.ExpiresAt, u.ExpiresAt)
	if u.Metadata != nil {
		e.Metadata = u.Metadata
	}
	e.Version++
	e.UpdatedAt = time.Now().UTC().Truncate(time.Millisecond)
	st.changes = append(st.changes, u)
	st.engrams[e.ID] = e
	return memory.Result{Engram: &e}, nil
}

func put[T any](to *T, v *T) {
	if v != nil {
		*to = *v
	}
}

func (st *stage) forget(ctx context.Context, s *memory.Store, id string, c memory.Change) (memory.Result, error) {
	e, err := st.find(ctx, s, id)
	if err != nil {
		return memory.Result{}, err
	}
	st.changes = append(st.changes, c)
	st.gone[e.ID] = true
	return memory.Result{ID: e.ID}, nil
}

func (st *stage) link(ctx context.Context, s *memory.Store, c memory.SetLink) (memory.Result, error) {
	from, to, err := st.ends(ctx, s, c.From, c.To)
	if err != nil {
		return memory.Result{}, err
	}
	c.From, c.To = from, to
	l := c.Link
	st.changes = append(st.changes, c)
	st.links[linkKey{from, to, c.Relation}] = &l
	return memory.Result{Link: &l}, nil
}

func (st *stage) unlink(ctx context.Context, s *memory.Store, c memory.Unlink) (memory.Result, error) {
	from, to, err := st.ends(ctx, s, c.From, c.To)
	if err != nil {
		return memory.Result{}, err
	}
	st.changes = append(st.changes, c)
	if c.Relation == "" {
		st.cutAll([2]string{from, to})
	} else {
		st.links[linkKey{from, to, c.Relation}] = nil
	}
	return memory.Result{Link: &memory.Link{From: from, To: to, Relation: c.Relation}}, nil
}

func (st *stage) ends(ctx context.Context, s *memory.Store, from, to string) (string, string, error) {
	a, err := st.find(ctx, s, from)
	if err != nil {
		return "", "", err
	}
	b, err := st.find(ctx, s, to)
	return a.ID, b.ID, err
}

func (st *stage) cutAll(ends [2]string) {
	for key := range st.links {
		if key.from == ends[0] && key.to == ends[1] {
			delete(st.links, key)
		}
	}
	st.cut[ends] = true
}

// find is the engram with this id as the call sees it.
func (st *stage) find(ctx context.Context, s *memory.Store, id string) (memory.Engram, error) {
	engrams, _, err := st.read(ctx, s, []string{id}, memory.GetOptions{})
	if err == nil && len(engrams) == 0 {
		err = &memory.Error{Kind: memory.ErrNotFound, Ref: id, Hint: "use engram_search to find the id; it may have been forgotten, or not be yours to read"}
	}
	if err != nil {
		return memory.Engram{}, err
	}
	return engrams[0], nil
}

func (st *stage) forgotten(id string) bool {
	for o := st; o != nil; o = o.outer {
		if o.gone[id] {
			return true
		}
	}
	return false
}

func (st *stage) engram(id string) (memory.Engram, bool) {
	for o := st; o != nil; o = o.outer {
		if e, ok := o.engrams[id]; ok {
			return e, true
		}
	}
	return memory.Engram{}, false
}

// read gets engrams by id, as the call of an agent sees them if one makes it.
func read(ctx context.Context, s *memory.Store, ids []string, o memory.GetOptions) ([]memory.Engram, []string, error) {
	st := stageOf(ctx)
	if st == nil {
		return s.Get(ctx, ids, o)
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.read(ctx, s, ids, o)
}

// read lays what is staged over what the store has. The caller holds mu.
func (st *stage) read(ctx context.Context, s *memory.Store, ids []string, o memory.GetOptions) (out []memory.Engram, missing []string, err error) {
	stored, _, err := s.Get(ctx, ids, o)
	if err != nil {
		return nil, nil, err
	}
	base := make(map[string]memory.Engram, len(stored))
	for _, e := range stored {
		base[e.ID] = e
	}
	seen := map[string]bool{}
	for _, asked := range ids {
		id := asked
		if u, err := uuid.Parse(asked); err == nil {
			id = u.String()
		}
		if seen[id] {
			continue
		}
		seen[id] = true
		e, ok := base[id]
		if now, staged := st.engram(id); staged {
			now.AccessCount, now.LastAccessed, now.Previous, now.Next, now.Links = e.AccessCount, e.LastAccessed, e.Previous, e.Next, e.Links
			e, ok = now, true
		}
		if !ok || st.forgotten(id) {
			missing = append(missing, asked)
			continue
		}
		if o.Links {
			e.Links = st.overlay(e.Links, id)
		}
		out = append(out, e)
	}
	return out, missing, nil
}

// overlay is the links of an engram as the call sees them.
func (st *stage) overlay(links []memory.Link, id string) []memory.Link {
	if st.outer != nil {
		links = st.outer.overlay(links, id)
	}
	kept := slices.DeleteFunc(slices.Clone(links), func(l memory.Link) bool {
		_, changed := st.links[linkKey{l.From, l.To, l.Relation}]
		return changed || st.cut[[2]string{l.From, l.To}]
	})
	var more []memory.Link
	for key, l := range st.links {
		if l != nil && (key.from == id || key.to == id) {
			more = append(more, *l)
		}
	}
	slices.SortFunc(more, func(a, b memory.Link) int {
		return slices.Compare([]string{a.From, a.To, a.Relation}, []string{b.From, b.To, b.Relation})
	})
	return append(kept, more...)
}

// commit makes what is staged take effect. The ids of new engrams are set
// here, which needs Admin in the memory; whatever else needs it was refused
// before, when it was staged.
func (a *Agents) commit(ctx context.Context, st *stage) (err error) {
	if len(st.changes) == 0 && len(st.globals) == 0 {
		return nil
	}
	store, release, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer release()
	undo, err := keepGlobals(ctx, store, st.globals)
	if err != nil {
		undo()
		return err
	}
	if len(st.changes) == 0 {
		return nil
	}
	who, _ := memory.PrincipalFrom(ctx)
	who.Rights |= memory.Admin
	if _, err = store.Do(memory.WithPrincipal(ctx, who), memory.Mutation{Changes: st.changes}); err != nil {
		undo()
	}
	return err
}

// keepGlobals stores the globals of agents, and returns how to take that back.
func keepGlobals(ctx context.Context, s *memory.Store, all map[string]stagedGlobals) (undo func(), err error) {
	var undos []func()
	undo = func() {
		for _, f := range undos {
			f()
		}
	}
	for _, name := range sortedKeys(all) {
		before, err := globalsOf(ctx, s, name)
		if err != nil {
			return undo, err
		}
		g := all[name]
		if g.revision < 0 {
			g.revision = before.revision
		}
		if err := s.SetGlobals(ctx, name, g.value, g.revision); err != nil {
			return undo, err
		}
		undos = append(undos, func() {
			_ = s.SetGlobals(context.WithoutCancel(ctx), name, before.value, g.revision+1) // another call may have changed them since; then theirs stay
		})
	}
	return undo, nil
}

func globalsOf(ctx context.Context, s *memory.Store, name string) (stagedGlobals, error) {
	rows, err := s.Agents(ctx)
	if err != nil {
		return stagedGlobals{}, err
	}
	for _, r := range rows {
		if r.Name == name {
			return stagedGlobals{r.Globals, r.Revision}, nil
		}
	}
	return stagedGlobals{}, &memory.Error{Kind: memory.ErrNotFound, Ref: "agent " + quote(name), Hint: "it has been removed: agent_list shows what is installed"}
}

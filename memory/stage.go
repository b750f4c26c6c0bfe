package memory

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"
)

// MaxStaged bounds the changes of one stage.
const MaxStaged = 10 * MaxBatch

// A Stage collects the mutations of a caller that wants all of them or none,
// such as one run of an agent, and makes them in one transaction at Commit.
// Until then nobody else sees anything of them.
//
// What is staged is seen by Do and Get under the stage's context: both run on
// the state as it would be, by id. Search, Walk, History and lists show what
// is committed. Every staged mutation is checked when it is staged, and again
// at Commit, against what others have done meanwhile.
type Stage struct {
	s *Store

	mu     sync.Mutex
	staged []stagedMutation
	count  int
	now    time.Time // of everything staged
	done   bool
	stale  bool
}

type stagedMutation struct {
	Mutation
	who      Principal
	req      *request
	recalled bool // a request that had been made before
	guessed  bool // it was answered without being tried
}

type (
	stageKey struct{ s *Store }
	guessKey struct{ st *Stage }
)

// Stage returns a context under which the store's mutations are staged. The
// stage holds no lock and no transaction; to drop it, forget it.
func (s *Store) Stage(ctx context.Context) (context.Context, *Stage) {
	st := &Stage{s: s, now: time.Now()}
	return context.WithValue(ctx, stageKey{s}, st), st
}

func (s *Store) stageOf(ctx context.Context) *Stage {
	st, _ := ctx.Value(stageKey{s}).(*Stage)
	return st
}

// errUndo ends a provisional write: it has what it wanted to know.
var errUndo = errors.New("undo")

// do stages m and returns the results it would have.
func (st *Stage) do(ctx context.Context, m Mutation, who Principal, req *request) (out []Result, err error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	op := m.Changes[0].verb()
	if st.done {
		return nil, closedError(op)
	}
	if st.count+len(m.Changes) > MaxStaged {
		return nil, invalid(op, "too many changes in one call of an agent", "make them in several calls")
	}
	next := stagedMutation{Mutation: st.named(m), who: who, req: req}
	if ctx.Value(guessKey{st}) != nil && next.guessable() {
		next.guessed = true
		st.add(next)
		return st.guess(next), nil
	}
	err = st.s.write(ctx, op, who, func(t *txn) error {
		t.trial = true
		if err := st.replay(t, st.concerning(next)); err != nil {
			st.stale = true
			return err
		}
		if out, err = st.run(t, next); err != nil {
			return err
		}
		next.recalled = t.recalled
		return errUndo
	})
	if err == nil {
		st.add(next)
	}
	return out, err
}

func (st *Stage) add(m stagedMutation) {
	st.staged = append(st.staged, m)
	st.count += len(m.Changes)
}

// Guess returns a context under which the creation of engrams is answered at
// once, with ids, times and versions alone, as if each was new and allowed. It
// is for callers who are mostly right and can begin again: once the guess turns
// out to be wrong, at the latest at Commit, the stage is Stale.
func (st *Stage) Guess(ctx context.Context) context.Context {
	return context.WithValue(ctx, guessKey{st}, true)
}

// guessable reports whether a mutation creates plain engrams and nothing else.
func (m stagedMutation) guessable() bool {
	for _, c := range m.Changes {
		c, ok := c.(Create)
		if !ok || c.ID != "" || !c.CreatedAt.IsZero() || len(c.Links) > 0 || c.check() != nil {
			return false
		}
	}
	return true
}

func (st *Stage) guess(m stagedMutation) []Result {
	at := instant(st.now.UnixMilli())
	out := make([]Result, len(m.Changes))
	for i, c := range m.Changes {
		out[i].Engram = &Engram{ID: c.(Create).staged.String(), CreatedAt: at, UpdatedAt: at, Version: 1}
	}
	return out
}

// foretold reports whether the results of a mutation are as its caller was
// told.
func (m stagedMutation) foretold(t *txn, out []Result) bool {
	return t.recalled == m.recalled && !(m.guessed && slices.ContainsFunc(out, func(r Result) bool { return r.Duplicate }))
}

// named gives engrams that will be created their ids now, so that what the
// caller is told stays true.
func (st *Stage) named(m Mutation) Mutation {
	m.Changes = slices.Clone(m.Changes)
	for i, c := range m.Changes {
		if c, ok := c.(Create); ok {
			c.staged = newID()
			m.Changes[i] = c
		}
	}
	return m
}

// Stale reports whether something that was staged was found to be impossible
// by now, because of what others have done meanwhile.
func (st *Stage) Stale() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.stale
}

// Mark is where the stage stands, for Back.
func (st *Stage) Mark() int {
	st.mu.Lock()
	defer st.mu.Unlock()
	return len(st.staged)
}

// Back drops what was staged since a Mark: what an inner caller did that then
// failed.
func (st *Stage) Back(mark int) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, m := range st.staged[min(mark, len(st.staged)):] {
		st.count -= len(m.Changes)
	}
	st.staged = st.staged[:min(mark, len(st.staged))]
}

// concerning are the staged mutations that next may have to do with: those
// that share an engram, or a possible duplicate, with it or with one of them,
// and all that change groups or globals. The others need not be made again to
// know what next would do.
func (st *Stage) concerning(next stagedMutation) []stagedMutation {
	marks := make([]map[string]bool, len(st.staged))
	for i := range st.staged {
		marks[i] = st.staged[i].concerns()
	}
	reached := next.concerns()
	in := make([]bool, len(st.staged))
	for i := len(marks) - 1; i >= 0; i-- {
		for k := range marks[i] {
			if in[i] = in[i] || k == "" || reached[k]; in[i] {
				break
			}
		}
		if in[i] {
			maps.Copy(reached, marks[i])
		}
	}
	var out []stagedMutation
	for i, m := range st.staged {
		if in[i] {
			out = append(out, m)
		}
	}
	return out
}

// concerns are the engrams that a mutation names, the content of what it
// creates, and "" for changes that bear on all.
func (m stagedMutation) concerns() map[string]bool {
	out := map[string]bool{}
	for _, c := range m.Changes {
		switch c := c.(type) {
		case Create:
			out[c.staged.String()], out["content:"+c.Content] = true, true
			for _, l := range c.Links {
				out[l.To] = true
			}
		case Update:
			out[c.ID] = true
			if c.Content != nil {
				out["content:"+*c.Content] = true
			}
		case Forget:
			out[c.ID] = true
		case Restore:
			out[c.ID] = true
		case Purge:
			out[c.ID] = true
		case SetLink:
			out[c.From], out[c.To] = true, true
		case Unlink:
			out[c.From], out[c.To] = true, true
		default:
			out[""] = true
		}
	}
	if m.req != nil {
		out["request:"+m.req.id.String()] = true
	}
	return out
}

// replay makes staged mutations again.
func (st *Stage) replay(t *txn, staged []stagedMutation) error {
	for _, m := range staged {
		out, err := st.run(t, m)
		if err != nil {
			return err
		}
		if !m.foretold(t, out) {
			return &Error{Op: m.Changes[0].verb(), Kind: ErrConflict, Ref: "the same was made meanwhile", Hint: "call again: it is answered with what is there"}
		}
	}
	return nil
}

func (st *Stage) run(t *txn, m stagedMutation) ([]Result, error) {
	t.who, t.sight = m.who, nil
	t.now = st.now.UnixMilli()
	return t.mutate(m.Mutation, m.req)
}

// view runs f on the state as it would be; ok is false when nothing is staged,
// and the committed state is as good.
func (st *Stage) view(ctx context.Context, op string, who Principal, f func(*view) error) (ok bool, err error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if len(st.staged) == 0 || st.done {
		return false, nil
	}
	return true, st.s.write(ctx, op, who, func(t *txn) error {
		t.trial = true
		if err := st.replay(t, st.staged); err != nil {
			st.stale = true
			return err
		}
		seen, err := look(t.c, who, time.Now().UnixMilli())
		if err != nil {
			return err
		}
		if err := f(&view{sight: seen, s: st.s, ctx: ctx, querier: t.c}); err != nil {
			return err
		}
		return errUndo
	})
}

// Commit makes everything that was staged, or nothing: an error says which
// change could not be made after all. A stage is committed once.
func (st *Stage) Commit(ctx context.Context) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.done || len(st.staged) == 0 {
		st.done = true
		return nil
	}
	op := st.staged[0].Changes[0].verb()
	err := st.s.write(ctx, op, st.staged[0].who, func(t *txn) error { return st.replay(t, st.staged) })
	st.done, st.stale = err == nil, st.stale || err != nil
	return err
}

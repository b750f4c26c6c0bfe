package tools

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"engram-mcp/memory"
	"engram-mcp/sandbox"
)

// A stage holds what the call of an agent writes until the call ends: then all
// of it takes effect, or none. Calls within the call write into the same
// stage, and take effect with it.
type stage struct {
	writes *memory.Stage

	mu      sync.Mutex
	count   int                      // mutations staged
	spoiled bool                     // a call within failed after it had written
	globals map[string]stagedGlobals // by agent
}

type stagedGlobals struct {
	value    json.RawMessage
	revision int64 // that it replaces; negative replaces any
}

type stageKey struct{}

func stageOf(ctx context.Context) *stage {
	st, _ := ctx.Value(stageKey{}).(*stage)
	return st
}

// begin opens the stage of a call, as sandbox.Options.Begin asks.
func (a *Agents) begin(ctx context.Context) (staged context.Context, commit func(context.Context) error, rollback func()) {
	if outer := stageOf(ctx); outer != nil {
		before := outer.mutations()
		return ctx, func(context.Context) error { return nil }, func() { outer.spoil(before) }
	}
	store, release, err := a.open(ctx)
	if err != nil { // nothing can be staged, so nothing may run
		ended, end := context.WithCancelCause(ctx)
		end(err)
		return ended, func(context.Context) error { return err }, func() {}
	}
	st := &stage{globals: map[string]stagedGlobals{}}
	staged, st.writes = store.Stage(context.WithValue(ctx, stageKey{}, st))
	commit = func(context.Context) error {
		defer release()
		return a.committed(ctx, st.commit(ctx, store))
	}
	return staged, commit, release
}

func (st *stage) mutations() int {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.count
}

// spoil notes that a call within failed, if it has written something: its
// writes cannot be told from the others, so that none of them may take effect.
func (st *stage) spoil(before int) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.spoiled = st.spoiled || st.count > before
}

// commit makes what is staged take effect: the globals first, which are put
// back if the writes then fail.
func (st *stage) commit(ctx context.Context, s *memory.Store) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.spoiled {
		return &memory.Error{Kind: memory.ErrConflict, Ref: "an agent that it ran failed after it had written", Hint: "let the outer agent fail when an inner one does"}
	}
	undo, err := keepGlobals(ctx, s, st.globals)
	if err == nil {
		err = st.writes.Commit(ctx)
	}
	if err != nil {
		undo()
	}
	return err
}

// do makes changes in one transaction, or stages them when an agent makes them.
func do(ctx context.Context, s *memory.Store, requestID string, changes []memory.Change) ([]memory.Result, error) {
	results, err := s.Do(ctx, memory.Mutation{RequestID: requestID, Changes: changes})
	if st := stageOf(ctx); st != nil && err == nil {
		st.mu.Lock()
		st.count++
		st.mu.Unlock()
	}
	return results, err
}

// unstaged refuses what cannot be taken back when the call of an agent fails.
func unstaged(ctx context.Context) error {
	if stageOf(ctx) == nil {
		return nil
	}
	return &memory.Error{Kind: memory.ErrDenied, Ref: "an agent cannot do this", Hint: "its effect could not be taken back if the agent failed: call the tool itself"}
}

// committed is what an agent's caller is told of a commit that ended with err.
func (a *Agents) committed(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, memory.ErrConflict):
		return fmt.Errorf("%w: %w", err, sandbox.ErrConflict)
	}
	if _, kind := Explain(err); kind == "" && ctx.Err() == nil {
		return a.internal(ctx, "commit", err)
	}
	return err
}

// agentState keeps globals in the space of the caller; what a call sets is
// staged with the rest that it writes.
type agentState struct{ a *Agents }

func (s agentState) Globals(ctx context.Context, agent string) (json.RawMessage, int64, error) {
	store, release, err := s.a.open(ctx)
	if err != nil {
		return nil, 0, err
	}
	defer release()
	g, err := globalsOf(ctx, store, agent)
	return g.value, g.revision, err
}

func (s agentState) SetGlobals(ctx context.Context, agent string, value json.RawMessage, version int64) error {
	st := stageOf(ctx)
	st.mu.Lock()
	defer st.mu.Unlock()
	st.globals[agent] = stagedGlobals{value, version}
	return nil
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
		undos = append(undos, func() { // another call may have changed them since; then theirs stay
			_ = s.SetGlobals(context.WithoutCancel(ctx), name, before.value, g.revision+1)
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

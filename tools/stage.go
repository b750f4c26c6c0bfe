package tools

import (
	"context"
	"encoding/json"
	"errors"

	"engram-mcp/memory"
	"engram-mcp/sandbox"
)

type stageKey struct{}

// stageOf is the stage of the agent's call that ctx belongs to, or nil.
func stageOf(ctx context.Context) *memory.Stage {
	st, _ := ctx.Value(stageKey{}).(*memory.Stage)
	return st
}

// begin opens the stage of a call, as sandbox.Options.Begin asks: what an agent
// writes is held until its call ends, and then all of it takes effect or none.
// A call within a call writes into the same stage, and takes back its own part
// alone when it fails.
func (a *Agents) begin(ctx context.Context) (staged context.Context, commit func(context.Context) error, rollback func()) {
	if outer := stageOf(ctx); outer != nil {
		mark := outer.Mark()
		return ctx, func(context.Context) error { return nil }, func() { outer.Back(mark) }
	}
	store, release, err := a.open(ctx)
	if err != nil { // nothing can be staged, so nothing may run
		ended, end := context.WithCancelCause(ctx)
		end(err)
		return ended, func(context.Context) error { return err }, func() {}
	}
	staged, st := store.Stage(ctx)
	commit = func(context.Context) error {
		defer release()
		return a.committed(ctx, st.Commit(ctx))
	}
	return context.WithValue(staged, stageKey{}, st), commit, release
}

// do makes changes in one transaction, or stages them when an agent makes them.
func do(ctx context.Context, s *memory.Store, requestID string, changes []memory.Change) ([]memory.Result, error) {
	return s.Do(ctx, memory.Mutation{RequestID: requestID, Changes: changes})
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
		return errors.Join(sandbox.ErrConflict, err)
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
	return store.Globals(ctx, agent)
}

func (s agentState) SetGlobals(ctx context.Context, agent string, value json.RawMessage, version int64) error {
	store, release, err := s.a.open(ctx)
	if err != nil {
		return err
	}
	defer release()
	_, err = do(ctx, store, "", []memory.Change{memory.SetGlobals{Agent: agent, Globals: value, Revision: version}})
	return s.a.committed(ctx, err)
}

package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
)

// fake is a runtime whose agents are Go functions by the name of their action.
type fake struct {
	acts map[string]func(context.Context, Call) (Result, error)

	mu           sync.Mutex
	inits        int
	closes       int
	open         atomic.Int64 // agents loaded and not closed
	initErr      error
	capabilities []Action
}

func (f *fake) Kind() string                { return "fake" }
func (f *fake) Features() Features          { return Features{} }
func (f *fake) Close(context.Context) error { return nil }

func (f *fake) Load(_ context.Context, m Manifest, code []byte) (Agent, error) {
	if strings.HasPrefix(string(code), "broken") {
		return nil, errors.New("does not parse")
	}
	f.open.Add(1)
	return &fakeAgent{rt: f, man: m, code: string(code)}, nil
}

type fakeAgent struct {
	rt      *fake
	man     Manifest
	code    string
	running atomic.Int64
	closed  atomic.Bool
}

func (a *fakeAgent) Initialize(_ context.Context, c *Context) error {
	a.rt.mu.Lock()
	defer a.rt.mu.Unlock()
	a.rt.inits++
	return a.rt.initErr
}

func (a *fakeAgent) Execute(ctx context.Context, c Call) (Result, error) {
	if a.closed.Load() {
		panic("Execute after Close")
	}
	if n := a.running.Add(1); n > a.man.Limits.Concurrency {
		panic("more calls at once than allowed")
	}
	defer a.running.Add(-1)
	return a.rt.acts[c.Action](ctx, c)
}

func (a *fakeAgent) Capabilities() []Action {
	if a.rt.capabilities != nil {
		return a.rt.capabilities
	}
	return a.man.Actions
}

func (a *fakeAgent) Close(context.Context) error {
	if a.running.Load() != 0 || a.closed.Swap(true) {
		panic("closed while running, or twice")
	}
	a.rt.mu.Lock()
	a.rt.closes++
	a.rt.mu.Unlock()
	a.rt.open.Add(-1)
	return nil
}

func (f *fake) manifest(name string, edit ...func(*Manifest)) Manifest {
	m := Manifest{Name: name, Runtime: "fake", Grants: []string{"engram_create", "agent_run"}}
	for a := range f.acts {
		m.Actions = append(m.Actions, Action{Name: a})
	}
	for _, e := range edit {
		e(&m)
	}
	return m
}

// count adds one to the agent's globals by way of its host.
func count(ctx context.Context, c Call) (Result, error) {
	raw, err := c.Host(ctx, "globals_get", nil)
	if err != nil {
		return Result{}, err
	}
	var g struct{ N int }
	if err := json.Unmarshal(raw, &g); err != nil {
		return Result{}, err
	}
	g.N++
	raw, _ = json.Marshal(g)
	if _, err := c.Host(ctx, "globals_set", raw); err != nil {
		return Result{}, err
	}
	return Result{Output: raw}, nil
}

package sandbox

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
)

// globals keeps every agent's globals: in a State, or in memory.
type globals struct {
	state State

	mu   sync.Mutex
	mem  map[string]cell
	next int64 // versions are never used twice, not even by an agent of the same name
}

// A cell is one agent's globals at some version.
type cell struct {
	value   json.RawMessage
	version int64 // negative: written without having been read
	dirty   bool
}

func newGlobals(s State) *globals { return &globals{state: s, mem: map[string]cell{}} }

var noGlobals = json.RawMessage("{}")

func (g *globals) load(ctx context.Context, agent string) (json.RawMessage, int64, error) {
	if g.state != nil {
		v, n, err := g.state.Globals(ctx, agent)
		if len(v) == 0 {
			v = noGlobals
		}
		return v, n, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if c, ok := g.mem[agent]; ok {
		return c.value, c.version, nil
	}
	return noGlobals, 0, nil
}

// commit makes a call's globals and its staged writes take effect, both or
// neither.
func (g *globals) commit(ctx, staged context.Context, l *ledger, commit func(context.Context) error) error {
	dirty := l.dirty()
	if len(dirty) == 0 {
		return commit(ctx)
	}
	if g.state != nil {
		for _, agent := range dirty {
			if err := g.state.SetGlobals(staged, agent, l.cells[agent].value, l.cells[agent].version); err != nil {
				return err
			}
		}
		return commit(ctx)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, agent := range dirty {
		if v := l.cells[agent].version; v >= 0 && v != g.mem[agent].version {
			return ErrConflict
		}
	}
	if err := commit(ctx); err != nil {
		return err
	}
	for _, agent := range dirty {
		g.next++
		g.mem[agent] = cell{value: l.cells[agent].value, version: g.next}
	}
	return nil
}

// forget drops the globals of an unloaded agent that are kept in memory.
func (g *globals) forget(agent string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.mem, agent)
}

// A ledger holds the globals that one call has read and written, and those
// of the calls inside it that succeeded. Only the outermost is committed.
type ledger struct {
	source *globals
	parent *ledger
	mu     *sync.Mutex // one for the whole tree
	cells  map[string]*cell
}

func newLedger(source *globals, parent *ledger) *ledger {
	l := &ledger{source: source, parent: parent, cells: map[string]*cell{}, mu: new(sync.Mutex)}
	if parent != nil {
		l.mu = parent.mu
	}
	return l
}

// get returns an agent's globals as this call sees them.
func (l *ledger) get(ctx context.Context, agent string) (json.RawMessage, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c := l.find(agent); c != nil {
		return c.value, nil
	}
	value, version, err := l.source.load(ctx, agent)
	if err != nil {
		return nil, err
	}
	l.cells[agent] = &cell{value: value, version: version}
	return value, nil
}

// set replaces an agent's globals in this call.
func (l *ledger) set(agent string, value []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := &cell{version: -1}
	if known := l.find(agent); known != nil {
		c.version = known.version
	}
	c.value, c.dirty = slices.Clone(value), true
	l.cells[agent] = c
}

func (l *ledger) find(agent string) *cell {
	for ; l != nil; l = l.parent {
		if c := l.cells[agent]; c != nil {
			return c
		}
	}
	return nil
}

// join hands what a call inside another read and wrote to the outer one.
func (l *ledger) join() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for agent, c := range l.cells {
		l.parent.cells[agent] = c
	}
}

func (l *ledger) dirty() []string {
	var names []string
	for agent, c := range l.cells {
		if c.dirty {
			names = append(names, agent)
		}
	}
	slices.Sort(names)
	return names
}

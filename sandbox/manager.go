package sandbox

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// Options configure a Manager. The zero value works.
type Options struct {
	Policy Policy
	// Begin opens the staging of one call's writes. The call's host gets
	// ctx2. Exactly one of commit and rollback is called, commit only when
	// the call succeeded; an error of commit fails the call, and one that
	// matches ErrConflict makes it run again, once. A call that an agent
	// makes from inside another begins from that one's ctx2, so that its
	// commit joins the outer staging. nil stages nothing.
	Begin func(ctx context.Context) (ctx2 context.Context, commit func(context.Context) error, rollback func())
	// State keeps globals; nil keeps them in memory until the agent is
	// unloaded.
	State State
	// Observe is told of every finished call, for metrics and statistics
	// that outlive the process. It is given the caller's context, which may
	// be done, and must be fast and safe for concurrent use.
	Observe func(ctx context.Context, agent, action string, r Result, err error)
	// MaxAgents bounds the agents loaded at once; 0 means 256.
	MaxAgents int
	// Queue bounds the calls that wait for one agent; 0 means 64.
	Queue int
}

// State keeps agents' globals where they outlive the process.
type State interface {
	// Globals returns an agent's globals and their version. An agent
	// without any has {} and version 0.
	Globals(ctx context.Context, agent string) (value json.RawMessage, version int64, err error)
	// SetGlobals replaces them if the version is still the given one, else
	// it fails with ErrConflict; a negative version replaces anything. It
	// is called with the ctx2 of Options.Begin just before commit, so that
	// it can become part of the same transaction.
	SetGlobals(ctx context.Context, agent string, value json.RawMessage, version int64) error
}

// A Manager holds loaded agents by name and runs them within their limits
// and grants. Its methods may be called concurrently. It does not own its
// runtimes: close those after it.
type Manager struct {
	opts     Options
	runtimes map[string]Runtime
	globals  *globals

	mu     sync.Mutex
	agents map[string]*slot
	closed bool
	live   sync.WaitGroup // generations that are not closed yet
}

// A slot is a name: what stays when its code is replaced.
type slot struct {
	loading sync.Mutex // held while code is loaded
	current *generation
	number  int // of the current generation

	statsMu sync.Mutex
	stats   Stats
}

// A Listing describes a loaded agent.
type Listing struct {
	Name       string
	Generation int      // 1 at first, one more with every replacement
	Manifest   Manifest // with the limits in force and the actions offered
	Kind       string
	SHA256     string // of the code
	Features   Features
	Loaded     time.Time
	Stats      Stats
}

// NewManager returns a manager that loads agents with the given runtimes.
func NewManager(opts Options, runtimes ...Runtime) *Manager {
	m := &Manager{opts: opts, runtimes: map[string]Runtime{}, globals: newGlobals(opts.State), agents: map[string]*slot{}}
	m.opts.MaxAgents = cmp.Or(opts.MaxAgents, 256)
	m.opts.Queue = cmp.Or(opts.Queue, 64)
	for _, r := range runtimes {
		m.runtimes[r.Kind()] = r
	}
	return m
}

// Load makes an agent available under its manifest's name. If the name is
// taken, new calls go to the new code at once, calls that run or wait finish
// on the old, and the globals and stats stay. On error the old code serves on.
func (m *Manager) Load(ctx context.Context, man Manifest, code []byte) (Listing, error) {
	fail := loadError(man.Name)
	s, err := m.reserve(man.Name)
	if err != nil {
		return Listing{}, fail(err)
	}
	defer s.loading.Unlock()
	g, err := m.build(ctx, man, code, s.snapshot())
	if err != nil {
		m.release(man.Name, s)
		return Listing{}, fail(err)
	}
	old, err := m.publish(s, g)
	if err != nil {
		_ = g.agent.Close(context.WithoutCancel(ctx))
		return Listing{}, fail(err)
	}
	if old != nil {
		old.retire()
	}
	return m.listing(s, g), nil
}

// reserve returns the slot of a name, new if need be, for one load at a time.
func (m *Manager) reserve(name string) (*slot, error) {
	for {
		s, err := m.slot(name)
		if err != nil {
			return nil, err
		}
		s.loading.Lock()
		m.mu.Lock()
		still := m.agents[name] == s
		m.mu.Unlock()
		if still {
			return s, nil
		}
		s.loading.Unlock() // another load failed, or the agent was unloaded
	}
}

func (m *Manager) slot(name string) (*slot, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, ErrClosed
	}
	s := m.agents[name]
	if s == nil {
		if len(m.agents) >= m.opts.MaxAgents {
			return nil, &Error{Kind: ErrBusy, Err: fmt.Errorf("%d agents are loaded", len(m.agents)), Hint: "remove an agent that is no longer needed"}
		}
		s = &slot{}
		m.agents[name] = s
	}
	return s, nil
}

// publish makes a generation the current one of its slot and returns the one
// before. A load that an unload overtook comes after it.
func (m *Manager) publish(s *slot, g *generation) (old *generation, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	name := g.man.Name
	switch {
	case m.closed:
		return nil, ErrClosed
	case m.agents[name] == nil:
		m.agents[name] = s
		s.current = nil
	case m.agents[name] != s:
		return nil, &Error{Kind: ErrConflict, Err: errors.New("it was unloaded and loaded again meanwhile"), Hint: "load it again if this version is the right one"}
	}
	old = s.current
	s.current = g
	s.number++
	g.number = s.number
	m.live.Add(1)
	g.done = m.live.Done
	return old, nil
}

// release forgets a name for which nothing was ever loaded.
func (m *Manager) release(name string, s *slot) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s.current == nil && m.agents[name] == s {
		delete(m.agents, name)
	}
}

// build checks the manifest, loads the code and initializes the agent.
func (m *Manager) build(ctx context.Context, man Manifest, code []byte, stats Stats) (*generation, error) {
	if err := man.Check(); err != nil {
		return nil, err
	}
	rt := m.runtimes[man.Runtime]
	if rt == nil {
		kinds := slices.Sorted(maps.Keys(m.runtimes))
		return nil, badManifest("runtime", "use one of "+strings.Join(kinds, ", "), "there is no runtime %q here", man.Runtime)
	}
	sum := sha256.Sum256(code)
	hash := hex.EncodeToString(sum[:])
	if man.SHA256 != "" && man.SHA256 != hash {
		return nil, badManifest("sha256", "install the code that the manifest names, or correct the manifest", "the code has %s", hash)
	}
	man.Limits = m.opts.Policy.Resolve(man.Limits)
	if man.Private() {
		man.Limits.Concurrency = 1
	}
	agent, err := rt.Load(ctx, man, code)
	if err != nil {
		return nil, err
	}
	g := &generation{m: m, man: man, rt: rt, agent: agent, hash: hash, loaded: time.Now()}
	g.slots = make(chan struct{}, man.Limits.Concurrency)
	if err = g.initialize(ctx, stats); err == nil {
		err = g.offer(agent.Capabilities())
	}
	if err != nil {
		_ = agent.Close(context.WithoutCancel(ctx))
		return nil, err
	}
	return g, nil
}

// Unload takes an agent away. Calls that run or wait finish first; if ctx is
// done before, they finish on their own and Unload returns its error.
func (m *Manager) Unload(ctx context.Context, name string) error {
	m.mu.Lock()
	s := m.agents[name]
	if s == nil || s.current == nil {
		m.mu.Unlock()
		return m.notFound("unload", name)
	}
	delete(m.agents, name)
	g := s.current
	m.mu.Unlock()
	drained := g.retire()
	m.globals.forget(name)
	select {
	case <-drained:
		return nil
	case <-ctx.Done():
		return &Error{Op: "unload", Agent: name, Kind: ErrBusy, Err: ctx.Err(), Hint: "its last calls end at their time limit; nothing else is to be done"}
	}
}

// Agent describes one loaded agent.
func (m *Manager) Agent(name string) (Listing, error) {
	m.mu.Lock()
	s := m.agents[name]
	var g *generation
	if s != nil {
		g = s.current
	}
	m.mu.Unlock()
	if g == nil {
		return Listing{}, m.notFound("find", name)
	}
	return m.listing(s, g), nil
}

// Agents describes all loaded agents, by name.
func (m *Manager) Agents() []Listing {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := make([]Listing, 0, len(m.agents))
	for _, s := range m.agents {
		if s.current != nil {
			list = append(list, m.listing(s, s.current))
		}
	}
	slices.SortFunc(list, func(a, b Listing) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// Context returns what the named agent is apart from its code.
func (m *Manager) Context(ctx context.Context, name string) (Context, error) {
	l, err := m.Agent(name)
	if err != nil {
		return Context{}, err
	}
	value, _, err := m.globals.load(ctx, name)
	if err != nil {
		return Context{}, &Error{Op: "read globals of", Agent: name, Kind: err, Hint: "check the store"}
	}
	return Context{ID: name, Globals: slices.Clone(value), Capabilities: sortedGrants(&l.Manifest), Stats: l.Stats}, nil
}

// Close unloads every agent and waits for their calls, at most until ctx is
// done. Closing twice is fine.
func (m *Manager) Close(ctx context.Context) error {
	m.mu.Lock()
	m.closed = true
	for name, s := range m.agents {
		if s.current != nil {
			s.current.retire()
		}
		delete(m.agents, name)
	}
	m.mu.Unlock()
	drained := make(chan struct{})
	go func() { m.live.Wait(); close(drained) }()
	select {
	case <-drained:
		return nil
	case <-ctx.Done():
		return &Error{Op: "close", Kind: ErrBusy, Err: ctx.Err(), Hint: "calls are still running; they end at their time limits"}
	}
}

func (m *Manager) listing(s *slot, g *generation) Listing {
	return Listing{Name: g.man.Name, Generation: g.number, Manifest: g.man, Kind: g.rt.Kind(), SHA256: g.hash,
		Features: g.rt.Features(), Loaded: g.loaded, Stats: s.snapshot()}
}

func (m *Manager) notFound(op, name string) error {
	hint := "install it first"
	var names []string
	for _, l := range m.Agents() {
		names = append(names, l.Name)
	}
	if len(names) > 0 {
		hint = "loaded agents: " + shorten(strings.Join(names, ", "), 400)
	}
	return &Error{Op: op, Agent: shorten(Clean(name), 60), Kind: ErrNotFound, Hint: hint}
}

func (s *slot) snapshot() Stats {
	s.statsMu.Lock()
	defer s.statsMu.Unlock()
	return s.stats
}

func sortedGrants(man *Manifest) []string {
	return slices.Compact(slices.Sorted(slices.Values(man.Grants)))
}

// loadError dresses what went wrong during a load.
func loadError(name string) func(error) error {
	return func(err error) error {
		e := &Error{Op: "load", Agent: shorten(Clean(name), 60), Kind: ErrBadAgent, Err: err, Hint: HintOf(err)}
		for _, k := range []error{ErrClosed, ErrBusy, ErrConflict, ErrBadAgent, context.Canceled} {
			if errors.Is(err, k) {
				e.Kind = k
				break
			}
		}
		if e.Hint == "" {
			e.Hint = "check that the code was built for this runtime and starts without error"
		}
		return e
	}
}

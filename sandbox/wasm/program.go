package wasm

import (
	"bytes"
	"container/list"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"sync"

	"engram-mcp/sandbox"
)

// An Interpreter is a Wasm module that runs programs in another language.
//
// It is started once: what _initialize leaves in memory is where every program
// begins. Then initialize is called with the program's text as input, once for
// each program; what that leaves in memory is where every call begins. Both
// run without a host, and neither may keep anything in tables or in globals
// that are not numbers, since only memory and numbers are put back. An export
// memory_used, if there is one, returns below which address everything lies
// that a program has changed, which saves looking at the rest.
type Interpreter struct {
	Wasm []byte // which must not change
	// Exceptions lets the module use exception handling. For every open try
	// block the host keeps a copy of the native stack, which no limit bounds:
	// the module must bound their number by itself.
	Exceptions bool
	// HostMemory is what a call may take of the host beyond its linear memory,
	// in bytes. It counts against Options.Memory while the call runs.
	HostMemory int64
}

// LoadProgram loads a program together with its interpreter. Agents that
// share an interpreter share its compiled code and its idle instances, those
// that share a program and a config also what it is in memory.
func (r *Runtime) LoadProgram(ctx context.Context, m sandbox.Manifest, in Interpreter, program []byte) (sandbox.Agent, error) {
	var kind engineKind
	if in.Exceptions {
		kind = trusted
	}
	a, err := r.load(ctx, m, in.Wasm, codeKey{r.code.sumOf(in.Wasm), kind})
	if err != nil {
		return nil, err
	}
	if !a.code.info.HasExport("initialize") || !a.code.info.HasExport("execute") {
		r.code.put(a.code)
		return nil, badCode("read", "export initialize and execute", errors.New("it is no interpreter"))
	}
	a.program = r.programs.get(a.code, program, a.config)
	a.hostMemory = in.HostMemory
	a.pool = a.code.workers(r, m.Limits.Memory())
	if a.private() {
		a.pool = &pool{keep: 1, lasting: true}
	}
	return a, nil
}

// programDepth is the call depth of interpreters, in units of the meter: their
// main loops have large frames, and they bound their own recursion.
const programDepth = 100_000

// A program is what one or more agents have their interpreter run. Its state
// is what the program is in memory, beyond the interpreter's base; without use
// it is dropped for others, and made anew when it is needed again.
type program struct {
	key  [sha256.Size]byte
	text []byte

	// Guarded by the store's mutex.
	agents int
	state  *state
	able   []sandbox.Action // what it says it can do, nil if it says nothing
	recent *list.Element    // while it has a state
}

// maxPrograms bounds the states of programs, in bytes.
const maxPrograms = 16 << 20

// A programStore keeps each program once, and the states of those that were
// used last.
type programStore struct {
	limit int // of all states, in bytes

	mu       sync.Mutex
	programs map[[sha256.Size]byte]*program
	recent   list.List // of *program, the last used in front
	size     int
}

func newProgramStore() *programStore {
	return &programStore{limit: maxPrograms, programs: map[[sha256.Size]byte]*program{}}
}

// get returns a program for one more agent. The key holds all that its state
// depends on.
func (s *programStore) get(c *code, text, config []byte) *program {
	h := sha256.New()
	h.Write(c.key.sum[:])
	for _, part := range [][]byte{{byte(c.key.kind)}, text, config} {
		h.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(part))))
		h.Write(part)
	}
	key := [sha256.Size]byte(h.Sum(nil))
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.programs[key]
	if p == nil {
		p = &program{key: key, text: bytes.Clone(text)}
		s.programs[key] = p
	}
	p.agents++
	return p
}

// put gives a program back. Its state stays for a while, for the next agent.
func (s *programStore) put(p *program) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.agents--; p.agents == 0 && p.state == nil {
		delete(s.programs, p.key)
	}
}

// state returns a program's state and what it can do; nil if it has been
// dropped.
func (s *programStore) state(p *program) (*state, []sandbox.Action) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.state != nil {
		s.recent.MoveToFront(p.recent)
	}
	return p.state, p.able
}

// keep stores a program's state, and drops those used longest ago.
func (s *programStore) keep(p *program, st *state, able []sandbox.Action) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.state != nil {
		return // another call was quicker
	}
	p.state, p.able, p.recent = st, able, s.recent.PushFront(p)
	s.size += p.weight()
	for s.size > s.limit && s.recent.Len() > 1 {
		s.drop(s.recent.Back().Value.(*program))
	}
}

func (s *programStore) drop(p *program) {
	s.size -= p.weight()
	s.recent.Remove(p.recent)
	p.state, p.recent = nil, nil
	if p.agents == 0 {
		delete(s.programs, p.key)
	}
}

func (p *program) weight() int { return len(p.text) + p.state.memory.weight() }

// workers returns the pool that all agents of an interpreter with the same
// memory limit share. Their idle instances are in the interpreter's base, which
// holds nothing of any program.
func (c *code) workers(r *Runtime, limit int64) *pool {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.pools[limit]
	if p == nil {
		p = &pool{keep: 4 * r.opts.Parallel} // those that wait for the host, too
		if c.pools == nil {
			c.pools = map[int64]*pool{}
		}
		c.pools[limit] = p
		r.memory.enrol(p)
	}
	return p
}

// base returns the state in which every program begins. Two calls at once may
// both make it: to wait for each other could block the gate.
func (a *agent) base(ctx context.Context, t *turn) (*state, error) {
	if s := a.code.base.Load(); s != nil {
		return s, nil
	}
	g, err := newGuest(a.code, a.rt.memory, a.man.Limits.Memory())
	if err != nil {
		return nil, err
	}
	defer g.close()
	if err := a.begin(ctx, g, t); err != nil {
		return nil, err
	}
	if a.code.info.Sticky != "" || !g.plain() {
		return nil, badCode("initialize", "let the interpreter keep its state in memory alone", errors.New("it cannot be put back"))
	}
	a.code.base.CompareAndSwap(nil, g.state())
	return a.code.base.Load(), nil
}

// worker returns an instance in the interpreter's base.
func (a *agent) worker(base *state) (*guest, error) {
	if g := a.pool.take(); g != nil {
		return g, nil
	}
	return a.instance(base)
}

// leaseWorker returns an instance in the state of the program.
func (a *agent) leaseWorker(ctx context.Context, t *turn) (*guest, error) {
	base, err := a.base(ctx, t)
	if err != nil {
		return nil, err
	}
	st, _ := a.rt.programs.state(a.program)
	if st == nil {
		if st, _, err = a.prepare(ctx, t, base); err != nil {
			return nil, err
		}
	}
	g, err := a.worker(base)
	if err != nil {
		return nil, err
	}
	if !g.advance(st) {
		g.close()
		return nil, (&job{guest: g}).outOfMemory(errNoRoom)
	}
	return g, nil
}

// prepare makes and keeps the state of the program.
func (a *agent) prepare(ctx context.Context, t *turn, base *state) (st *state, able []sandbox.Action, err error) {
	g, err := a.worker(base)
	if err != nil {
		return nil, nil, err
	}
	defer func() { a.returnWorker(g, base) }()
	if err := a.read(ctx, g, t); err != nil {
		return nil, nil, err
	}
	used, err := a.used(ctx, g, t)
	if err != nil {
		return nil, nil, err
	}
	st = g.beyond(base, used)
	if able, err = a.ask(ctx, g, t); err != nil {
		return nil, nil, err
	}
	a.rt.programs.keep(a.program, st, able)
	return st, able, nil
}

// used returns how much of its memory an instance may have touched, in bytes.
func (a *agent) used(ctx context.Context, g *guest, t *turn) (int, error) {
	all := len(g.bytes())
	if !a.code.info.HasExport("memory_used") {
		return all, nil
	}
	n, err := a.setup(g, t, nil, nil).invoke(ctx, "memory_used", a.depth())
	return min(all, (int(uint32(n))+grain-1)/grain*grain), err
}

// read has the interpreter read the program.
func (a *agent) read(ctx context.Context, g *guest, t *turn) error {
	return a.makeReady(ctx, g, t, "initialize", a.program.text, rand.NewChaCha8(a.program.key))
}

// returnWorker clears an instance of everything that its last user left.
func (a *agent) returnWorker(g *guest, base *state) {
	if !g.reset(base) {
		g.close()
		return
	}
	a.pool.put(g)
}

// initializeProgram shows that the program starts, and prepares its calls.
func (a *agent) initializeProgram(ctx context.Context, t *turn) error {
	base, err := a.base(ctx, t)
	if err != nil {
		return err
	}
	var able []sandbox.Action
	if a.private() {
		if able, err = a.initializePrivate(ctx, t, base); err != nil {
			return err
		}
	} else {
		var st *state
		if st, able = a.rt.programs.state(a.program); st == nil {
			if _, able, err = a.prepare(ctx, t, base); err != nil {
				return err
			}
		}
	}
	if a.actions = able; able == nil {
		a.actions = a.offered()
	}
	return nil
}

// initializePrivate makes the one instance of a private agent.
func (a *agent) initializePrivate(ctx context.Context, t *turn, base *state) ([]sandbox.Action, error) {
	g, err := a.instance(base)
	if err != nil {
		return nil, err
	}
	var able []sandbox.Action
	if err = a.read(ctx, g, t); err == nil {
		able, err = a.ask(ctx, g, t)
	}
	if err != nil {
		g.close()
		return nil, err
	}
	a.pool.put(g)
	return able, nil
}

package wasm

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"engram-mcp/sandbox"
	"engram-mcp/sandbox/meter"
)

// A guest is one instance of a module. It runs one call at a time and belongs
// to whoever took it from the pool.
type guest struct {
	module  api.Module
	mem     *memory
	fuel    api.MutableGlobal
	stack   api.MutableGlobal
	globals []api.MutableGlobal
	funcs   map[string]api.Function
	vars    map[string][]byte // of Extism plug-ins, while the instance lives
	calls   int
	elapsed time.Duration // on the clock that the guest sees
	idle    time.Time     // since when it has been idle
}

// newGuest makes an instance. No code of the module runs.
func newGuest(c *code, budget *budget, limit int64) (*guest, error) {
	g := &guest{mem: &memory{budget: budget, limit: uint64(limit)}, funcs: map[string]api.Function{}}
	// Taken beforehand: wazero cannot do without the memory that a module begins with.
	if m := c.info.Memory; m != nil && m.Min > 0 && g.mem.Reallocate(uint64(m.Min)*pageSize) == nil {
		return nil, exhausted()
	}
	ctx := experimental.WithMemoryAllocator(context.Background(), g.mem.allocator())
	if c.user != nil {
		ctx = experimental.WithImportResolver(ctx, func(name string) api.Module {
			if name == extismUser {
				return c.user
			}
			return nil
		})
	}
	var err error
	g.module, err = c.engine.rt.InstantiateModule(ctx, c.compiled, wazero.NewModuleConfig().WithName("").WithStartFunctions())
	if err != nil {
		g.mem.Free()
		return nil, badCode("instantiate", "build the module again", errors.New(firstLine(err)))
	}
	g.fuel = g.global(meter.Fuel)
	g.stack = g.global(meter.Stack)
	for i := range c.info.Globals {
		if v := g.module.ExportedGlobal(meter.GlobalPrefix + strconv.Itoa(i)); v != nil {
			g.globals = append(g.globals, v.(api.MutableGlobal))
		}
	}
	return g, nil
}

func (g *guest) global(name string) api.MutableGlobal {
	return g.module.ExportedGlobal(name).(api.MutableGlobal)
}

// close frees the instance. No call runs on it.
func (g *guest) close() {
	_ = g.module.Close(context.Background()) // frees memory, never fails
}

// bytes returns the whole linear memory, as a view. A guest without memory has
// none.
func (g *guest) bytes() []byte { return g.mem.room[:g.mem.size] }

// plain reports whether the globals are numbers that reset can put back, also
// in another instance.
func (g *guest) plain() bool {
	for _, v := range g.globals {
		switch v.Type() {
		case api.ValueTypeI32, api.ValueTypeI64, api.ValueTypeF32, api.ValueTypeF64:
		default:
			return false
		}
	}
	return true
}

// A state is what a guest is put back to before another call may use it.
type state struct {
	memory  image
	globals []uint64
	elapsed time.Duration
}

func (g *guest) state() *state {
	s := &state{memory: takeImage(g.bytes()), elapsed: g.elapsed}
	for _, v := range g.globals {
		s.globals = append(s.globals, v.Get())
	}
	return s
}

// reset puts the guest back and reports whether it could: memory that has
// grown cannot shrink, and a guest that sees more of it than before would
// neither behave nor cost the same.
func (g *guest) reset(s *state) bool {
	mem := g.bytes()
	if len(mem) != s.memory.size {
		return false
	}
	s.memory.restore(mem, g.mem.mapped)
	for i, v := range g.globals {
		v.Set(s.globals[i])
	}
	clear(g.vars)
	g.elapsed = s.elapsed
	g.mem.refused, g.mem.short = false, false
	return true
}

// become makes a new guest what the state is.
func (g *guest) become(s *state) bool { return g.grow(s.memory.size) && g.reset(s) }

func (g *guest) grow(size int) bool {
	more := size - len(g.bytes())
	if more <= 0 {
		return true
	}
	_, ok := g.module.Memory().Grow(uint32(more / pageSize))
	return ok
}

// beyond returns what the guest is beyond the state base, in which it was
// before. Only used bytes of its memory can differ.
func (g *guest) beyond(base *state, used int) *state {
	s := &state{memory: takeDifference(g.bytes()[:used], &base.memory), elapsed: g.elapsed}
	s.memory.size = len(g.bytes())
	for _, v := range g.globals {
		s.globals = append(s.globals, v.Get())
	}
	return s
}

// advance brings a guest that is in the state base to one that was taken
// beyond it.
func (g *guest) advance(s *state) bool {
	if !g.grow(s.memory.size) {
		return false
	}
	s.memory.lay(g.bytes())
	for i, v := range g.globals {
		v.Set(s.globals[i])
	}
	g.elapsed = s.elapsed
	return true
}

// A job is one call while it runs: what the host functions work on.
type job struct {
	guest  *guest
	call   sandbox.Call
	agent  *agent
	turn   *turn
	tank   meter.Tank
	clock  clock
	input  []byte
	output []byte
	result []byte // that the guest has not read yet
	stderr lineBuffer
	// lastLine is the newest that the guest wrote to stderr.
	lastLine []byte
	read     int   // bytes of input read through stdin
	ended    error // why a host function stopped the guest
	exit     int64 // code given to proc_exit, or -1
	extism   *extism
	seed     *rand.ChaCha8 // of random_get while the guest is made ready, then nil
}

type jobKey struct{}

func jobOf(ctx context.Context) *job {
	j, _ := ctx.Value(jobKey{}).(*job)
	return j
}

// errExit ends a guest that called proc_exit.
var errExit = errors.New("exit")

// invoke calls an export and returns its result (0 if it has none). Its turn
// must have been taken. The error is of the sandbox.
func (j *job) invoke(ctx context.Context, name string, depth uint64) (int32, error) {
	f := j.guest.funcs[name]
	if f == nil {
		if f = j.guest.module.ExportedFunction(name); f == nil {
			return 0, badCode("call", "build the module again", errors.New("it has no function "+name))
		}
		j.guest.funcs[name] = f
	}
	first, _ := j.tank.Refill(0)
	j.guest.fuel.Set(uint64(first))
	j.guest.stack.Set(depth)
	var stack [1]uint64
	err := f.CallWithStack(context.WithValue(ctx, jobKey{}, j), stack[:])
	j.tank.Left = max(0, j.tank.Rest(int64(j.guest.fuel.Get())))
	j.guest.fuel.Set(0)
	if err == nil {
		if len(f.Definition().ResultTypes()) == 0 {
			return 0, nil
		}
		return int32(stack[0]), nil
	}
	return 0, j.explain(err)
}

// stopped is the error for a context that is done.
func stopped(err error) error {
	if errors.Is(err, context.Canceled) {
		return &sandbox.Error{Op: "run", Kind: context.Canceled, Hint: "call again if it is still wanted"}
	}
	return &sandbox.Error{Op: "run", Kind: sandbox.ErrTimeout, Err: err, Hint: "ask for less at once, or raise limits.time_ms in the manifest"}
}

// explain says in the terms of the sandbox why the guest stopped.
func (j *job) explain(err error) error {
	if j.exit >= 0 && j.ended == nil {
		return nil
	}
	if j.ended != nil {
		return j.ended
	}
	if j.guest.mem.refused {
		return j.outOfMemory(errors.New(firstLine(err)))
	}
	j.logTrace(err)
	return &sandbox.Error{Op: "run", Kind: sandbox.ErrCrashed, Err: errors.New(firstLine(err)), Hint: "this is a fault of the agent; its logs have the stack"}
}

// exhausted is the error for the memory of all guests together.
func exhausted() error {
	return &sandbox.Error{Op: "run", Kind: sandbox.ErrBusy, Err: errors.New("the memory for agents is used up"), Hint: "try again shortly, or remove agents that need much memory"}
}

func (j *job) outOfMemory(err error) error {
	if j.guest.mem.short {
		return exhausted()
	}
	return &sandbox.Error{Op: "run", Kind: sandbox.ErrMemory, Err: err, Hint: "ask for less at once, or raise limits.memory_mib in the manifest"}
}

// logTrace logs the guest's stack, which wazero appends to its errors.
func (j *job) logTrace(err error) {
	if _, trace, ok := strings.Cut(err.Error(), "\n"); ok && j.call.Log != nil {
		lines := strings.SplitN(strings.TrimPrefix(trace, "wasm stack trace:\n"), "\n", 11)
		j.call.Log(sandbox.LogLine{Level: slog.LevelError, Text: strings.Join(lines[:min(10, len(lines))], "\n")})
	}
}

// A clock is what a guest is told of time through WASI: the wall clock at the
// start of the call, moved on by every look at it and every sleep. Nothing
// ever waits.
type clock struct {
	start   time.Time
	elapsed time.Duration
}

func (c *clock) look() time.Duration {
	c.elapsed += time.Microsecond
	return c.elapsed
}

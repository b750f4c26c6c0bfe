package wasm

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"engram-mcp/sandbox"
	"engram-mcp/sandbox/meter"
)

// An agent is a module with a manifest, and the instances that run it.
type agent struct {
	rt         *Runtime
	man        sandbox.Manifest
	code       *code
	program    *program // for an interpreter, nil otherwise
	hostMemory int64    // see Interpreter
	config     []byte
	configKeys map[string]json.RawMessage
	command    bool // a WASI program: stdin to stdout
	plugin     bool // for Extism

	// The idle instances. Those of an interpreter are shared, see workers; that
	// of a private agent is its only one.
	pool *pool

	// Set by Initialize, read only afterwards.
	actions []sandbox.Action
	fresh   *state // of a module; nil if instances cannot be put back and are used once
	hello   []byte // input of a module's initialize export

	mu     sync.Mutex
	closed bool
}

// Load compiles a module. If ctx is done before that is finished, compiling
// goes on, and a later Load of the same code finds it done.
func (r *Runtime) Load(ctx context.Context, m sandbox.Manifest, wasm []byte) (sandbox.Agent, error) {
	a, err := r.load(ctx, m, wasm, codeKey{sum: sha256.Sum256(wasm)})
	if err != nil {
		return nil, err
	}
	a.pool = &pool{keep: int(m.Limits.Concurrency), lasting: a.private()}
	if !a.private() { // whose instance is its state
		r.memory.enrol(a.pool)
	}
	return a, nil
}

func (r *Runtime) load(ctx context.Context, m sandbox.Manifest, wasm []byte, key codeKey) (*agent, error) {
	if m.Engine == "interpreter" {
		key.kind |= interpreter
	}
	c, err := r.code.get(ctx, wasm, key)
	if err != nil {
		return nil, err
	}
	a := &agent{rt: r, man: m, code: c, plugin: c.info.HasImport(extismEnv)}
	a.config, a.configKeys = parseConfig(m.Config)
	a.command = !a.plugin && c.info.HasExport("_start") && !c.info.HasExport("execute") && len(tools(&c.info)) == 0
	if err := a.check(); err != nil {
		r.code.put(c)
		return nil, err
	}
	return a, nil
}

// check refuses what would fail at every call.
func (a *agent) check() error {
	if m := a.code.info.Memory; m != nil && int64(m.Min)*pageSize > a.man.Limits.Memory() {
		return badCode("read", fmt.Sprintf("raise limits.memory_mib in the manifest to %d or more", (int64(m.Min)*pageSize+1<<20-1)>>20),
			fmt.Errorf("its memory begins with %d pages, which is more than the agent's limit of %d MiB", m.Min, a.man.Limits.MemoryMiB))
	}
	for _, x := range a.code.info.Exports {
		called := x.Name == "execute" || x.Name == "initialize" || x.Name == "capabilities" || x.Name == "_start" || x.Name == "_initialize" || strings.HasPrefix(x.Name, toolPrefix)
		if x.Kind == meter.KindFunc && called && !callable(x.Type) {
			return badCode("read", "declare it without parameters and with one i32 result", fmt.Errorf("export %q has the type %s", x.Name, x.Type))
		}
	}
	for _, action := range a.man.Actions {
		if _, ok := a.entry(action.Name); !ok {
			return badCode("read", fmt.Sprintf("export execute, or %s%s", toolPrefix, strings.ReplaceAll(action.Name, "-", "_")), fmt.Errorf("nothing in it performs action %q", action.Name))
		}
	}
	if len(a.offered()) == 0 {
		return badCode("read", "export execute, as the agent ABI says", errors.New("it exports nothing that performs an action"))
	}
	return nil
}

// toolPrefix begins the names of exports that perform one action each.
const toolPrefix = "tool_"

func callable(t meter.Signature) bool {
	return len(t.Params) == 0 && (len(t.Results) == 0 || len(t.Results) == 1 && byte(t.Results[0]) == i32)
}

// private reports whether the one instance keeps its state. A program that
// ends when it has answered has none.
func (a *agent) private() bool { return a.man.Private() && !a.command }

// An entry is the export that performs an action.
type entry struct {
	export   string
	envelope bool // its input is {"action", "params"} instead of the params
}

// entry finds the export for an action: one of its own, or one for all.
func (a *agent) entry(action string) (entry, bool) {
	info := &a.code.info
	under := strings.ReplaceAll(action, "-", "_")
	own := []string{toolPrefix + action, toolPrefix + under}
	if a.plugin {
		own = append(own, action, under)
	}
	for _, name := range own {
		if t, ok := exportType(info, name); ok && callable(t) {
			return entry{export: name}, true
		}
	}
	if a.command {
		return entry{export: "_start", envelope: len(a.man.Actions) > 1}, true
	}
	return entry{export: "execute", envelope: !a.plugin}, info.HasExport("execute")
}

func exportType(info *meter.Info, name string) (meter.Signature, bool) {
	for _, e := range info.Exports {
		if e.Kind == meter.KindFunc && e.Name == name {
			return e.Type, true
		}
	}
	return meter.Signature{}, false
}

// depth is how deep its calls may nest, in units of the meter.
func (a *agent) depth() uint64 {
	if a.program != nil {
		return programDepth
	}
	return a.code.engine.depth
}

// tools lists the actions that have exports of their own.
func tools(info *meter.Info) []string {
	var names []string
	for _, e := range info.Exports {
		if name, ok := strings.CutPrefix(e.Name, toolPrefix); ok && e.Kind == meter.KindFunc {
			names = append(names, strings.ReplaceAll(name, "_", "-"))
		}
	}
	return names
}

// offered lists the actions that the exports show: those of the manifest, or
// without any what can be told from names.
func (a *agent) offered() []sandbox.Action {
	if len(a.man.Actions) > 0 {
		return a.man.Actions
	}
	var list []sandbox.Action
	for _, name := range tools(&a.code.info) {
		list = append(list, sandbox.Action{Name: name})
	}
	if a.plugin && len(list) == 0 {
		for _, e := range a.code.info.Exports {
			if e.Kind == meter.KindFunc && len(e.Type.Results) == 1 && callable(e.Type) && !strings.HasPrefix(e.Name, "_") {
				list = append(list, sandbox.Action{Name: strings.ReplaceAll(e.Name, "_", "-")})
			}
		}
	}
	if _, ok := a.entry("run"); ok && len(list) == 0 {
		list = []sandbox.Action{{Name: "run"}}
	}
	return list
}

// Capabilities returns the actions that the module offers.
func (a *agent) Capabilities() []sandbox.Action { return a.actions }

// Initialize makes the first instance, which shows that the agent starts, and
// notes its state as the one every call begins with.
func (a *agent) Initialize(ctx context.Context, c *sandbox.Context) error {
	t, leave, err := a.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if a.program == nil || a.private() {
		a.pool.evict()
	}
	if a.program != nil {
		return a.initializeProgram(ctx, t)
	}
	hello, err := json.Marshal(map[string]any{"id": c.ID, "config": json.RawMessage(a.config), "capabilities": c.Capabilities})
	if err != nil {
		return badCode("initialize", "correct config in the manifest", err)
	}
	a.hello, a.fresh = hello, nil
	g, err := a.start(ctx, t)
	if err != nil {
		return err
	}
	if !a.private() && a.code.info.Sticky == "" && g.plain() {
		a.fresh = g.state()
	}
	if a.actions, err = a.ask(ctx, g, t); err != nil {
		g.close()
		return err
	}
	if a.actions == nil {
		a.actions = a.offered()
	}
	a.giveBack(g, false)
	return nil
}

// enter admits a call and waits for its turn. The guest that made the call, if
// it was one, waits for it and gives up its own turn, which may be the only one.
// leave must be called once.
func (a *agent) enter(ctx context.Context) (t *turn, leave func(), err error) {
	if err := a.rt.gate.enter(); err != nil {
		return nil, nil, err
	}
	t = &turn{gate: a.rt.gate}
	if !a.rt.memory.take(a.hostMemory) {
		a.rt.gate.leave()
		return nil, nil, exhausted()
	}
	leave = func() {
		t.give()
		a.rt.memory.give(a.hostMemory)
		a.rt.gate.leave()
	}
	if outer := jobOf(ctx); outer != nil {
		outer.turn.give()
	}
	if err := t.take(ctx); err != nil {
		leave()
		return nil, nil, stopped(err)
	}
	return t, leave, nil
}

// errNoRoom is why an instance could not be put into a state.
var errNoRoom = errors.New("a new instance did not fit")

// instance makes an instance in a state.
func (a *agent) instance(s *state) (*guest, error) {
	g, err := newGuest(a.code, a.rt.memory, a.man.Limits.Memory())
	if err != nil {
		return nil, err
	}
	if !g.become(s) {
		g.close()
		return nil, (&job{guest: g}).outOfMemory(errNoRoom)
	}
	return g, nil
}

// start makes an instance of a module, ready for its first call.
func (a *agent) start(ctx context.Context, t *turn) (*guest, error) {
	if a.fresh != nil {
		return a.instance(a.fresh)
	}
	g, err := newGuest(a.code, a.rt.memory, a.man.Limits.Memory())
	if err != nil {
		return nil, err
	}
	if err := a.begin(ctx, g, t); err != nil {
		g.close()
		return nil, err
	}
	return g, nil
}

// begin runs what must run before the first call, or before the interpreter's
// first program.
func (a *agent) begin(ctx context.Context, g *guest, t *turn) error {
	seed := rand.NewChaCha8(a.code.key.sum)
	for _, export := range a.startup() {
		if err := a.makeReady(ctx, g, t, export, a.hello, seed); err != nil {
			return err
		}
	}
	return nil
}

// setupFuel is what making an instance ready may use at least, whatever the
// agent's calls may: starting a language's runtime costs more than many calls.
const setupFuel = 1_000_000_000

// setup prepares a call that makes an instance ready. It has no host.
func (a *agent) setup(g *guest, t *turn, input []byte, seed *rand.ChaCha8) *job {
	j := a.job(g, t, sandbox.Call{Log: func(l sandbox.LogLine) {
		slog.Debug("agent starting", "agent", a.man.Name, "level", l.Level, "text", sandbox.Clean(l.Text))
	}}, input)
	j.seed = seed
	j.tank.Left = max(j.tank.Left, setupFuel)
	return j
}

// makeReady calls an export that makes an instance ready.
func (a *agent) makeReady(ctx context.Context, g *guest, t *turn, export string, input []byte, seed *rand.ChaCha8) error {
	j := a.setup(g, t, input, seed)
	rc, err := j.invoke(ctx, export, a.depth())
	if err == nil && j.exit > 0 {
		rc = int32(j.exit)
	}
	if err == nil && rc != 0 && (export == "initialize" || j.exit > 0) {
		err = badCode("initialize", "correct what the message says", j.failure(rc))
	}
	g.elapsed = j.clock.elapsed
	return err
}

// startup lists the exports that make an instance ready, in their order.
func (a *agent) startup() []string {
	info := &a.code.info
	var list []string
	if info.Start {
		list = append(list, meter.Start)
	}
	if info.HasExport("_initialize") {
		list = append(list, "_initialize")
	} else if a.plugin && info.HasExport("_start") {
		list = append(list, "_start")
	}
	if !a.command && a.program == nil && info.HasExport("initialize") {
		list = append(list, "initialize")
	}
	return list
}

// ask calls the export capabilities, if there is one. Nil means that it is left
// to the manifest and the exports.
func (a *agent) ask(ctx context.Context, g *guest, t *turn) ([]sandbox.Action, error) {
	if a.command || !a.code.info.HasExport("capabilities") {
		return nil, nil
	}
	j := a.setup(g, t, a.hello, rand.NewChaCha8(a.code.key.sum))
	rc, err := j.invoke(ctx, "capabilities", a.depth())
	if err != nil {
		return nil, err
	}
	var list []sandbox.Action
	if rc != 0 {
		err = j.failure(rc)
	} else {
		err = json.Unmarshal(j.output, &list)
	}
	if err != nil {
		return nil, badCode("initialize", "let capabilities output a JSON list of actions, each with a name, or leave it out", fmt.Errorf("capabilities: %w", err))
	}
	return list, nil
}

// job prepares a call on an instance.
func (a *agent) job(g *guest, t *turn, c sandbox.Call, input []byte) *job {
	j := &job{guest: g, call: c, agent: a, turn: t, input: input, exit: -1}
	j.tank = meter.Tank{Left: a.man.Limits.Fuel, Slice: a.code.engine.slice}
	j.clock = clock{start: time.Now().Add(-g.elapsed), elapsed: g.elapsed}
	return j
}

// Execute performs an action on an instance that nobody else has meanwhile.
func (a *agent) Execute(ctx context.Context, c sandbox.Call) (sandbox.Result, error) {
	e, ok := a.entry(c.Action)
	if !ok {
		return sandbox.Result{}, &sandbox.Error{Op: "run", Kind: sandbox.ErrUnknownAction, Err: fmt.Errorf("%q", c.Action), Hint: "name one of its actions"}
	}
	t, leave, err := a.enter(ctx)
	if err != nil {
		return sandbox.Result{}, err
	}
	defer leave()
	g, err := a.lease(ctx, t)
	if err != nil {
		return sandbox.Result{}, err
	}
	input := []byte(c.Params)
	if e.envelope {
		input = envelope(c.Action, c.Params)
	} else if a.command {
		input = stdin(c.Params)
	}
	j := a.job(g, t, c, input)
	rc, err := j.invoke(ctx, e.export, a.depth())
	j.stderr.flush(j.printed)
	g.elapsed = j.clock.elapsed
	if err == nil {
		err = j.outcome(rc)
	}
	res := sandbox.Result{Usage: sandbox.Usage{Fuel: a.man.Limits.Fuel - j.tank.Left, PeakMemory: int64(len(g.bytes())), Reused: g.calls > 0}}
	if err == nil {
		res.Output = j.output
		if a.command || a.plugin {
			res.Output = asJSON(j.output)
		}
	}
	g.calls++
	a.giveBack(g, err != nil && !errors.Is(err, sandbox.ErrFailed))
	return res, err
}

func envelope(action string, params []byte) []byte {
	b := append(make([]byte, 0, len(params)+len(action)+24), `{"action":"`...)
	b = append(append(b, action...), `","params":`...) // names need no escaping
	return append(append(b, params...), '}')
}

// stdin returns what a program reads: text, if the parameters are a string or
// {"stdin": "…"}, else the parameters as they are.
func stdin(params []byte) []byte {
	var text string
	if json.Unmarshal(params, &text) == nil && text != "" {
		return []byte(text)
	}
	var keys map[string]json.RawMessage
	if json.Unmarshal(params, &keys) == nil && len(keys) == 1 && json.Unmarshal(keys["stdin"], &text) == nil {
		return []byte(text)
	}
	return params
}

// asJSON returns text that is not JSON as a JSON string: programs that know
// nothing of agents print plain text.
func asJSON(out []byte) []byte {
	if json.Valid(out) {
		return out
	}
	quoted, _ := json.Marshal(strings.ToValidUTF8(string(out), "\ufffd")) // strings always encode
	return quoted
}

// outcome turns what the guest returned into an error, or nil.
func (j *job) outcome(rc int32) error {
	if j.exit >= 0 && j.agent.private() {
		return &sandbox.Error{Op: "run", Kind: sandbox.ErrCrashed, Err: fmt.Errorf("it exited with code %d", j.exit), Hint: "let a private agent return from its actions; to exit ends its instance"}
	}
	if j.exit >= 0 {
		rc = int32(j.exit)
	}
	if rc == 0 {
		return nil
	}
	err := j.failure(rc)
	if j.guest.mem.refused {
		return j.outOfMemory(err)
	}
	return &sandbox.Error{Op: "run", Kind: sandbox.ErrFailed, Err: err, Hint: "the message is the agent's own; its logs may say more"}
}

// maxFailure bounds the message of an agent's own error.
const maxFailure = 2000

// failure is the agent's own message: its output, as JSON with a message or
// as text, or the last line that it printed, or else its code.
func (j *job) failure(rc int32) error {
	text := j.output
	if j.extism != nil && len(j.extism.err) > 0 {
		text = j.extism.err
	}
	var e struct{ Message, Error string }
	if json.Unmarshal(text, &e) == nil && e.Message+e.Error != "" {
		text = []byte(e.Message)
		if e.Message == "" {
			text = []byte(e.Error)
		}
	} else {
		var s string
		if json.Unmarshal(text, &s) == nil {
			text = []byte(s)
		}
	}
	if len(text) == 0 {
		text = j.lastLine
	}
	if text = bytes.TrimSpace(text); len(text) == 0 {
		return fmt.Errorf("it returned %d without a message", rc)
	}
	return errors.New(sandbox.Clean(string(text[:min(len(text), maxFailure)])))
}

// lease returns an instance that nobody else has, ready for a call.
func (a *agent) lease(ctx context.Context, t *turn) (*guest, error) {
	if a.program != nil && !a.private() {
		return a.leaseWorker(ctx, t)
	}
	if g := a.pool.take(); g != nil {
		return g, nil
	}
	if a.private() {
		return nil, &sandbox.Error{Op: "run", Kind: sandbox.ErrCrashed, Err: errors.New("its instance is gone"), Hint: "it is made anew with the next call"}
	}
	return a.start(ctx, t)
}

// giveBack keeps an instance for the next call, if it can be put back. A
// private agent's is kept as it is, unless it stopped in the middle.
func (a *agent) giveBack(g *guest, broken bool) {
	switch {
	case a.private():
		if !broken {
			a.pool.put(g)
			return
		}
	case a.program != nil:
		a.returnWorker(g, a.code.base.Load())
		return
	case a.fresh != nil && g.reset(a.fresh):
		a.pool.put(g)
		return
	}
	g.close()
}

// Close frees the agent. No call runs.
func (a *agent) Close(context.Context) error {
	a.mu.Lock()
	closed := a.closed
	a.closed = true
	a.mu.Unlock()
	if closed {
		return nil
	}
	if a.program != nil {
		a.rt.programs.put(a.program)
	}
	if a.program == nil || a.private() {
		a.pool.close()
		a.rt.memory.leave(a.pool)
	}
	a.rt.code.put(a.code)
	return nil
}

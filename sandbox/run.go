package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
	"time"
)

// maxMessage bounds the parameters of a call and the input of a host call.
const maxMessage = 8 << 20

// Run performs an action of the named agent. Nothing that the agent wrote
// takes effect unless Run returns no error. The result carries logs and
// usage in either case.
//
// A host that runs another agent for this one passes on the context that it
// was given: rights then only shrink (the inner agent may call what both were
// granted), depth is counted, and the writes of both take effect together.
func (m *Manager) Run(ctx context.Context, name string, c Call) (Result, error) {
	s, g := m.enter(name)
	if g == nil {
		return Result{}, m.notFound("run", name)
	}
	defer g.leave()
	return m.perform(ctx, s, g, c)
}

// Once loads code, performs one action and forgets the code again. It is for
// scripts: the name in the manifest need not be free and is not taken, and
// globals start empty and end with the call. No Observe is told, since the name
// may be that of an agent.
func (m *Manager) Once(ctx context.Context, man Manifest, code []byte, c Call) (Result, error) {
	opts := m.opts
	opts.Observe = nil
	once := &Manager{opts: opts, runtimes: m.runtimes, globals: newGlobals(nil)}
	g, err := once.build(ctx, man, code, Stats{})
	if err != nil {
		return Result{}, loadError(man.Name)(err)
	}
	defer g.agent.Close(context.WithoutCancel(ctx))
	return once.perform(ctx, &slot{}, g, c)
}

// enter finds the current generation and counts the caller in.
func (m *Manager) enter(name string) (*slot, *generation) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.agents[name]
	if s == nil || s.current == nil || !s.current.enter() {
		return nil, nil
	}
	return s, s.current
}

func (m *Manager) perform(ctx context.Context, s *slot, g *generation, c Call) (Result, error) {
	if g.man.Action(c.Action) == nil {
		return Result{}, &Error{Op: "run", Agent: g.man.Name, Kind: ErrUnknownAction, Err: fmt.Errorf("%q", shorten(Clean(c.Action), 60)), Hint: hintFor(ErrUnknownAction, &g.man)}
	}
	if err := checkParams(&c); err != nil {
		return Result{}, &Error{Op: "run", Agent: g.man.Name, Kind: ErrFailed, Err: err, Hint: "send params as one JSON value of at most 8 MiB"}
	}
	outer := frameOf(ctx)
	if outer != nil && outer.room == 0 {
		return Result{}, &Error{Op: "run", Agent: g.man.Name, Kind: ErrDenied, Err: errors.New("agents call agents too deeply"), Hint: "call fewer agents in a row, or raise limits.depth in their manifests"}
	}
	if err := g.acquire(ctx, outer != nil); err != nil {
		return Result{}, err
	}
	defer func() { <-g.slots }()
	start := time.Now()
	res, err := m.attempt(ctx, s, g, outer, c)
	if outer == nil && errors.Is(err, ErrConflict) && ctx.Err() == nil {
		s.statsMu.Lock()
		s.stats.Retries++
		s.statsMu.Unlock()
		res, err = m.attempt(ctx, s, g, outer, c)
	}
	res.Usage.Time = time.Since(start)
	s.statsMu.Lock()
	s.stats.add(res.Usage, err)
	if errors.Is(err, ErrCrashed) {
		s.stats.Crashes++
	}
	s.statsMu.Unlock()
	if m.opts.Observe != nil {
		m.opts.Observe(ctx, g.man.Name, c.Action, res, err)
	}
	return res, err
}

func checkParams(c *Call) error {
	switch {
	case len(bytes.TrimSpace(c.Params)) == 0:
		c.Params = json.RawMessage("{}")
	case len(c.Params) > maxMessage:
		return fmt.Errorf("params of %d bytes are too long", len(c.Params))
	case !json.Valid(c.Params):
		return errors.New("params are not JSON")
	}
	return nil
}

// attempt runs the action once, commits on success and rolls back otherwise.
func (m *Manager) attempt(ctx context.Context, s *slot, g *generation, outer *frame, c Call) (Result, error) {
	if err := g.revive(ctx, s); err != nil {
		return Result{}, err
	}
	staged, commit, rollback := ctx, func(context.Context) error { return nil }, func() {}
	if m.opts.Begin != nil {
		staged, commit, rollback = m.opts.Begin(ctx)
	}
	settled := false
	settle := func(ctx context.Context) error { settled = true; return commit(ctx) }
	defer func() {
		if !settled {
			rollback()
		}
	}()
	f := newFrame(g, outer, c)
	res, err := f.execute(staged)
	g.fell(err)
	if err != nil {
		return res, err
	}
	if err := ctx.Err(); err != nil { // the caller does not wait for it any more
		return res, stopped(ctx, "run", g.man.Name)
	}
	if outer == nil {
		err = m.globals.commit(ctx, staged, f.ledger, settle)
	} else if err = settle(ctx); err == nil {
		f.ledger.join()
	}
	if err != nil {
		res.Output = nil
		return res, commitError(g, err)
	}
	return res, nil
}

func commitError(g *generation, err error) error {
	kind := known(err)
	if kind == nil {
		kind = ErrFailed
	}
	hint := HintOf(err)
	if hint == "" {
		hint = "nothing of the call was applied; " + hintFor(kind, &g.man)
	}
	return &Error{Op: "commit the writes of", Agent: g.man.Name, Kind: kind, Err: err, Hint: hint}
}

// A frame is one call of one agent while it runs: what its host functions
// need to know.
type frame struct {
	g      *generation
	call   Call
	grants []string // in force: the manifest's and every outer agent's
	room   int64    // how many more calls may nest inside
	ledger *ledger
	cancel context.CancelCauseFunc

	mu        sync.Mutex
	over      bool // the call has returned; late host calls are refused
	logs      []LogLine
	logBytes  int64
	logCut    bool
	hostCalls int64
	hostBytes int64
	hostErr   error // of the newest host call, nil if it went well
}

type frameKey struct{}

func frameOf(ctx context.Context) *frame {
	f, _ := ctx.Value(frameKey{}).(*frame)
	return f
}

// Apart returns a context for calls that are made because of an agent's call,
// but not on its behalf: the agents run under it have their own grants, depth
// and globals, whatever runs outside. What they write still joins the staging
// that ctx carries.
func Apart(ctx context.Context) context.Context {
	return context.WithValue(ctx, frameKey{}, (*frame)(nil))
}

func newFrame(g *generation, outer *frame, c Call) *frame {
	f := &frame{g: g, call: c, grants: sortedGrants(&g.man), room: g.man.Limits.Depth}
	var parent *ledger
	if outer != nil {
		f.grants = slices.DeleteFunc(f.grants, func(op string) bool { return !slices.Contains(outer.grants, op) })
		f.room = min(f.room, outer.room-1)
		parent = outer.ledger
	}
	f.ledger = newLedger(g.m.globals, parent)
	return f
}

func (f *frame) execute(ctx context.Context) (Result, error) {
	ctx, f.cancel = context.WithCancelCause(ctx)
	defer f.cancel(nil)
	ctx, stop := context.WithTimeout(context.WithValue(ctx, frameKey{}, f), f.g.man.Limits.Time())
	defer stop()
	inner := f.call
	inner.Host, inner.Log, inner.Emit = f.host, f.log, f.emit
	res, err := f.g.agent.Execute(ctx, inner)
	f.mu.Lock()
	f.over = true
	res.Logs, res.Usage.HostCalls, res.Usage.HostBytes = f.logs, f.hostCalls, f.hostBytes
	hostErr := f.hostErr
	f.mu.Unlock()
	if err == nil {
		err = f.checkOutput(&res)
	} else {
		err = f.explain(ctx, err, hostErr)
	}
	if err != nil {
		res.Output = nil
	}
	return res, err
}

func (f *frame) checkOutput(res *Result) error {
	bad := func(format string, args ...any) error {
		return &Error{Op: "run", Agent: f.g.man.Name, Kind: ErrOutput, Err: fmt.Errorf(format, args...), Hint: hintFor(ErrOutput, &f.g.man)}
	}
	switch limit := f.g.man.Limits.Output(); {
	case int64(len(res.Output)) > limit:
		return bad("%d bytes is more than %d", len(res.Output), limit)
	case len(res.Output) == 0:
		res.Output = json.RawMessage("null")
	case !json.Valid(res.Output):
		return bad("it is not JSON")
	}
	return nil
}

// explain gives a runtime's error its kind and hint. A context that is done
// says why better than what the runtime met when it stopped; an agent that
// fails right after a refused operation failed because of it.
func (f *frame) explain(ctx context.Context, err, hostErr error) error {
	man := &f.g.man
	if ctx.Err() != nil && !errors.Is(err, ErrFuel) && !errors.Is(err, ErrOutput) {
		return stopped(ctx, "run", man.Name)
	}
	if errors.Is(err, ErrFailed) && errors.Is(hostErr, ErrDenied) {
		return &Error{Op: "run", Agent: man.Name, Kind: ErrDenied, Err: errors.Join(hostErr, err), Hint: hintFor(ErrDenied, man)}
	}
	var e *Error
	if errors.As(err, &e) && e.Agent != "" && e.Hint != "" {
		return err
	}
	kind := known(err)
	if kind == nil {
		kind = ErrCrashed
	}
	detail := err
	if e != nil {
		detail = e.Err
	} else if err == kind { //nolint:errorlint // nothing is known beyond the sentinel itself
		detail = nil
	}
	hint := HintOf(err)
	if hint == "" {
		hint = hintFor(kind, man)
	}
	return &Error{Op: "run", Agent: man.Name, Kind: kind, Err: detail, Hint: hint}
}

// host is the agent's door: it counts, checks the grant and passes on.
func (f *frame) host(ctx context.Context, op string, in []byte) ([]byte, error) {
	if err := f.admit(op, in); err != nil {
		return nil, err
	}
	out, err := f.dispatch(ctx, op, in)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hostBytes += int64(len(out))
	f.hostErr = err
	return out, err
}

// admit counts a host call. One above the limit also ends the agent, which
// otherwise could go on asking until its time is over.
func (f *frame) admit(op string, in []byte) error {
	man := &f.g.man
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over {
		return &Error{Op: "call " + shorten(Clean(op), 60), Agent: man.Name, Kind: ErrDenied, Err: errors.New("the agent's call is over"), Hint: "call the host only while an action runs"}
	}
	if f.hostCalls >= man.Limits.HostCalls {
		err := &Error{Op: "run", Agent: man.Name, Kind: ErrFuel, Err: fmt.Errorf("%d host calls are all it may make", man.Limits.HostCalls), Hint: hintFor(ErrFuel, man)}
		f.cancel(err)
		return err
	}
	f.hostCalls++
	f.hostBytes += int64(len(in))
	return nil
}

func (f *frame) dispatch(ctx context.Context, op string, in []byte) ([]byte, error) {
	man := &f.g.man
	fail := func(kind error, hint, format string, args ...any) error {
		return &Error{Op: "call " + shorten(Clean(op), 60), Agent: man.Name, Kind: kind, Err: fmt.Errorf(format, args...), Hint: hint}
	}
	if len(in) > maxMessage {
		return nil, fail(ErrFailed, "send less at once", "%d bytes of input is more than %d", len(in), maxMessage)
	}
	if len(bytes.TrimSpace(in)) == 0 {
		in = []byte("{}")
	}
	switch op {
	case "globals_get":
		return f.ledger.get(ctx, man.Name)
	case "globals_set":
		if len(in) > MaxGlobals || !isObject(in) {
			return nil, fail(ErrFailed, "keep globals small and put the rest into the memory", "globals must be a JSON object of at most %d bytes", MaxGlobals)
		}
		f.ledger.set(man.Name, in)
		return []byte("{}"), nil
	}
	switch {
	case !slices.Contains(man.Grants, op):
		return nil, fail(ErrDenied, "add it to grants in the manifest and install the agent again", "it is not granted")
	case !slices.Contains(f.grants, op):
		return nil, fail(ErrDenied, "grant it to the agent that calls this one, too", "the agent that called this one was not granted it")
	case f.call.Host == nil:
		return nil, fail(ErrDenied, "run the action from where the tool can be called", "no operations can be called here")
	case !json.Valid(in):
		return nil, fail(ErrFailed, "send the tool's arguments as a JSON object", "the input is not JSON")
	}
	return f.callHost(ctx, op, in)
}

// callHost calls the host and keeps a panic in it from the agent, whose
// runtime might pass its text on.
func (f *frame) callHost(ctx context.Context, op string, in []byte) (out []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			slog.Error("host panicked", "op", op, "agent", f.g.man.Name, "panic", p, "stack", string(debug.Stack()))
			out, err = nil, &Error{Op: "call " + op, Agent: f.g.man.Name, Kind: ErrFailed, Err: errors.New("internal error"), Hint: "report it; the server's log has the details"}
		}
	}()
	return f.call.Host(ctx, op, in)
}

// log keeps a line as long as there is room and says once when there is not.
func (f *frame) log(line LogLine) {
	f.mu.Lock()
	if f.over || f.logCut {
		f.mu.Unlock()
		return
	}
	// Empty lines take room as well, so that there cannot be too many.
	f.logBytes += int64(len(line.Text)) + 16
	if limit := f.g.man.Limits.LogKiB; f.logBytes > limit<<10 {
		f.logCut = true
		line = LogLine{Level: slog.LevelWarn, Text: fmt.Sprintf("log cut at %d KiB", limit)}
	}
	line.Text = cleanLines(line.Text)
	f.logs = append(f.logs, line)
	sink := f.call.Log
	f.mu.Unlock()
	if sink != nil {
		sink(line)
	}
}

// maxEmit bounds one progress message.
const maxEmit = 16 << 10

// emit passes a progress message on if it is JSON and counts it like a host
// call; what is too much is dropped, since progress is only for show.
func (f *frame) emit(message []byte) {
	f.mu.Lock()
	if f.over || f.hostCalls >= f.g.man.Limits.HostCalls || len(message) > maxEmit || !json.Valid(message) {
		f.mu.Unlock()
		return
	}
	f.hostCalls++
	f.hostBytes += int64(len(message))
	sink := f.call.Emit
	f.mu.Unlock()
	if sink != nil {
		sink(message)
	}
}

package tools

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"engram-mcp/memory"
	"engram-mcp/sandbox"
)

// The bounds of hooks.
const (
	hookTime     = 50 * time.Millisecond // of one run, if the manifest does not say
	hookDepth    = 3                     // hooks of calls that hooks make
	hookAttempts = 8                     // at a call whose commit meets with a conflict
	maxReason    = 500                   // bytes of a refusal's reason
)

// A hook is an action of an approved agent that runs before or after a tool.
type hook struct {
	sandbox.Hook
	agent *agent
	act   *action
}

// wires are the hooks of one tool, in the order in which they run.
type wires struct{ before, after []*hook }

// wiring is the hooks of a space by tool.
type wiring map[string]*wires

// wire puts the hooks of the approved agents in order. It is nil if there is
// none.
func wire(agents map[string]*agent) *wiring {
	w := wiring{}
	for _, name := range sortedKeys(agents) {
		ag := agents[name]
		if !ag.row.Approved {
			continue
		}
		for _, h := range ag.manifest.Hooks {
			act, err := ag.action(h.Action)
			if err != nil { // its manifest was checked with its code
				continue
			}
			one := &hook{h, ag, act}
			ws := w[one.tool()]
			if ws == nil {
				ws = &wires{}
				w[one.tool()] = ws
			}
			if one.after() {
				ws.after = append(ws.after, one)
			} else {
				ws.before = append(ws.before, one)
			}
		}
	}
	if len(w) == 0 {
		return nil
	}
	for _, ws := range w {
		for _, list := range [][]*hook{ws.before, ws.after} {
			slices.SortStableFunc(list, func(a, b *hook) int { return cmp.Compare(a.Order, b.Order) })
		}
	}
	return &w
}

// hookable reports whether hooks may be wired to the tool: not to those whose
// work could not be taken back.
func (t Tool) hookable() bool {
	return t.plain != nil && t.Profile != ProfileAgents && t.Name != "memory_maintain"
}

// checkHook says why a hook cannot be wired to a tool of the set.
func (s *Set) checkHook(h sandbox.Hook) error {
	_, tool, _ := strings.Cut(h.On, ":")
	var names []string
	for _, t := range s.tools {
		if t.hookable() {
			names = append(names, t.Name)
		}
	}
	if slices.Contains(names, tool) {
		return nil
	}
	hint := "write before: or after: and one of " + strings.Join(names, ", ")
	if near := nearest(tool, names); near != "" {
		hint = fmt.Sprintf("did you mean %s? %s", near, hint)
	}
	return errors.New(hint)
}

// work is what agents are doing in a call, the innermost first.
type work struct {
	agent string
	hooks int // of those who are at work
	outer *work
}

type workKey struct{}

func workOf(ctx context.Context) *work {
	w, _ := ctx.Value(workKey{}).(*work)
	return w
}

// working is ctx for what an agent does now.
func working(ctx context.Context, agent string, hook bool) context.Context {
	w := &work{agent: agent, outer: workOf(ctx)}
	if w.outer != nil {
		w.hooks = w.outer.hooks
	}
	if hook {
		w.hooks++
	}
	return context.WithValue(ctx, workKey{}, w)
}

func (w *work) deep() int {
	if w == nil {
		return 0
	}
	return w.hooks
}

// idle leaves out the hooks of agents that are at work already.
func (w *work) idle(hooks []*hook) []*hook {
	if w == nil {
		return hooks
	}
	return slices.DeleteFunc(slices.Clone(hooks), func(h *hook) bool {
		for at := w; at != nil; at = at.outer {
			if at.agent == h.agent.manifest.Name {
				return true
			}
		}
		return false
	})
}

// hooked calls a tool of the set with the hooks that are wired to it in the
// caller's space. Where there are none it costs a look into a map.
func (a *Agents) hooked(ctx context.Context, t Tool, in json.RawMessage) (json.RawMessage, error) {
	caller, ok := memory.PrincipalFrom(ctx)
	if !ok || !caller.Can(t.Needs) {
		return t.run(ctx, in) // which says what is missing
	}
	sp := (*a.known.Load())[caller.Space]
	if sp == nil {
		var err error
		if sp, err = a.space(ctx); err != nil {
			return nil, named(t.Name, err)
		}
	}
	w := sp.wires.Load()
	if w == nil || (*w)[t.Name] == nil {
		return t.run(ctx, in)
	}
	at, hooks := workOf(ctx), (*w)[t.Name]
	c := &hookedCall{a: a, sp: sp, tool: t, before: at.idle(hooks.before), after: at.idle(hooks.after)}
	switch {
	case len(c.before)+len(c.after) == 0:
		return t.run(ctx, in)
	case at.deep() >= hookDepth:
		return nil, &memory.Error{Op: t.Name, Kind: memory.ErrDenied, Ref: fmt.Sprintf("hooks nest %d deep", hookDepth),
			Hint: "the hooks of " + strings.Join(c.agents(), " and ") + " would run inside theirs: let fewer agents react to what others write"}
	}
	return c.run(ctx, in)
}

// A hookedCall is one call of a tool with the hooks around it.
type hookedCall struct {
	a             *Agents
	sp            *agentSpace
	tool          Tool
	before, after []*hook
	inquiry       *memory.Inquiry // nil if the call has no request id
	trial         *Trial          // nil if the call is meant
	guess         bool            // this attempt may take what is created for new
	guessed       bool            // and has done so
	last          bool            // it will not be attempted again
}

// agents are the names of those whose hooks would run.
func (c *hookedCall) agents() []string {
	names := map[string]bool{}
	for _, h := range slices.Concat(c.before, c.after) {
		names[h.agent.manifest.Name] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// run makes the call, again if it meets with what others have done meanwhile.
// The first attempt is made beside those of others, the next ones alone, so
// that of the calls of one process none has to give way twice. A call inside
// that of an agent gives way with it.
func (c *hookedCall) run(ctx context.Context, in json.RawMessage) (out json.RawMessage, err error) {
	plain, err := c.tool.plain(in)
	if err != nil {
		return nil, named(c.tool.Name, err)
	}
	args, err := object(plain)
	if err != nil {
		return nil, err
	}
	if stageOf(ctx) != nil {
		c.last = true
		out, _, err = c.beside(ctx, args, plain)
		return out, err
	}
	out, again, err := c.first(ctx, args, plain)
	if !again {
		return out, err
	}
	c.sp.turn.Lock()
	defer c.sp.turn.Unlock()
	for n := 2; again && n <= hookAttempts; n++ { // other processes are not held up
		c.last = n == hookAttempts
		out, again, err = c.beside(ctx, args, plain)
	}
	if again && c.tool.ReadOnly && !slices.ContainsFunc(slices.Concat(c.before, c.after), func(h *hook) bool { return !h.skips(c.tool) }) {
		return c.tool.run(ctx, plain)
	}
	return out, err
}

func (c *hookedCall) first(ctx context.Context, args map[string]any, plain json.RawMessage) (out json.RawMessage, again bool, err error) {
	c.sp.turn.RLock()
	defer c.sp.turn.RUnlock()
	c.guess = c.tool.Name == "engram_create" && len(c.after) > 0
	defer func() { c.guess, c.guessed = false, false }()
	return c.beside(ctx, args, plain)
}

// beside makes an attempt, unless the call repeats one that was made before.
func (c *hookedCall) beside(ctx context.Context, args map[string]any, plain json.RawMessage) (out json.RawMessage, again bool, err error) {
	repeated, err := c.repeated(ctx, args, plain)
	switch {
	case err != nil:
		return nil, false, err
	case repeated:
		out, err = c.tool.run(ctx, plain)
		return out, false, err
	}
	return c.attempt(ctx, args)
}

// repeated reports whether the call repeats a request that was made before.
// It returns an error if the call cannot be made, whatever hooks say.
func (c *hookedCall) repeated(ctx context.Context, args map[string]any, plain json.RawMessage) (bool, error) {
	if id, _ := args["request_id"].(string); id == "" {
		return false, nil
	}
	ctx, c.inquiry = memory.Inquire(ctx)
	_, err := c.tool.run(ctx, plain)
	if errors.Is(err, memory.ErrInquired) {
		err = nil
	}
	return c.inquiry.Known(), err
}

// attempt makes the call once: what it and its hooks write is one commit or
// none. again says that the commit failed over something that was in order
// when it was staged: the next attempt will see what has changed, and whom it
// concerns.
func (c *hookedCall) attempt(ctx context.Context, args map[string]any) (out json.RawMessage, again bool, err error) {
	staged, commit, rollback := c.a.begin(ctx)
	if staged.Err() != nil {
		rollback()
		return nil, false, context.Cause(staged)
	}
	if out, err = c.within(ctx, staged, args); err != nil {
		rollback()
		return nil, errors.Is(err, errAgain) || c.guessed || stageOf(staged).Stale(), err
	}
	if err = commit(ctx); err == nil {
		return out, false, nil
	}
	for _, kind := range []error{memory.ErrConflict, memory.ErrNotFound, memory.ErrInvalid, memory.ErrDenied, memory.ErrQuota} {
		again = again || errors.Is(err, kind) && ctx.Err() == nil
	}
	return nil, again, named(c.tool.Name, err)
}

// within makes the call under a stage. Where nothing but the call itself is to
// be committed it goes past the stage, which would do the work twice.
func (c *hookedCall) within(ctx, staged context.Context, args map[string]any) (json.RawMessage, error) {
	var changedBy []string
	for _, h := range c.before {
		changed, err := c.ask(staged, h, args)
		if err != nil {
			return nil, err
		}
		if changed != nil {
			args = changed
			if name := h.agent.manifest.Name; !slices.Contains(changedBy, name) {
				changedBy = append(changedBy, name)
			}
		}
	}
	in, err := marshal(args)
	if err != nil {
		return nil, err
	}
	under := staged
	if len(c.after) == 0 && stageOf(staged).Mark() == 0 {
		under = ctx
	}
	if c.guess { // to be tried out first, it would be made twice
		under = stageOf(staged).Guess(under)
	}
	if c.inquiry != nil {
		under = c.inquiry.As(under)
	}
	out, err := c.tool.run(under, in)
	c.guessed = c.guess && err == nil
	if err != nil || len(c.after) == 0 && len(changedBy) == 0 {
		return out, err
	}
	result, err := newAnswer(out)
	if err != nil {
		return nil, err
	}
	for _, h := range c.after {
		if err := c.tell(staged, h, args, result); err != nil {
			return nil, err
		}
	}
	return result.encode(changedBy), nil
}

// ask runs a before hook and returns what it made of the arguments, nil if it
// left them.
func (c *hookedCall) ask(ctx context.Context, h *hook, args map[string]any) (changed map[string]any, err error) {
	err = c.guard(ctx, h, func(as context.Context) error {
		shown := maps.Clone(args)
		delete(shown, "request_id")
		text, err := marshal(shown)
		if err != nil {
			return err
		}
		v, err := c.a.veil(as, c.tool, text)
		if err != nil {
			return err
		}
		if v != nil {
			left, _ := v.show("", shown).(map[string]any)
			if v.hides("", shown) || !something(left) && something(shown) {
				return nil
			}
			if text, err = marshal(left); err != nil {
				return err
			}
		}
		said, err := c.call(as, h, hookInput{Tool: c.tool.Name, Args: text})
		switch {
		case err != nil || said == hookOutput{}:
			return err
		case said.Result != nil || said.Args != nil && said.Refuse != nil:
			return odd("a before hook answers either args or refuse")
		case said.Refuse != nil:
			return objection{*said.Refuse}
		}
		changed, err = c.accept(args, v, *said.Args)
		return err
	})
	return changed, err
}

// something reports whether there is an item or a part in the object.
func something(args map[string]any) bool {
	for _, v := range args {
		switch v := v.(type) {
		case []any:
			if len(v) > 0 {
				return true
			}
		case map[string]any:
			return true
		}
	}
	return false
}

// theCallers are the arguments that no hook changes: those that say which call
// this is and how far it may go.
var theCallers = []string{"request_id", "purge", "dry_run", "confirm"}

// accept checks the arguments that a hook answered, and puts back what it did
// not see.
func (c *hookedCall) accept(args map[string]any, v *veil, said json.RawMessage) (map[string]any, error) {
	made, err := object(said)
	if err != nil {
		return nil, odd("args is not an object")
	}
	// First as the tool reads them, so that what was hidden finds its place.
	for _, k := range theCallers {
		delete(made, k)
	}
	if said, err = marshal(made); err != nil {
		return nil, err
	}
	if said, err = c.tool.plain(said); err != nil {
		return nil, fmt.Errorf("%w: %w", errOdd, err)
	}
	if made, err = object(said); err != nil {
		return nil, err
	}
	made, _ = v.restore("", args, made).(map[string]any)
	for _, k := range theCallers {
		delete(made, k)
		if own, ok := args[k]; ok {
			made[k] = own
		}
	}
	for key, own := range args {
		if list, ok := own.([]any); ok && len(list) > 0 {
			if _, objects := list[0].(map[string]any); objects {
				if now, _ := made[key].([]any); len(now) != len(list) {
					return nil, odd(fmt.Sprintf("%s had %d items and has %d now", key, len(list), len(now)))
				}
			}
		}
	}
	return made, nil
}

// tell runs an after hook and lets it change the answer.
func (c *hookedCall) tell(ctx context.Context, h *hook, args map[string]any, result *answer) error {
	return c.guard(ctx, h, func(as context.Context) error {
		shown := maps.Clone(args)
		delete(shown, "request_id")
		text, err := marshal(shown)
		if err != nil {
			return err
		}
		v, err := c.a.veil(as, c.tool, text, result.encode(nil))
		if err != nil {
			return err
		}
		if v.hides("", shown) { // then its answer is of what is hidden, even where it names nothing
			return nil
		}
		if text, err = marshal(v.show("", shown)); err != nil {
			return err
		}
		answer, ok, err := result.shown(v)
		if err != nil || !ok {
			return err
		}
		said, err := c.call(as, h, hookInput{Tool: c.tool.Name, Args: text, Result: answer})
		switch {
		case err != nil || said == hookOutput{}:
			return err
		case said.Result == nil || said.Args != nil || said.Refuse != nil:
			return odd("an after hook answers result and nothing else")
		}
		if err := result.take(h.agent.manifest.Name, *said.Result, c.tool.ReadOnly); err != nil {
			return odd(err.Error())
		}
		return nil
	})
}

// hookInput and hookOutput are what goes to a hook and comes from it.
type (
	hookInput struct {
		Tool   string          `json:"tool"`
		Args   json.RawMessage `json:"args"`
		Result json.RawMessage `json:"result,omitempty"`
	}
	hookOutput struct {
		Args   *json.RawMessage
		Refuse *string
		Result *json.RawMessage
	}
)

// errOdd means that a hook answered something that has no meaning.
var errOdd = errors.New("what it answered cannot be used")

func odd(what string) error { return fmt.Errorf("%w: %s", errOdd, what) }

// An objection is a hook's word that the call is not to be made.
type objection struct{ reason string }

func (o objection) Error() string { return "refused: " + o.reason }

// errAgain means that what a hook keeps was changed by another call while it
// ran: no failure of its own.
var errAgain = errors.New("call again")

// guard runs f, which runs a hook as its agent, and makes of an error what the
// policy of the hook says. What a failed hook wrote is taken back.
func (c *hookedCall) guard(ctx context.Context, h *hook, f func(as context.Context) error) error {
	stage := stageOf(ctx)
	mark := stage.Mark()
	err := f(memory.WithPrincipal(sandbox.Apart(working(ctx, h.agent.manifest.Name, true)), h.principal(ctx)))
	if err == nil {
		return nil
	}
	if c.trial != nil {
		c.trial.failed(err)
		stage.Back(mark)
		return nil
	}
	if o, ok := errors.AsType[objection](err); ok {
		return h.refused(c.tool.Name, o.reason)
	}
	stage.Back(mark)
	if (errors.Is(err, sandbox.ErrConflict) || stage.Stale()) && !c.last {
		return errAgain
	}
	if ctx.Err() != nil { // the caller's own time is over
		return fmt.Errorf("%s: %w", c.tool.Name, context.Cause(ctx))
	}
	skip := h.skips(c.tool)
	c.a.opt.Log.InfoContext(ctx, "a hook failed", "agent", h.agent.manifest.Name, "on", h.On, "kind", failure(err).Error(), "skipped", skip)
	if skip {
		return nil
	}
	return h.failed(err)
}

// call runs the action of a hook.
func (c *hookedCall) call(ctx context.Context, h *hook, in hookInput) (said hookOutput, err error) {
	params, err := marshal(in)
	if err != nil {
		return said, err
	}
	if err := h.act.in.check("params", params); err != nil {
		return said, err
	}
	if err := c.a.load(ctx, c.sp, h.agent); err != nil {
		return said, err
	}
	ctx, cancel := context.WithTimeout(ctx, h.time())
	defer cancel()
	r, err := c.sp.manager.Run(ctx, h.agent.manifest.Name, sandbox.Call{Action: h.Action, Params: params, Host: c.a.host})
	if c.trial != nil {
		c.trial.ran(r)
	}
	if err != nil {
		return said, err
	}
	dec := json.NewDecoder(bytes.NewReader(r.Output))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&said); err != nil {
		return hookOutput{}, odd("it has other members than args, refuse and result")
	}
	return said, nil
}

// tool is the name of the tool that the hook is wired to.
func (h *hook) tool() string {
	_, tool, _ := strings.Cut(h.On, ":")
	return tool
}

// after reports whether it runs after the tool, else before.
func (h *hook) after() bool { return strings.HasPrefix(h.On, "after:") }

func (h *hook) time() time.Duration {
	if h.TimeMS > 0 {
		return time.Duration(h.TimeMS) * time.Millisecond
	}
	return hookTime
}

func (h *hook) skips(t Tool) bool {
	if h.OnFailure != "" {
		return h.OnFailure == "skip"
	}
	return t.ReadOnly
}

// principal is who a hook acts as.
func (h *hook) principal(ctx context.Context) memory.Principal {
	caller, _ := memory.PrincipalFrom(ctx)
	who := h.agent.self(caller.Space)
	if h.act.ReadOnly {
		who.Rights &= memory.Read
	}
	return who
}

// self is an agent that acts for itself: with its name, and with the rights of
// its installer as far as they are not those of an owner.
func (ag *agent) self(space string) memory.Principal {
	return memory.Principal{Space: space, Name: ag.manifest.Name, Rights: everyRight(ag.row.Installer.Rights) &^ memory.Owner,
		Trust: memory.TrustAgent, Scope: narrower(ag.row.Installer.Scope, ag.manifest)}
}

func (h *hook) refused(tool, reason string) error {
	return &memory.Error{Op: tool, Kind: memory.ErrDenied, Ref: fmt.Sprintf("agent %s refuses: %s", h.agent.manifest.Name, shorten(sandbox.Clean(reason), maxReason)),
		Hint: "nothing was changed; change what it objects to and call again"}
}

// failed is what the caller of a tool is told of a hook that failed: which one
// and how, but nothing that the agent said, which may be of what the caller
// must not know.
func (h *hook) failed(err error) error {
	return &sandbox.Error{Op: h.On, Agent: h.agent.manifest.Name, Kind: failure(err),
		Hint: "nothing was changed; call again, or have the agent corrected, or taken out of the way on the server's machine: engram-mcp agent approve --revoke " + h.agent.manifest.Name}
}

// failure is the kind of a hook's failure.
func failure(err error) error {
	for _, kind := range []error{sandbox.ErrTimeout, sandbox.ErrFuel, sandbox.ErrMemory, sandbox.ErrOutput, sandbox.ErrBusy, sandbox.ErrCrashed, sandbox.ErrConflict, sandbox.ErrClosed} {
		if errors.Is(err, kind) {
			return kind
		}
	}
	if errors.Is(err, errOdd) {
		return sandbox.ErrOutput
	}
	return sandbox.ErrFailed
}

// object is the members of a JSON object.
func object(raw json.RawMessage) (map[string]any, error) {
	tree, err := parse(raw)
	if err != nil {
		return nil, err
	}
	m, ok := tree.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%.20s is not an object", raw)
	}
	return m, nil
}

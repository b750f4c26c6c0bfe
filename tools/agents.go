package tools

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"engram-mcp/memory"
	"engram-mcp/sandbox"
	"engram-mcp/tools/transport"
)

// AgentOptions configure Agents.
type AgentOptions struct {
	Dir string // where code lies, each file under its SHA-256
	// InUse tells the hashes of the code that the agents of any space need,
	// or fails if it cannot tell of one of them. With nil code is never
	// removed.
	InUse    func(ctx context.Context) (hashes map[string]bool, err error)
	Runtimes []sandbox.Runtime
	Policy   sandbox.Policy
	// Languages are those that script_run takes programs in; without any there
	// is no such tool.
	Languages []Language
	// Embedded finds the manifest inside code, for agents that are one file.
	// nil finds none.
	Embedded func(code []byte) (m sandbox.Manifest, found bool, err error)
	Log      *slog.Logger // nil means slog.Default()
}

// Agents installs and runs the agents of all spaces. An agent is a row of its
// space, so that every process on the space has it; its code lies in a
// directory under its hash. Agents of two spaces know nothing of each other.
// Its methods are safe for concurrent use.
type Agents struct {
	open Opener
	opt  AgentOptions
	set  *Set

	grace   time.Duration // for which code stays that nobody needs any more
	compile sync.Mutex    // one module is compiled at a time

	mu     sync.Mutex
	spaces map[string]*agentSpace
	known  atomic.Pointer[map[string]*agentSpace] // those of spaces whose rows have been read; a copy for every change
	closed bool
}

// NewAgents returns the agents of the spaces that open opens. Call Join before
// anything else.
func NewAgents(open Opener, o AgentOptions) *Agents {
	o.Log = cmp.Or(o.Log, slog.Default())
	a := &Agents{open: open, opt: o, grace: codeGrace, spaces: map[string]*agentSpace{}}
	a.known.Store(&map[string]*agentSpace{})
	return a
}

// Join makes set what agents may call, their actions tools of set, and their
// hooks part of its calls. The tools of a, see Tools, must be part of set.
func (a *Agents) Join(set *Set) {
	a.set = set
	set.Grow(a.actionTools)
	set.around = a.hooked
}

// Close unloads all agents and waits for their calls, at most until ctx is done.
func (a *Agents) Close(ctx context.Context) error {
	a.mu.Lock()
	a.closed = true
	spaces := a.spaces
	a.spaces = nil
	a.mu.Unlock()
	var errs []error
	for _, sp := range spaces {
		errs = append(errs, sp.manager.Close(ctx))
	}
	return errors.Join(errs...)
}

// Tools returns the tools that manage and run agents.
func (a *Agents) Tools() []Tool {
	list := []Tool{
		New(Tool{
			Name: "agent_run", Title: "Run an agent", Quotes: true, Profile: ProfileAgents, Default: true, Needs: memory.Read, Destructive: true, OpenWorld: true,
			Description: "Run an action of an installed agent, with your rights at most. What it writes takes effect only if it succeeds. agent_list shows agents and actions.",
		}, a.runTool),
		New(Tool{
			Name: "agent_list", Title: "List agents", Quotes: true, Profile: ProfileAgents, Needs: memory.Read, ReadOnly: true, Idempotent: true,
			Description: "List the installed agents with their actions, the tools that they may call, and the hooks and schedules that run them.",
		}, a.listTool),
		New(Tool{
			Name: "agent_stats", Title: "Statistics of agents", Profile: ProfileAgents, Needs: memory.Read, ReadOnly: true, Idempotent: true,
			Description: "Tell what agents have used since they were installed, and the calls since this server started: errors, fuel, time.",
		}, a.statsTool),
		New(Tool{
			Name: "agent_install", Title: "Install an agent", Profile: ProfileAgents, Needs: memory.Admin, Destructive: true, Idempotent: true,
			Description: "Install sandboxed code (a Wasm module, a Lua or JavaScript program) as an agent. The manifest names it, its actions and the tools it may call (grants); it may lie inside a Wasm module. No files, network or environment.",
		}, a.installTool),
		New(Tool{
			Name: "agent_remove", Title: "Remove an agent", Profile: ProfileAgents, Needs: memory.Admin, Destructive: true, Idempotent: true,
			Description: "Remove an agent with its state. What it has stored in the memory stays.",
		}, a.removeTool),
	}
	if len(a.opt.Languages) > 0 {
		list = append(list, a.scriptTool())
	}
	return list
}

type runIn struct {
	Agent  string `json:"agent" alias:"name,agent_name" eg:"\"tidy-notes\""`
	Action string `json:"action" alias:"tool,function,method" eg:"\"run\""`
	Params obj    `json:"params,omitempty" alias:"arguments,args,input,parameters" eg:"{}"`
}

type runOut struct {
	Output any      `json:"output"`
	Logs   []logOut `json:"logs"`
	Stats  usageOut `json:"stats"`
}

type logOut struct {
	Level string `json:"level"`
	Text  string `json:"text"`
}

type usageOut struct {
	Fuel       int64   `json:"fuel"`
	HostCalls  int64   `json:"host_calls"`
	PeakMemory int64   `json:"peak_memory"`
	TimeMS     float64 `json:"time_ms"`
	Reused     bool    `json:"reused"`
}

func (a *Agents) runTool(ctx context.Context, in runIn) (runOut, error) {
	r, err := a.run(ctx, in.Agent, in.Action, json.RawMessage(in.Params))
	if err != nil {
		return runOut{}, err
	}
	logs, stats := account(r)
	return runOut{Output: r.Output, Logs: logs, Stats: stats}, nil
}

// account is what a run logged and used.
func account(r sandbox.Result) ([]logOut, usageOut) {
	logs := []logOut{}
	for _, l := range r.Logs {
		logs = append(logs, logOut{strings.ToLower(l.Level.String()), l.Text})
	}
	return logs, usageOut{Fuel: r.Usage.Fuel, HostCalls: r.Usage.HostCalls, PeakMemory: r.Usage.PeakMemory, TimeMS: millis(r.Usage.Time), Reused: r.Usage.Reused}
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// run performs an action as the caller, with the rights that caller and
// installer both have.
func (a *Agents) run(ctx context.Context, name, action string, params json.RawMessage) (sandbox.Result, error) {
	sp, err := a.space(ctx)
	if err != nil {
		return sandbox.Result{}, err
	}
	ag, err := sp.installed(name)
	if err != nil {
		return sandbox.Result{}, err
	}
	act, err := ag.action(action)
	if err != nil {
		return sandbox.Result{}, err
	}
	if err := act.in.check("params", params); err != nil {
		return sandbox.Result{}, err
	}
	who := ag.principal(ctx)
	if act.ReadOnly {
		who.Rights &= memory.Read
	}
	ctx = memory.WithPrincipal(working(ctx, name, false), who)
	if err := a.load(ctx, sp, ag); err != nil {
		return sandbox.Result{}, err
	}
	return sp.manager.Run(ctx, name, sandbox.Call{Action: action, Params: params, Host: a.host, Emit: func(m []byte) { progress(ctx, m) }})
}

// principal is who an agent acts as: its caller, with no right that its
// installer does not have, and trusted as a program is.
func (ag *agent) principal(ctx context.Context) memory.Principal {
	who, _ := memory.PrincipalFrom(ctx)
	who.Rights = everyRight(who.Rights) & everyRight(ag.row.Installer.Rights)
	who.Trust = memory.TrustAgent
	who.Scope = ag.narrower(who)
	return who
}

// narrower is the scope of an agent that who runs: what is within that of who,
// which may be another agent, within the manifest, and open to the installer.
func (ag *agent) narrower(who memory.Principal) *memory.Scope {
	m, by := ag.manifest, ag.row.Installer
	s := memory.Scope{}
	if who.Scope != nil {
		s = *who.Scope
	}
	if !by.Can(memory.Owner) && by.Name != who.Name && !slices.Contains(s.Also, by.Name) {
		s.Also = append(slices.Clone(s.Also), by.Name)
	}
	narrow := func(have *[]string, list []string) {
		switch {
		case len(list) == 0:
		case *have == nil:
			*have = list
		default:
			*have = slices.DeleteFunc(slices.Clone(*have), func(name string) bool { return !slices.Contains(list, name) })
		}
	}
	narrow(&s.ReadContexts, m.Contexts.Read)
	narrow(&s.WriteContexts, m.Contexts.Write)
	narrow(&s.ReadCollections, m.Collections.Read)
	narrow(&s.WriteCollections, m.Collections.Write)
	if s.ReadContexts == nil && s.WriteContexts == nil && s.ReadCollections == nil && s.WriteCollections == nil && s.Also == nil {
		return nil
	}
	return &s
}

// everyRight spells out what Owner includes.
func everyRight(r memory.Rights) memory.Rights {
	if r&memory.Owner != 0 {
		r |= memory.Read | memory.Write | memory.Admin
	}
	return r
}

// host is the door of every agent: the set, with errors that tell the agent no
// more than any other caller.
func (a *Agents) host(ctx context.Context, op string, in []byte) ([]byte, error) {
	out, err := a.set.Host(ctx, op, in)
	if err == nil {
		return out, nil
	}
	kind := sandbox.ErrFailed
	if errors.Is(err, memory.ErrDenied) || errors.Is(err, sandbox.ErrDenied) {
		kind = sandbox.ErrDenied
	}
	text, _ := Explain(err)
	if text == "" {
		if ctx.Err() != nil {
			return nil, err
		}
		text = a.internal(ctx, op, err).Error()
	}
	what, hint, _ := strings.Cut(text, "\nhint: ")
	return nil, &sandbox.Error{Op: "call", Kind: kind, Err: errors.New(what), Hint: hint}
}

// internal logs err and returns what may be said of it.
func (a *Agents) internal(ctx context.Context, op string, err error) error {
	id := failureID()
	a.opt.Log.ErrorContext(ctx, "agent failed", "id", id, "op", op, "err", err)
	return fmt.Errorf("internal error (id %s)", id)
}

// progress passes a message of an agent on to the client, if it has the shape
// of MCP's progress.
func progress(ctx context.Context, message []byte) {
	var p struct {
		Progress, Total float64
		Message         string
	}
	if json.Unmarshal(message, &p) == nil && p.Progress > 0 {
		_ = transport.Progress(ctx, p.Progress, p.Total, sandbox.Clean(p.Message)) // only for show, and not every caller is a client
	}
}

type listIn struct{}

type listOut struct {
	Agents []agentOut `json:"agents"`
}

type agentOut struct {
	Name        string      `json:"name"`
	Version     string      `json:"version,omitempty"`
	Description string      `json:"description,omitempty"`
	Runtime     string      `json:"runtime"`
	Actions     []actionOut `json:"actions"`
	Grants      []string    `json:"grants"`
	SHA256      string      `json:"sha256"`
	Installer   string      `json:"installer"`
	CreatedAt   time.Time   `json:"created_at"`
	Problem     string      `json:"problem,omitempty"`
	*Wiring                 // nil if it asks for none
}

type actionOut struct {
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	InputSchema json.RawMessage `json:"input_schema,omitempty"`
}

func (a *Agents) listTool(ctx context.Context, _ listIn) (listOut, error) {
	sp, err := a.space(ctx)
	if err != nil {
		return listOut{}, err
	}
	runs, err := a.runs(ctx)
	if err != nil {
		return listOut{}, err
	}
	out := listOut{Agents: []agentOut{}}
	for _, ag := range sp.all() {
		m := ag.manifest
		l := agentOut{Name: m.Name, Version: m.Version, Description: m.Description, Runtime: m.Runtime, Actions: []actionOut{}, Grants: listed(m.Grants),
			SHA256: ag.row.SHA256, Installer: ag.row.Installer.Name, CreatedAt: ag.row.CreatedAt, Problem: ag.problem}
		for _, act := range m.Actions {
			l.Actions = append(l.Actions, actionOut{act.Name, act.Description, act.InputSchema})
		}
		if w := a.wiringOf(ag, runs); len(w.Hooks)+len(w.Schedule) > 0 {
			l.Wiring = &w
		}
		out.Agents = append(out.Agents, l)
	}
	return out, nil
}

type agentIn struct {
	Agent string `json:"agent" alias:"name,agent_name" eg:"\"tidy-notes\""`
}

type installIn struct {
	Manifest   obj    `json:"manifest,omitempty" jsonschema:"name, runtime, grants, actions: [{name, description, input_schema, read_only}], limits, …" eg:"{\"name\": \"tidy-notes\", \"grants\": [\"engram_search\"], \"actions\": [{\"name\": \"run\"}]}"`
	CodeBase64 string `json:"code_base64" alias:"code,wasm,wasm_base64" eg:"\"AGFzbQ…\""`
	Replace    bool   `json:"replace,omitempty" jsonschema:"take the place of an agent of that name" alias:"overwrite,force"`
}

// remoteKinds are the runtimes that hold what runs in them so well that code
// for them may come over the network.
var remoteKinds = []string{"wasm", "lua", "js"}

func (a *Agents) installTool(ctx context.Context, in installIn) (Installed, error) {
	code, err := decodeBase64(in.CodeBase64)
	if err != nil {
		return Installed{}, err
	}
	m, err := a.manifest(json.RawMessage(in.Manifest), code)
	if err != nil {
		return Installed{}, err
	}
	const local = "do it on the machine itself: engram-mcp agent install"
	switch {
	case !slices.Contains(remoteKinds, m.Runtime):
		return Installed{}, denied("an agent of runtime "+quote(m.Runtime)+" cannot be installed over MCP", local)
	case len(m.Command) > 0:
		return Installed{}, denied("an agent with a command cannot be installed over MCP", local)
	case len(m.Hooks) > 0:
		return Installed{}, denied("an agent with hooks cannot be installed over MCP", "leave hooks out, or "+local)
	case len(m.Schedule) > 0:
		return Installed{}, denied("an agent with a schedule cannot be installed over MCP", "leave schedule out, or "+local)
	}
	return a.Install(ctx, m, code, in.Replace)
}

func denied(ref, hint string) error {
	return &memory.Error{Kind: memory.ErrDenied, Ref: ref, Hint: hint}
}

func decodeBase64(s string) ([]byte, error) {
	s = strings.Map(func(r rune) rune {
		if r == '\n' || r == '\r' || r == ' ' {
			return -1
		}
		return r
	}, s)
	for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
		if code, err := enc.DecodeString(s); err == nil && len(code) > 0 {
			return code, nil
		}
	}
	return nil, invalid("", "code_base64 is not base64", "encode the bytes of the module, e.g. with base64 -w0 agent.wasm")
}

// manifest is the one that came with the code, or lies in it.
func (a *Agents) manifest(raw json.RawMessage, code []byte) (m sandbox.Manifest, err error) {
	found := len(raw) > 0
	if found {
		m, err = sandbox.ParseManifest(raw)
	} else if a.opt.Embedded != nil {
		m, found, err = a.opt.Embedded(code)
	}
	if err == nil && !found {
		err = invalid("", "manifest is missing", `e.g. "manifest": {"name": "tidy-notes", "grants": ["engram_search"], "actions": [{"name": "run"}]}`)
	}
	m.Runtime = cmp.Or(m.Runtime, "wasm")
	return m, err
}

type removeOut struct {
	Removed string `json:"removed"`
}

func (a *Agents) removeTool(ctx context.Context, in agentIn) (removeOut, error) {
	return removeOut{in.Agent}, a.Remove(ctx, in.Agent)
}

// maxActionTools bounds the actions that are tools of their own; the others
// are run with agent_run.
const maxActionTools = 20

// actionTools are the actions of the caller's space as tools.
func (a *Agents) actionTools(ctx context.Context) []Tool {
	sp, err := a.space(ctx)
	if caller, _ := memory.PrincipalFrom(ctx); err != nil || !caller.Can(memory.Read) {
		return nil // who may not read a space has no agents in it
	}
	var list []Tool
	for _, ag := range sp.all() {
		for _, act := range ag.actions {
			if len(list) == maxActionTools {
				return list
			}
			list = append(list, a.actionTool(ag, act))
		}
	}
	return list
}

func (a *Agents) actionTool(ag *agent, act *action) Tool {
	name := ag.manifest.Name
	t := Tool{Name: name + "_" + act.Name, Title: name + ": " + act.Name, Profile: ProfileAgents, Needs: memory.Read, Quotes: true,
		Description: strings.TrimSpace("[agent " + name + "] " + act.Description),
		ReadOnly:    act.ReadOnly, Destructive: !act.ReadOnly, OpenWorld: !slices.Contains(remoteKinds, ag.manifest.Runtime),
		In: act.in.raw, Out: act.out.raw}
	return Raw(t, func(ctx context.Context, in json.RawMessage) (json.RawMessage, error) {
		r, err := a.run(ctx, name, act.Name, in)
		if err != nil {
			return nil, err
		}
		if out := strings.TrimSpace(string(r.Output)); strings.HasPrefix(out, "{") {
			return r.Output, nil
		}
		return json.RawMessage(`{"output":` + string(r.Output) + `}`), nil
	})
}

package tools

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/jsonschema-go/jsonschema"

	"engram-mcp/memory"
	"engram-mcp/sandbox"
)

// An agentSpace is the agents of one space, as this process last saw them.
type agentSpace struct {
	manager *sandbox.Manager
	used    time.Time // guarded by Agents.mu

	mu      sync.Mutex
	version int64 // of the rows; -1 before they were read
	agents  map[string]*agent
	ready   map[string]string // by name, what of it the manager has loaded

	wires atomic.Pointer[wiring]
	turn  sync.RWMutex // held for reading by calls with hooks, alone by one that met with a conflict
}

// An agent is a row and what was made of it. It does not change.
type agent struct {
	row      memory.AgentRow
	manifest sandbox.Manifest
	actions  []*action
	problem  string // why it cannot run
}

type action struct {
	sandbox.Action
	in, out contract
}

// maxAgentSpaces bounds the spaces whose agents stay loaded; the one that was
// not used for longest makes room.
const maxAgentSpaces = 64

// space is the agents of the caller's space, read anew if any process has
// changed them. What of them a caller may be told is for others to say.
func (a *Agents) space(ctx context.Context) (*agentSpace, error) {
	caller, _ := memory.PrincipalFrom(ctx)
	store, release, err := a.open(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	ctx = memory.WithPrincipal(ctx, memory.Principal{Space: caller.Space, Rights: memory.Read})
	version, err := store.AgentsVersion(ctx)
	if err != nil {
		return nil, err
	}
	sp, err := a.enter(caller.Space)
	if err != nil {
		return nil, err
	}
	changed, err := sp.sync(ctx, store, version)
	if changed {
		a.set.Changed()
	}
	if err == nil {
		a.know(caller.Space, sp)
	}
	return sp, err
}

// know lets calls find the hooks of a space without a look at its rows.
func (a *Agents) know(space string, sp *agentSpace) {
	if (*a.known.Load())[space] == sp {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	known := maps.Clone(*a.known.Load())
	if a.spaces[space] == sp {
		known[space] = sp
	}
	a.known.Store(&known)
}

// enter finds the agents of a space, or makes room for them.
func (a *Agents) enter(space string) (*agentSpace, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return nil, &memory.Error{Op: "agents", Kind: memory.ErrClosed, Hint: "the server is stopping: connect again"}
	}
	sp := a.spaces[space]
	if sp == nil {
		if len(a.spaces) >= maxAgentSpaces {
			a.evict()
		}
		sp = &agentSpace{version: -1, manager: a.newManager(sandbox.Options{Begin: a.begin, State: agentState{a}, Observe: a.note}), ready: map[string]string{}}
		a.spaces[space] = sp
	}
	sp.used = time.Now()
	return sp, nil
}

// maxLoaded bounds the agents of one space that a process has loaded: those in
// Lua and JavaScript take two kilobytes each. A quota bounds those that there
// are.
const maxLoaded = 10_000

func (a *Agents) newManager(o sandbox.Options) *sandbox.Manager {
	runtimes := make([]sandbox.Runtime, len(a.opt.Runtimes))
	for i, r := range a.opt.Runtimes {
		runtimes[i] = strict{r}
	}
	o.Policy, o.MaxAgents = a.opt.Policy, maxLoaded
	return sandbox.NewManager(o, runtimes...)
}

func (a *Agents) evict() {
	var oldest string
	for name, sp := range a.spaces {
		if oldest == "" || sp.used.Before(a.spaces[oldest].used) {
			oldest = name
		}
	}
	gone := a.spaces[oldest]
	delete(a.spaces, oldest)
	known := maps.Clone(*a.known.Load())
	delete(known, oldest)
	a.known.Store(&known)
	go func() { _ = gone.manager.Close(context.Background()) }() // calls that run end at their limits
}

// sync reads the rows if their version is another than that last seen, and
// reports whether a list that was read before is no longer true.
func (sp *agentSpace) sync(ctx context.Context, s *memory.Store, version int64) (changed bool, err error) {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	if sp.version == version {
		return false, nil
	}
	rows, err := s.Agents(ctx)
	if err != nil {
		return false, err
	}
	agents := make(map[string]*agent, len(rows))
	for _, r := range rows {
		agents[r.Name] = newAgent(r)
	}
	for name := range sp.agents {
		if agents[name] == nil {
			delete(sp.ready, name)
			go func() { _ = sp.manager.Unload(context.Background(), name) }() // after its last calls
		}
	}
	changed = sp.version >= 0
	sp.version, sp.agents = version, agents
	sp.wires.Store(wire(agents))
	return changed, nil
}

func newAgent(r memory.AgentRow) *agent {
	ag := &agent{row: r, manifest: sandbox.Manifest{Name: r.Name}}
	m, err := sandbox.ParseManifest(r.Manifest)
	if err == nil {
		ag.manifest = m
		ag.actions, err = actionsOf(m)
	}
	if err != nil {
		ag.problem, _ = Explain(err)
	}
	return ag
}

func actionsOf(m sandbox.Manifest) (list []*action, err error) {
	for _, act := range m.Actions {
		c := &action{Action: act}
		if c.in, err = newContract("input_schema of "+act.Name, act.InputSchema); err != nil {
			return nil, err
		}
		if c.out, err = newContract("output_schema of "+act.Name, act.OutputSchema); err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	return list, nil
}

// all are the agents by name.
func (sp *agentSpace) all() []*agent {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	list := make([]*agent, 0, len(sp.agents))
	for _, name := range sortedKeys(sp.agents) {
		list = append(list, sp.agents[name])
	}
	return list
}

func (sp *agentSpace) installed(name string) (*agent, error) {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	if ag := sp.agents[name]; ag != nil {
		return ag, nil
	}
	names := sortedKeys(sp.agents)
	hint := "none is installed; engram-mcp agent install adds one"
	if len(names) > 0 {
		hint = "installed are " + strings.Join(names, ", ")
	}
	if near := nearest(name, names); near != "" {
		hint = fmt.Sprintf("did you mean %q? %s", near, hint)
	}
	return nil, &memory.Error{Kind: memory.ErrNotFound, Ref: "agent " + quote(name), Hint: hint}
}

func (ag *agent) action(name string) (*action, error) {
	var names []string
	for _, act := range ag.actions {
		if act.Name == name {
			return act, nil
		}
		names = append(names, act.Name)
	}
	hint := "its actions are " + strings.Join(names, ", ")
	if ag.problem != "" {
		hint = "it cannot run: " + ag.problem
	} else if near := nearest(name, names); near != "" {
		hint = fmt.Sprintf("did you mean %q? %s", near, hint)
	}
	return nil, &memory.Error{Kind: memory.ErrNotFound, Ref: "action " + quote(name) + " of agent " + ag.manifest.Name, Hint: hint}
}

// load makes the manager ready to run what the row says.
func (a *Agents) load(ctx context.Context, sp *agentSpace, ag *agent) error {
	if sp.has(ag) {
		return nil
	}
	a.compile.Lock()
	defer a.compile.Unlock()
	if sp.has(ag) {
		return nil
	}
	code, err := a.code(ag.row.SHA256)
	if err != nil {
		return err
	}
	if _, err := sp.manager.Load(ctx, ag.manifest, code); err != nil {
		return err
	}
	sp.mu.Lock()
	defer sp.mu.Unlock()
	sp.ready[ag.manifest.Name] = string(ag.row.Manifest)
	return nil
}

// has reports whether the manager has loaded the agent as it is. A manifest
// names the hash of its code.
func (sp *agentSpace) has(ag *agent) bool {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	loaded, ok := sp.ready[ag.manifest.Name]
	return ok && loaded == string(ag.row.Manifest)
}

// Installed is the answer to an installation.
type Installed struct {
	Agent   string   `json:"agent"`
	Actions []string `json:"actions"`
	SHA256  string   `json:"sha256"` // of the code
}

// Install checks an agent, loads it once, and makes it part of the caller's
// space. The caller needs Admin and becomes the installer, whose rights bound
// those of the agent for good. With replace it takes the place of an agent of
// that name, whose globals stay. What may come over the network is checked
// before, by agent_install.
func (a *Agents) Install(ctx context.Context, m sandbox.Manifest, code []byte, replace bool) (Installed, error) {
	if err := unstaged(ctx); err != nil {
		return Installed{}, err
	}
	sp, err := a.space(ctx)
	if err != nil {
		return Installed{}, err
	}
	old, err := sp.installed(m.Name)
	if err == nil && !replace {
		return Installed{}, &memory.Error{Kind: memory.ErrConflict, Ref: "agent " + m.Name + " exists", Hint: "pass replace true to put the new one in its place, or choose another name"}
	}
	if m, err = a.Vet(ctx, m, code); err != nil {
		return Installed{}, err
	}
	raw, err := json.Marshal(m)
	if err != nil {
		return Installed{}, err
	}
	if err := a.record(ctx, memory.AgentRow{Name: m.Name, Manifest: raw, SHA256: m.SHA256}, code); err != nil {
		return Installed{}, err
	}
	if _, err := a.space(ctx); err != nil { // sees the new row, and tells who watches
		return Installed{}, err
	}
	if old != nil && old.row.SHA256 != m.SHA256 {
		a.tidy(ctx, old.row.SHA256)
	}
	out := Installed{Agent: m.Name, Actions: []string{}, SHA256: m.SHA256}
	for _, act := range m.Actions {
		out.Actions = append(out.Actions, act.Name)
	}
	return out, nil
}

// ungrantable are tools whose effect could not be taken back when the call of
// an agent fails.
var ungrantable = []string{"agent_install", "agent_remove", "memory_maintain"}

// check is what the vocabulary has to say of a manifest, beside what the
// sandbox checks.
func (a *Agents) check(m *sandbox.Manifest) error {
	bad := func(ref, hint string) error { return invalid("", "manifest: "+ref, hint) }
	if err := a.grantable("manifest: ", m.Grants); err != nil {
		return err
	}
	for i, h := range m.Hooks {
		if err := a.set.checkHook(h); err != nil {
			return bad(fmt.Sprintf("hooks[%d].on: %s cannot be wired", i, quote(h.On)), err.Error())
		}
	}
	_, err := actionsOf(*m)
	return err
}

// grantable refuses grants of what is no tool, or none that an agent may have.
func (a *Agents) grantable(where string, grants []string) error {
	for i, g := range grants {
		at := fmt.Sprintf("%sgrants[%d]: ", where, i)
		if slices.Contains(ungrantable, g) {
			return invalid("", at+g+" cannot be granted", "its effect could not be taken back if the agent failed; leave it out")
		}
		if _, ok := a.set.index[g]; ok {
			continue
		}
		names := make([]string, len(a.set.tools))
		for i, t := range a.set.tools {
			names[i] = t.Name
		}
		hint := "the tools are " + strings.Join(names, ", ")
		if near := nearest(g, names); near != "" {
			hint = "did you mean " + near + "? " + hint
		}
		return invalid("", at+"there is no tool "+quote(g), hint)
	}
	return nil
}

// Vet makes every check of Install: it loads the agent where nobody can call
// it, and returns its manifest with the hash and the actions that the code
// turned out to have.
func (a *Agents) Vet(ctx context.Context, m sandbox.Manifest, code []byte) (sandbox.Manifest, error) {
	if err := a.check(&m); err != nil {
		return m, err
	}
	a.compile.Lock()
	defer a.compile.Unlock()
	trial := a.newManager(sandbox.Options{})
	defer trial.Close(context.WithoutCancel(ctx))
	l, err := trial.Load(ctx, m, code)
	if err != nil {
		return m, err
	}
	m.Actions, m.SHA256 = l.Manifest.Actions, l.SHA256
	_, err = actionsOf(m)
	return m, err
}

// Remove takes an agent and its globals out of the caller's space, which needs
// Admin. Its code goes once no space needs it; see Collect.
func (a *Agents) Remove(ctx context.Context, name string) error {
	if err := unstaged(ctx); err != nil {
		return err
	}
	sp, err := a.space(ctx)
	if err != nil {
		return err
	}
	gone, err := sp.installed(name)
	if err != nil {
		return err
	}
	store, release, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer release()
	if err := store.RemoveAgent(ctx, name); err != nil {
		return err
	}
	_, err = a.space(ctx)
	a.tidy(ctx, gone.row.SHA256)
	return err
}

// A contract is a schema that an agent's input or output has to meet.
type contract struct {
	raw      json.RawMessage
	resolved *jsonschema.Resolved // nil takes everything
}

// unfit are keywords that a schema of an agent may not have: combinators at
// the top, which some model providers refuse, and with them the whole list of
// tools.
var unfit = []string{"oneOf", "anyOf", "allOf", "not", "if"}

func newContract(key string, raw json.RawMessage) (contract, error) {
	if len(raw) == 0 {
		return contract{raw: json.RawMessage(`{"type":"object","properties":{}}`)}, nil
	}
	bad := func(ref, hint string) (contract, error) {
		return contract{}, invalid("", "manifest: "+key+" "+ref, hint)
	}
	var top map[string]any
	if err := json.Unmarshal(raw, &top); err != nil || top["type"] != "object" {
		return bad("does not describe an object", `write {"type": "object", "properties": {…}}`)
	}
	for _, k := range unfit {
		if _, ok := top[k]; ok {
			return bad("has "+k+" at the top", "describe one object; combinators are fine inside its properties")
		}
	}
	if refers(top) {
		return bad("has a $ref", "write out what it refers to")
	}
	var s jsonschema.Schema
	if err := json.Unmarshal(raw, &s); err != nil {
		return bad("is no JSON Schema: "+shorten(err.Error(), 200), "check it with a validator")
	}
	resolved, err := s.Resolve(nil)
	if err != nil {
		return bad("is no JSON Schema: "+shorten(err.Error(), 200), "check it with a validator")
	}
	return contract{raw, resolved}, nil
}

// refers reports whether a schema refers to another one, or to itself, which
// could go on for ever.
func refers(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			if strings.HasSuffix(strings.ToLower(k), "ref") && strings.HasPrefix(k, "$") || refers(e) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(v, refers)
	}
	return false
}

// check says what is wrong with raw.
func (c contract) check(what string, raw json.RawMessage) error {
	if c.resolved == nil {
		return nil
	}
	tree, err := parse(raw)
	if err != nil {
		return err
	}
	// Numbers as the validator knows them.
	plain, err := json.Marshal(tree)
	if err != nil {
		return err
	}
	var v any
	if err := json.Unmarshal(plain, &v); err != nil {
		return err
	}
	if err := c.resolved.Validate(v); err != nil {
		return invalid("", what+": "+shorten(err.Error(), 300), "the schema is "+shorten(string(c.raw), 1000))
	}
	return nil
}

// strict makes a runtime refuse output that does not fit the output_schema of
// the action, before anything that the call wrote takes effect.
type strict struct{ sandbox.Runtime }

type strictAgent struct {
	sandbox.Agent
	out map[string]contract // by action
}

func (r strict) Load(ctx context.Context, m sandbox.Manifest, code []byte) (sandbox.Agent, error) {
	actions, err := actionsOf(m)
	if err != nil {
		return nil, err
	}
	inner, err := r.Runtime.Load(ctx, m, code)
	if err != nil {
		return nil, err
	}
	ag := strictAgent{inner, map[string]contract{}}
	for _, act := range actions {
		ag.out[act.Name] = act.out
	}
	return ag, nil
}

func (ag strictAgent) Execute(ctx context.Context, c sandbox.Call) (sandbox.Result, error) {
	r, err := ag.Agent.Execute(ctx, c)
	if err == nil {
		if bad := ag.out[c.Action].check("output", r.Output); bad != nil {
			err = &sandbox.Error{Op: "run", Kind: sandbox.ErrOutput, Err: bad, Hint: "correct the agent, or its output_schema"}
		}
	}
	return r, err
}

// failureID is what an operator finds a failure by in the log.
func failureID() string {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

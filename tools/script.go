package tools

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"engram-mcp/memory"
	"engram-mcp/sandbox"
)

// A Language is one that script_run takes programs in.
type Language struct {
	Name string // what callers write
	Kind string // of the runtime
	// Agent makes the body of a program, which sees its parameters as params
	// and ends with a return, into the code of an agent with the one action
	// main. Lines keep their numbers. File is what messages call it.
	Agent func(body string) []byte
	File  string
}

// maxScript bounds the code of a script, in bytes.
const maxScript = 64 << 10

// scriptDefaults are the limits of a script that asks for none; scriptBounds
// says how far it may go. What it answers goes to a model, which pays for each
// byte.
var scriptDefaults = sandbox.Limits{TimeMS: 5_000, Fuel: 50_000_000_000, OutputKiB: 32, LogKiB: 8}

// scriptGuide is all that a model needs to know to write a program. It is read
// in every conversation that has the tool: each word must earn its place.
const scriptGuide = `Run a short program next to the memory, to count, group, join or walk links without reading everything yourself. You get what it returns. It may only read, unless grants names writing tools, e.g. ["engram_create"]; then its writes take effect together if it succeeds.
language is "lua" (5.4) or "js" (ES2023). End with return VALUE. In scope:
params
engram.each(filter): every match; filter: kind, source, context, tags, collections, after, before, fields
engram.search(query, {limit, ...filter}): best hits
engram.get(id), engram.history(id), engram.graph(id, {mode, depth, relations}): {engrams, links}
engram.create{content, ...}, engram.update(id, fields), engram.link(from, to, relation), engram.forget(id)
engram.call(tool, args): any tool's own result
log(...); json.encode and json.decode in Lua
An engram has id, content, kind, source, tags, metadata, created_at, ...; a link from, to, relation, weight.

Preferences per source (lua):
local n, top = {}, {}
for e in engram.each{kind = "preference", fields = {"source"}} do n[e.source] = (n[e.source] or 0) + 1 end
for s, c in pairs(n) do top[#top + 1] = {source = s, count = c} end
table.sort(top, function(a, b) return a.count > b.count end)
return table.move(top, 1, 5, 1, {})

All that params.id depends on (js):
const seen = new Set(), todo = [params.id];
while (todo.length) {
  const id = todo.pop();
  if (seen.has(id)) continue;
  seen.add(id);
  for (const l of engram.graph(id, {relations: ["depends_on"]}).links) if (l.from === id) todo.push(l.to);
}
return [...seen];

Decisions about what ada likes (js):
const liked = engram.search("ada likes", {limit: 20}).flatMap((h) => h.tags ?? []);
return [...engram.each({kind: "decision"})].filter((d) => d.tags?.some((t) => liked.includes(t))).map((d) => d.content);`

func (a *Agents) scriptTool() Tool {
	return New(Tool{
		Name: "script_run", Title: "Run a program", Quotes: true, Profile: ProfileAgents, Needs: memory.Read, Destructive: true,
		Description: scriptGuide,
	}, a.runScript)
}

type scriptIn struct {
	Language string       `json:"language" alias:"lang" enum:"lua,js" eg:"\"lua\""`
	Code     string       `json:"code" alias:"script,program,source" eg:"\"return #engram.search('tea')\""`
	Params   obj          `json:"params,omitempty" alias:"arguments,args,input,parameters" eg:"{}"`
	Grants   []string     `json:"grants,omitempty" alias:"tools,allow" jsonschema:"writing tools it may call" eg:"[\"engram_create\"]"`
	Limits   scriptBounds `json:"limits,omitzero" alias:"limit" show:"brief"`
}

type scriptBounds struct {
	TimeMS    int64 `json:"time_ms,omitempty" min:"1" max:"30000" alias:"timeout_ms,timeout"`
	Fuel      int64 `json:"fuel,omitempty" min:"1" max:"1000000000000"`
	MemoryMiB int64 `json:"memory_mib,omitempty" min:"1" max:"128"`
	OutputKiB int64 `json:"output_kib,omitempty" min:"1" max:"256"`
	LogKiB    int64 `json:"log_kib,omitempty" min:"1" max:"64"`
	HostCalls int64 `json:"host_calls,omitempty" min:"1" max:"100000"`
}

// runScript performs a program once, as its caller: with the reading tools and
// those that the caller names, and without the right to write if none of them
// needs it.
func (a *Agents) runScript(ctx context.Context, in scriptIn) (runOut, error) {
	lang, err := a.language(in.Language)
	if err != nil {
		return runOut{}, err
	}
	if len(in.Code) > maxScript {
		return runOut{}, invalid("", fmt.Sprintf("code has %d bytes, the most is %d", len(in.Code), maxScript), "shorten it, pass data in params, or install it as an agent")
	}
	who, _ := memory.PrincipalFrom(ctx)
	who.Rights = everyRight(who.Rights) &^ memory.Owner
	who.Trust = memory.TrustAgent
	grants, needs, err := a.scriptGrants(who, in.Grants)
	if err != nil {
		return runOut{}, err
	}
	who.Rights &= needs
	ctx = memory.WithPrincipal(ctx, who)
	sp, err := a.space(ctx)
	if err != nil {
		return runOut{}, err
	}
	r, err := sp.manager.Once(ctx, scriptManifest(lang, grants, in.Limits.limits()), lang.Agent(in.Code),
		sandbox.Call{Action: "main", Params: json.RawMessage(in.Params), Host: a.host, Emit: func(m []byte) { progress(ctx, m) }})
	if err != nil {
		return runOut{}, scriptError(err)
	}
	logs, stats := account(r)
	return runOut{Output: r.Output, Logs: logs, Stats: stats}, nil
}

// scriptHints are the remedies of who wrote a program a moment ago. Of two
// kinds that an error has, the first one counts.
var scriptHints = []struct {
	kind error
	hint string
}{
	{sandbox.ErrDenied, "name the writing tools that it calls in grants"},
	{sandbox.ErrBadAgent, "correct the program; nothing of it has run"},
	{sandbox.ErrFailed, "correct the program; nothing that it wrote has taken effect"},
	{sandbox.ErrTimeout, "look at less, or raise limits.time_ms, at most 30000"},
	{sandbox.ErrFuel, "look at less, or raise limits.fuel or limits.host_calls"},
	{sandbox.ErrMemory, "hold less at once, or raise limits.memory_mib, at most 128"},
	{sandbox.ErrOutput, "return less, or raise limits.output_kib, at most 256"},
}

// scriptError says of a failed program what its author can use: the cause
// without the way it took through the sandbox, and another remedy than the
// makers of agents are told.
func scriptError(err error) error {
	for _, h := range scriptHints {
		if errors.Is(err, h.kind) {
			return &sandbox.Error{Op: "script_run", Kind: h.kind, Err: scriptCause(err), Hint: h.hint}
		}
	}
	return err
}

func scriptCause(err error) (cause error) {
	for e := (*sandbox.Error)(nil); errors.As(err, &e); err = e.Err {
		if cause = e.Err; strings.HasPrefix(e.Op, "call ") && cause != nil {
			return fmt.Errorf("%s: %w", e.Op, cause)
		}
	}
	return cause
}

func (b scriptBounds) limits() sandbox.Limits {
	l := sandbox.Limits{TimeMS: b.TimeMS, Fuel: b.Fuel, MemoryMiB: b.MemoryMiB, OutputKiB: b.OutputKiB, LogKiB: b.LogKiB, HostCalls: b.HostCalls}
	return sandbox.Policy{Default: scriptDefaults}.Resolve(l)
}

// scriptName is what messages call a script that has no name.
const scriptName = "program"

func scriptManifest(lang Language, grants []string, limits sandbox.Limits) sandbox.Manifest {
	return sandbox.Manifest{Name: scriptName, Runtime: lang.Kind, Entry: lang.File, Grants: grants, Limits: limits, Actions: []sandbox.Action{{Name: "main"}}}
}

func (a *Agents) language(name string) (Language, error) {
	var names []string
	for _, l := range a.opt.Languages {
		if l.Name == name {
			return l, nil
		}
		names = append(names, l.Name)
	}
	return Language{}, invalid("", "language "+quote(name), "use "+strings.Join(names, " or "))
}

// scriptGrants are the tools that a script may call: all that only read, and
// those that were asked for. needs are the rights that they take together.
func (a *Agents) scriptGrants(who memory.Principal, asked []string) (grants []string, needs memory.Rights, err error) {
	if err := a.grantable("", asked); err != nil {
		return nil, 0, err
	}
	needs = memory.Read
	for _, t := range a.set.tools {
		wanted := slices.Contains(asked, t.Name)
		switch {
		case wanted && !who.Can(t.Needs):
			return nil, 0, denied("grants: "+t.Name+" takes the right "+t.Needs.String(), "leave it out, or call with a token that has the right")
		case wanted, t.ReadOnly && who.Can(t.Needs) && t.Profile != ProfileAgents:
			grants, needs = append(grants, t.Name), needs|t.Needs
		}
	}
	return grants, needs, nil
}

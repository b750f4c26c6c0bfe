package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"engram-mcp/memory"
	"engram-mcp/sandbox"
)

func newAgentVerify(a *app) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "verify PATH | NAME",
		Short: "Run an agent's examples, and compare",
		Long: `Run the examples of an agent, each in an empty memory of its own, and compare
what it gives with what they say. Each is then run again, with the same answers
from the memory, and a third time on the other engine: output, calls and fuel
must be equal. The limits and schemas of its manifest hold as they will later.
Your memory is not touched.

The examples are a list in examples.json beside the manifest:

  [{"name": "what it shows", "setup": [{"tool": "engram_create", "args": {…}}],
    "action": "run", "params": {…}, "output": {…},
    "after": [{"tool": "engram_search", "args": {…}, "result": {…}}]}]

Instead of output, error is a part of the message that it fails with. "*" stands
for any value, and "$setup.0.engrams.0.id" for one of an earlier answer. In
output every member counts; in result only those that are named.`,
		Example: "  engram-mcp agent verify examples/agents/c/tally",
		Args:    exactly(1, "name a folder, a manifest, a module or an installed agent"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withAgent(cmd.Context(), args[0], func(g *givenAgent) error {
				if g.err != nil {
					return g.err
				}
				if file == "" {
					file = filepath.Join(g.dir, "examples.json")
					if g.row != nil {
						return failed("an installed agent has no examples with it", "name them with --examples FILE", nil)
					}
				}
				list, err := readExamples(file)
				if err != nil {
					return err
				}
				return a.verify(cmd.Context(), g, list)
			})
		},
	}
	cmd.Flags().StringVar(&file, "examples", "", "read the examples from `FILE`")
	return cmd
}

// verified is what verify found.
type verified struct {
	Agent    string            `json:"agent"`
	SHA256   string            `json:"sha256"`
	Examples []verifiedExample `json:"examples"`
	Problems []string          `json:"problems"` // of the agent as a whole
}

type verifiedExample struct {
	Name      string   `json:"name"`
	Action    string   `json:"action"`
	Problems  []string `json:"problems"`
	Fuel      int64    `json:"fuel"`
	HostCalls int      `json:"host_calls"`
	TimeMS    float64  `json:"time_ms"`
}

func (a *app) verify(ctx context.Context, g *givenAgent, list []example) error {
	out := verified{Agent: g.manifest.Name, Examples: []verifiedExample{}, Problems: []string{}}
	runtimes := a.scratchRuntimes()
	for i, rt := range runtimes {
		runtimes[i] = taped{rt}
	}
	err := a.scratch(ctx, runtimes, func(ctx context.Context, e *engine) error {
		m, err := e.agents.Vet(ctx, g.manifest, g.code)
		if err != nil {
			return err
		}
		out.SHA256 = m.SHA256
		if m, err = asKept(m); err != nil {
			return err
		}
		v := &verifier{engine: e, manifest: m, code: g.code}
		defer v.close()
		for _, x := range list {
			if err := ctx.Err(); err != nil {
				return err
			}
			out.Examples = append(out.Examples, v.example(ctx, x))
		}
		for _, act := range m.Actions {
			if !slices.ContainsFunc(list, func(x example) bool { return x.Action == act.Name }) {
				out.Problems = append(out.Problems, "no example shows the action "+act.Name)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return a.showVerified(&out)
}

// asKept is a manifest as a space keeps it: its config, which the agent reads,
// is without blanks then.
func asKept(m sandbox.Manifest) (sandbox.Manifest, error) {
	raw, err := json.Marshal(m)
	if err != nil {
		return m, err
	}
	return sandbox.ParseManifest(raw)
}

func (a *app) showVerified(v *verified) error {
	bad := 0
	for _, x := range v.Examples {
		if len(x.Problems) > 0 {
			bad++
		}
	}
	if a.json {
		if err := a.encode(v); err != nil {
			return err
		}
	} else if err := a.printVerified(v); err != nil {
		return err
	}
	switch {
	case bad > 0:
		return failed(fmt.Sprintf("%d of %s failed", bad, count(int64(len(v.Examples)), "example")), "correct the agent, or the examples", nil)
	case len(v.Problems) > 0:
		return failed(v.Problems[0], "add an example to examples.json", nil)
	}
	return nil
}

func (a *app) printVerified(v *verified) error {
	p := a.printer()
	for _, x := range v.Examples {
		mark := p.green("ok  ")
		if len(x.Problems) > 0 {
			mark = p.red("FAIL")
		}
		p.linef("%s %s: %s  %s", mark, p.blue(x.Action), x.Name,
			p.dim(fmt.Sprintf("%s units of fuel, %s, %.1f ms", thousands(x.Fuel), count(int64(x.HostCalls), "call"), x.TimeMS)))
		for _, s := range x.Problems {
			p.text("     "+p.red("- "), 7, s)
		}
	}
	for _, s := range v.Problems {
		p.text(p.red("FAIL "), 5, s)
	}
	return p.flush()
}

// scratchRuntimes are runtimes that keep nothing on the disk.
func (a *app) scratchRuntimes() []sandbox.Runtime {
	one := a.settings
	one.readOnly = true
	return one.runtimes(a.logger())
}

// scratch runs f as the owner of an empty memory that is thrown away. nil
// runtimes are scratchRuntimes.
func (a *app) scratch(ctx context.Context, runtimes []sandbox.Runtime, f func(context.Context, *engine) error) error {
	dir, err := os.MkdirTemp("", "engram-mcp-*")
	if err != nil {
		return failed("there is no room for an empty memory", "check the directory for temporary files", err)
	}
	defer os.RemoveAll(dir)
	one := *a
	one.settings = settings{data: dir, space: "scratch", agent: a.agent, embedder: "static", durability: string(memory.Normal)}
	if runtimes == nil {
		runtimes = one.scratchRuntimes()
	}
	e, err := one.engineOn(runtimes, one.logger(), true)
	if err != nil {
		return err
	}
	return e.closedAfter(f(memory.WithPrincipal(ctx, one.owner()), e))
}

// A verifier runs examples of one agent.
type verifier struct {
	*engine
	manifest sandbox.Manifest // with the actions that the code has
	code     []byte
	number   int                // of the example that runs
	replays  []*sandbox.Manager // one that each kind of repetition runs in
}

// repetitions are the ways in which an example is run again.
var repetitions = []struct {
	name string
	edit func(*sandbox.Manifest)
}{
	{"the second time", func(*sandbox.Manifest) {}},
	{"on the other engine", func(m *sandbox.Manifest) {
		if m.Engine == "interpreter" {
			m.Engine = "compiler"
			return
		}
		m.Engine, m.Limits.TimeMS = "interpreter", sandbox.MaxLimits.TimeMS // slower, and limited by fuel as before
	}},
}

func (v *verifier) close() {
	for _, m := range v.replays {
		_ = m.Close(context.Background()) // nothing runs in it any more
	}
}

// example runs one example, and again in each other way.
func (v *verifier) example(ctx context.Context, x example) verifiedExample {
	v.number++
	who, _ := memory.PrincipalFrom(ctx)
	who.Space = fmt.Sprint("example-", v.number)
	ctx = memory.WithPrincipal(ctx, who)
	out := verifiedExample{Name: x.Name, Action: x.Action, Problems: []string{}}
	params, t, problems := v.first(ctx, x)
	out.Problems = append(out.Problems, problems...)
	out.Fuel, out.HostCalls, out.TimeMS = t.fuel, len(t.calls), float64(t.time.Microseconds())/1000
	if !t.ran {
		return out
	}
	for i, way := range repetitions {
		second := t.again()
		if err := v.replay(withTape(ctx, second), i, x.Action, params); err != nil && !second.ran {
			out.Problems = append(out.Problems, way.name+": "+err.Error())
			continue
		}
		for _, s := range t.compare(second) {
			out.Problems = append(out.Problems, way.name+" "+s)
		}
	}
	return out
}

// first runs an example as it says, on a tape.
func (v *verifier) first(ctx context.Context, x example) (params json.RawMessage, t *tape, problems []string) {
	t = &tape{}
	fail := func(what string, err error) (json.RawMessage, *tape, []string) {
		text, _, _ := explain(err)
		return nil, t, append(problems, what+": "+text)
	}
	var s scope
	problems, err := v.steps(ctx, "setup", x.Setup, &s, &s.setup)
	if err != nil {
		return fail("setup", err)
	}
	if len(problems) > 0 {
		return nil, t, problems
	}
	if params, err = s.fill(x.Params); err != nil {
		return fail("params", err)
	}
	if _, err := v.agents.Install(ctx, v.manifest, v.code, false); err != nil {
		return fail("install", err)
	}
	in, err := json.Marshal(map[string]any{"agent": v.manifest.Name, "action": x.Action, "params": params})
	if err != nil {
		return fail("params", err)
	}
	answer, err := v.set.Call(withTape(ctx, t), "agent_run", in)
	if problems, err = x.judge(&s, answer, err); err != nil {
		return fail("output", err)
	}
	more, err := v.steps(ctx, "after", x.After, &s, &s.after)
	problems = append(problems, more...)
	if err != nil {
		return fail("after", err)
	}
	return params, t, problems
}

// judge compares how a run ended with what the example says.
func (x *example) judge(s *scope, answer json.RawMessage, ended error) ([]string, error) {
	if ended != nil {
		text, _, _ := explain(ended)
		switch {
		case x.Error == "":
			return []string{"it fails: " + text}, nil
		case !strings.Contains(text, x.Error):
			return []string{fmt.Sprintf("it fails with %q, not with %q", text, x.Error)}, nil
		}
		return nil, nil
	}
	var run struct{ Output json.RawMessage }
	if err := json.Unmarshal(answer, &run); err != nil {
		return nil, err
	}
	var err error
	if s.output, err = decoded(run.Output); err != nil {
		return nil, err
	}
	if x.Error != "" {
		return []string{fmt.Sprintf("it does not fail with %q, but gives %s", x.Error, brief(s.output))}, nil
	}
	want, err := s.wanted(x.Output)
	if err != nil {
		return nil, err
	}
	return differences("output", want, s.output, true), nil
}

func (s *scope) wanted(raw json.RawMessage) (any, error) {
	filled, err := s.fill(raw)
	if err != nil {
		return nil, err
	}
	return decoded(filled)
}

// steps calls tools one after the other and keeps their answers.
func (v *verifier) steps(ctx context.Context, when string, list []step, s *scope, answers *[]any) (problems []string, err error) {
	for i, step := range list {
		args, err := s.fill(step.Args)
		if err != nil {
			return problems, err
		}
		raw, err := v.set.Call(ctx, step.Tool, args)
		if err != nil {
			return problems, err
		}
		answer, err := decoded(raw)
		if err != nil {
			return problems, err
		}
		*answers = append(*answers, answer)
		if len(step.Result) == 0 {
			continue
		}
		want, err := s.wanted(step.Result)
		if err != nil {
			return problems, err
		}
		problems = append(problems, differences(fmt.Sprintf("%s.%d", when, i), want, answer, false)...)
	}
	return problems, nil
}

// replay runs an action in one of the ways, on the tape of ctx.
func (v *verifier) replay(ctx context.Context, way int, action string, params json.RawMessage) error {
	m := v.manifest
	repetitions[way].edit(&m)
	for len(v.replays) <= way {
		v.replays = append(v.replays, sandbox.NewManager(sandbox.Options{}, v.runtimes...))
	}
	manager, call := v.replays[way], sandbox.Call{Action: action, Params: params}
	if m.Private() { // what it remembers of other examples is not to count
		_, err := manager.Once(ctx, m, v.code, call)
		return err
	}
	if _, err := manager.Agent(m.Name); err != nil {
		if _, err := manager.Load(ctx, m, v.code); err != nil {
			return err
		}
	}
	_, err := manager.Run(ctx, m.Name, call)
	return err
}

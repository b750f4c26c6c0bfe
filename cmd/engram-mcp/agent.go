package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"engram-mcp/sandbox"
	"engram-mcp/sandbox/wasm"
	"engram-mcp/tools"
)

func newAgent(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "agent",
		Short: "Install, inspect, verify, run and remove agents",
		Long: `An agent is code that others wrote and that runs beside the memory, in a sandbox:
without files, network or environment, within limits of time, work and memory,
and with no more of the memory than the tools it was granted.`,
		Args: oneOfItsCommands,
		RunE: func(*cobra.Command, []string) error { return nil }, // Args refuses all
	}
	cmd.AddCommand(newAgentNew(a), newAgentInstall(a), newAgentApprove(a), newAgentTry(a), newAgentInspect(a), newAgentVerify(a),
		&cobra.Command{
			Use: "list", Short: "List the agents of the space", Args: none,
			RunE: func(cmd *cobra.Command, _ []string) error {
				return a.asOwner(cmd.Context(), a.listAgents)
			},
		},
		&cobra.Command{
			Use: "run NAME ACTION [JSON | -]", Short: "Run an action of an agent",
			Long:    "Run an action of an agent, with parameters as a JSON object, or from stdin with a\ndash. It prints the JSON of its output; what it logged goes to stderr.",
			Example: `  engram-mcp agent run tally by '{"query": "ferry", "by": "kind"}'`,
			Args:    between(2, 3, "name an agent and an action, and give parameters as one JSON object"),
			RunE: func(cmd *cobra.Command, args []string) error {
				params := json.RawMessage("{}")
				if len(args) == 3 {
					var err error
					if params, err = a.argument(args[2]); err != nil {
						return err
					}
				}
				if !json.Valid(params) {
					return usage("the parameters are not JSON", `write an object, e.g. '{"query": "ferry"}'`)
				}
				return a.asOwner(cmd.Context(), func(ctx context.Context, e *engine) error {
					return a.runAgent(ctx, e, args[0], args[1], params)
				})
			},
		},
		newAgentLogs(a),
		&cobra.Command{
			Use: "remove NAME", Short: "Remove an agent with its state", Args: exactly(1, "name one agent"),
			RunE: func(cmd *cobra.Command, args []string) error {
				return a.asOwner(cmd.Context(), func(ctx context.Context, e *engine) error {
					var out struct{ Removed string }
					shown, err := a.call(ctx, e, "agent_remove", map[string]string{"agent": args[0]}, &out)
					if err == nil && !shown {
						a.note("removed the agent " + out.Removed + "; what it has remembered stays")
					}
					return err
				})
			},
		},
	)
	return cmd
}

func newAgentInstall(a *app) *cobra.Command {
	var replace, approve bool
	cmd := &cobra.Command{
		Use:   "install PATH",
		Short: "Install an agent from its folder, manifest or module",
		Long: `Install an agent in the space: from a folder with an agent.json, from such a
manifest, or from a Wasm module that has one in it or beside it. It is compiled
and checked first. Its actions become tools of every client of the space. Its
hooks and schedules wait for 'engram-mcp agent approve', or for --approve.`,
		Example: "  engram-mcp agent install examples/agents/c/tally",
		Args:    exactly(1, "name a folder, a manifest or a module"),
		RunE: func(cmd *cobra.Command, args []string) error {
			m, code, err := readAgent(args[0])
			if err != nil {
				return err
			}
			return a.asOwner(cmd.Context(), func(ctx context.Context, e *engine) error {
				made, err := e.agents.Install(ctx, m, code, replace)
				if err != nil {
					return err
				}
				w, err := e.agents.Wiring(ctx, made.Agent)
				if err == nil && approve {
					if err = e.agents.Approve(ctx, w, true); err == nil {
						w, err = e.agents.Wiring(ctx, made.Agent)
					}
				}
				if err != nil {
					return err
				}
				return a.installed(made, m, &w)
			})
		},
	}
	cmd.Flags().BoolVar(&replace, "replace", false, "take the place of an agent of that name; its state stays")
	cmd.Flags().BoolVar(&approve, "approve", false, "let its hooks and schedules run at once")
	return cmd
}

func (a *app) installed(made tools.Installed, m sandbox.Manifest, w *tools.Wiring) error {
	if a.json {
		return a.encode(made)
	}
	p := a.printer()
	p.linef("%s  %s", p.bold(made.Agent), p.dim("sha256 "+made.SHA256))
	p.linef("  %s %s", p.dim("actions"), strings.Join(made.Actions, ", "))
	p.linef("  %s %s", p.dim("may call"), orNothing(m.Grants))
	p.wiring(w)
	if w.Wired == "waiting" && len(w.Hooks)+len(w.Schedule) > 0 {
		a.note("'engram-mcp agent approve " + made.Agent + "' lets its hooks and schedules run")
	}
	return p.flush()
}

func orNothing(names []string) string {
	if len(names) == 0 {
		return "nothing"
	}
	return strings.Join(names, ", ")
}

// maxCode bounds what is read as an agent's code.
const maxCode = 64 << 20

// readAgent reads the manifest and the code of an agent from its folder, from
// its manifest, or from its code.
func readAgent(path string) (m sandbox.Manifest, code []byte, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return m, nil, failed(path+" cannot be read", "name a folder with an agent.json, or a Wasm module", err)
	}
	manifest := path
	switch {
	case info.IsDir():
		manifest = filepath.Join(path, "agent.json")
	case filepath.Ext(path) != ".json":
		if code, err = readCode(path); err != nil {
			return m, nil, err
		}
		if m, found, err := wasm.ReadManifest(code); found || err != nil && !errors.Is(err, sandbox.ErrBadAgent) {
			return m, code, err
		}
		manifest = filepath.Join(filepath.Dir(path), "agent.json")
	}
	raw, err := os.ReadFile(manifest)
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil, failed("there is no manifest "+manifest, "write one that names the agent, its actions and its grants; see the examples", nil)
	}
	if err != nil {
		return m, nil, failed(manifest+" cannot be read", "check the path", err)
	}
	if m, err = sandbox.ParseManifest(raw); err != nil || code != nil {
		return m, code, err
	}
	if m.Entry == "" {
		return m, nil, failed(manifest+" does not say where its code is", `add "entry": "agent.wasm"`, nil)
	}
	code, err = readCode(filepath.Join(filepath.Dir(manifest), filepath.FromSlash(m.Entry)))
	return m, code, err
}

func readCode(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err == nil && info.Size() > maxCode {
		return nil, failed(fmt.Sprintf("%s has %s, the most is %s", path, size(info.Size()), size(maxCode)), "build it smaller", nil)
	}
	code, err := os.ReadFile(path)
	if err != nil {
		return nil, failed(path+" cannot be read", "build the agent first, or correct \"entry\" in its manifest", err)
	}
	return code, nil
}

func (a *app) listAgents(ctx context.Context, e *engine) error {
	var out struct {
		Agents []struct {
			Name, Version, Description, Runtime, Problem string
			Grants                                       []string
			Actions                                      []struct{ Name, Description string }
			tools.Wiring
		}
	}
	if shown, err := a.call(ctx, e, "agent_list", struct{}{}, &out); shown || err != nil {
		return err
	}
	if len(out.Agents) == 0 {
		a.note("no agent is installed; 'engram-mcp agent install PATH' installs one")
	}
	p := a.printer()
	for _, g := range out.Agents {
		p.linef("%s %s  %s", p.bold(g.Name), g.Version, p.dim(g.Runtime+", may call "+orNothing(g.Grants)))
		if g.Description != "" {
			p.text("  ", 2, g.Description)
		}
		if g.Problem != "" {
			p.text("  "+p.red("cannot run: "), 14, g.Problem)
		}
		for _, act := range g.Actions {
			p.linef("  %s %s", p.blue(fmt.Sprintf("%-12s", act.Name)), p.fit(act.Description, 15))
		}
		p.wiring(&g.Wiring)
	}
	return p.flush()
}

// runAnswer is the answer of agent_run.
type runAnswer struct {
	Output json.RawMessage
	Logs   []struct{ Level, Text string }
	Stats  struct {
		Fuel       int64
		HostCalls  int64   `json:"host_calls"`
		PeakMemory int64   `json:"peak_memory"`
		TimeMS     float64 `json:"time_ms"`
	}
}

func (a *app) runAgent(ctx context.Context, e *engine, name, action string, params json.RawMessage) error {
	var out runAnswer
	shown, err := a.call(ctx, e, "agent_run", map[string]any{"agent": name, "action": action, "params": params}, &out)
	if shown || err != nil {
		return err
	}
	for _, l := range out.Logs {
		a.note(l.Level + ": " + l.Text)
	}
	a.note(out.used())
	return a.printJSON(out.Output)
}

// used is what a run took, in a line.
func (r *runAnswer) used() string {
	return fmt.Sprintf("%.1f ms, %s units of fuel, %s, %s of memory", r.Stats.TimeMS, thousands(r.Stats.Fuel), count(r.Stats.HostCalls, "call")+" to the memory", size(r.Stats.PeakMemory))
}

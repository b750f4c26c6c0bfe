package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"engram-mcp/memory"
	"engram-mcp/sandbox"
	"engram-mcp/sandbox/meter"
	"engram-mcp/sandbox/wasm"
)

func newAgentInspect(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "inspect NAME | PATH",
		Short: "Tell what an agent is, installed or not",
		Long: `Tell what an agent is: its actions, what it may call and where, its limits, its
hooks and times, and what its module takes from the host and offers. It works
on an installed agent, and before that on a folder, a manifest or a module; what
cannot be loaded is told with the reason. Nothing of it is run but what makes it
ready, in the sandbox.`,
		Example: "  engram-mcp agent inspect examples/agents/c/tally\n  engram-mcp agent inspect tally --json",
		Args:    exactly(1, "name an agent, a folder, a manifest or a module"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withAgent(cmd.Context(), args[0], func(g *givenAgent) error {
				return a.showInspected(a.inspect(cmd.Context(), g))
			})
		},
	}
}

// A givenAgent is one that the command line names, installed or in files.
type givenAgent struct {
	manifest sandbox.Manifest
	code     []byte
	err      error // why manifest or code is not there
	dir      string
	row      *memory.AgentRow // nil if it is not installed
}

// withAgent finds what the command line names and hands it to f. What exists
// as a file is a file; anything else is the name of an installed agent.
func (a *app) withAgent(ctx context.Context, arg string, f func(*givenAgent) error) error {
	info, err := os.Stat(arg)
	if err == nil {
		g := &givenAgent{dir: arg}
		if !info.IsDir() {
			g.dir = filepath.Dir(arg)
		}
		if g.manifest, g.code, g.err = readAgent(arg); g.err != nil && !info.IsDir() && filepath.Ext(arg) != ".json" {
			g.code, _ = readCode(arg)
		}
		return f(g)
	}
	if !errors.Is(err, fs.ErrNotExist) || strings.ContainsAny(arg, `/\.`) {
		return failed(arg+" cannot be read", "name an installed agent, a folder with an agent.json, or a Wasm module", err)
	}
	return a.asOwner(ctx, func(ctx context.Context, e *engine) error {
		row, code, err := e.agents.Find(ctx, arg)
		if err != nil {
			return err
		}
		g := &givenAgent{row: &row, code: code}
		if g.manifest, g.err = sandbox.ParseManifest(row.Manifest); g.err == nil && code == nil {
			g.err = failed("its code is missing or damaged", "install it again with --replace", nil)
		}
		return f(g)
	})
}

// inspected is what inspect tells.
type inspected struct {
	Installed *installation     `json:"installed,omitempty"`
	SHA256    string            `json:"sha256,omitempty"`
	Bytes     int               `json:"bytes"`
	Manifest  *sandbox.Manifest `json:"manifest,omitempty"`
	Limits    *sandbox.Limits   `json:"limits,omitempty"` // in force: with defaults, within the policy
	Module    *module           `json:"module,omitempty"`
	Problem   string            `json:"problem,omitempty"` // why it cannot be loaded
	Hint      string            `json:"hint,omitempty"`
}

type installation struct {
	By       string    `json:"by"`
	At       time.Time `json:"at"`
	Approved bool      `json:"approved"` // its hooks and times are in force
}

// module is what a Wasm module is made of.
type module struct {
	Imports   []outside `json:"imports"`
	Exports   []outside `json:"exports"`
	Functions int       `json:"functions"`
	Pages     int64     `json:"memory_pages"`               // of 64 KiB, at first
	MaxPages  int64     `json:"memory_max_pages,omitempty"` // that it declares
	Producers []string  `json:"producers,omitempty"`
	Metered   *metered  `json:"metered,omitempty"` // nil if it is refused
}

type outside struct {
	Module string `json:"module,omitempty"`
	Name   string `json:"name"`
	Type   string `json:"type"`
}

// metered is what the meter has made of a module.
type metered struct {
	Bytes  int    `json:"bytes"`
	Sites  int    `json:"sites"` // at which fuel is charged
	Reset  bool   `json:"reset"` // an instance is put back after each call, not made anew
	Sticky string `json:"sticky,omitempty"`
}

// inspect examines an agent in an empty memory.
func (a *app) inspect(ctx context.Context, g *givenAgent) *inspected {
	out := &inspected{Bytes: len(g.code)}
	if g.code != nil {
		sum := sha256.Sum256(g.code)
		out.SHA256 = hex.EncodeToString(sum[:])
	}
	if g.row != nil {
		out.SHA256 = g.row.SHA256
		out.Installed = &installation{g.row.Installer.Name, g.row.CreatedAt, g.row.Approved}
	}
	err := g.err
	if g.manifest.Name != "" {
		limits := sandbox.Policy{}.Resolve(g.manifest.Limits)
		out.Manifest, out.Limits = &g.manifest, &limits
	}
	if g.code != nil && (g.manifest.Runtime == "wasm" || g.manifest.Runtime == "") {
		info, bad := wasm.Inspect(g.code)
		if bad == nil || len(info.Exports) > 0 {
			out.Module = describe(&info, bad == nil)
		}
		err = cmp.Or(bad, err)
	}
	if err == nil {
		err = a.scratch(ctx, nil, func(ctx context.Context, e *engine) error {
			m := g.manifest
			m.Engine = "interpreter" // it checks the same, and is ready sooner
			m, err := e.agents.Vet(ctx, m, g.code)
			if err == nil {
				g.manifest.Actions = m.Actions
			}
			return err
		})
	}
	if err != nil {
		out.Problem, out.Hint, _ = explain(err)
	}
	return out
}

func describe(info *meter.Info, accepted bool) *module {
	m := &module{Imports: []outside{}, Exports: []outside{}, Functions: info.Functions, Producers: info.Producers}
	kind := func(k meter.Kind, t meter.Signature) string {
		if k == meter.KindFunc {
			return t.String()
		}
		return k.String()
	}
	for _, i := range info.Imports {
		m.Imports = append(m.Imports, outside{i.Module, i.Name, kind(i.Kind, i.Type)})
	}
	for _, x := range info.Exports {
		m.Exports = append(m.Exports, outside{"", x.Name, kind(x.Kind, x.Type)})
	}
	if info.Memory != nil {
		m.Pages = int64(info.Memory.Min)
		if info.Memory.HasMax {
			m.MaxPages = int64(info.Memory.Max)
		}
	}
	if accepted {
		m.Metered = &metered{info.Size, info.Sites, info.Sticky == "", info.Sticky}
	}
	return m
}

func (a *app) showInspected(in *inspected) error {
	if a.json {
		return a.encode(in)
	}
	p := a.printer()
	row := func(name, value string) {
		if value != "" {
			p.text("  "+p.dim(fmt.Sprintf("%-11s ", name)), 14, value)
		}
	}
	if m := in.Manifest; m != nil {
		p.linef("%s  %s", p.bold(strings.TrimSpace(m.Name+" "+m.Version)), p.dim(cmp.Or(m.Runtime, "wasm")+in.Installed.text()))
		row("", m.Description)
		row("may call", orNothing(m.Grants))
		row("contexts", scopeText(m.Contexts))
		row("collections", scopeText(m.Collections))
		row("limits", limitsText(in.Limits))
		for _, act := range m.Actions {
			row("action", strings.TrimSpace(act.Name+"  "+act.Description))
		}
		for _, h := range m.Hooks {
			row("hook", h.On+" runs "+h.Action+in.Installed.wired())
		}
		for _, s := range m.Schedule {
			when := "every " + s.Every
			if s.DailyAt != "" {
				when = "daily at " + s.DailyAt + " UTC"
			}
			row("schedule", when+" runs "+s.Action+in.Installed.wired())
		}
	}
	row("sha256", in.SHA256)
	if in.Module != nil {
		p.module(in, row)
	}
	if in.Problem != "" {
		p.text("  "+p.red("cannot be loaded: "), 4, in.Problem)
		p.text("  "+p.dim("hint: "), 8, in.Hint)
	}
	return p.flush()
}

// module prints what a module is made of.
func (p *printer) module(in *inspected, row func(name, value string)) {
	m := in.Module
	text := size(int64(in.Bytes)) + ", " + count(int64(m.Functions), "function")
	if m.Metered != nil {
		text += fmt.Sprintf("; metered %s, fuel is charged at %s", size(int64(m.Metered.Bytes)), count(int64(m.Metered.Sites), "place"))
	}
	row("module", text)
	row("made by", strings.Join(m.Producers, ", "))
	text = count(m.Pages, "page") + " of 64 KiB at first"
	if m.MaxPages > 0 {
		text += ", " + thousands(m.MaxPages) + " at most"
	}
	row("memory", text)
	switch t := m.Metered; {
	case in.Manifest != nil && in.Manifest.Private():
		row("instances", "one, which keeps its state from call to call")
	case t != nil && t.Reset:
		row("instances", "put back to their first state after each call")
	case t != nil:
		row("instances", "made anew for each call: "+t.Sticky+" changes what cannot be put back")
	}
	for _, i := range m.Imports {
		row("import", i.Module+"."+i.Name+" "+i.Type)
	}
	for _, x := range m.Exports {
		row("export", x.Name+" "+x.Type)
	}
}

func (i *installation) text() string {
	if i == nil {
		return ", not installed"
	}
	return ", installed by " + i.By + " on " + day(i.At)
}

// wired tells whether hooks and times are in force.
func (i *installation) wired() string {
	switch {
	case i == nil:
		return ""
	case i.Approved:
		return ", approved"
	}
	return ", waits for approval"
}

func scopeText(s sandbox.Scope) string {
	var parts []string
	for _, list := range []struct {
		verb  string
		names []string
	}{{"reads", s.Read}, {"writes", s.Write}} {
		if len(list.names) > 0 {
			parts = append(parts, list.verb+" "+strings.Join(list.names, ", ")+" only")
		}
	}
	return strings.Join(parts, "; ")
}

func limitsText(l *sandbox.Limits) string {
	return fmt.Sprintf("%s ms, %s units of fuel, %d MiB of memory, %s to the memory, %d KiB of output, %d KiB of logs, %s at once",
		thousands(l.TimeMS), thousands(l.Fuel), l.MemoryMiB, count(l.HostCalls, "call"), l.OutputKiB, l.LogKiB, count(l.Concurrency, "run"))
}

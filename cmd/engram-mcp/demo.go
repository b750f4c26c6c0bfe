package main

import (
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"engram-mcp/memory"
	"engram-mcp/sandbox"
	"engram-mcp/tools"
)

//go:embed demo/memory.json
var demoMemory []byte

//go:embed demo/links.json
var demoLinks []byte

// The agents of the demonstration: examples/agents/c/tally, which is also what
// the doctor tests the sandbox with, and examples/agents/wat/guard.
var (
	//go:embed demo/tally.wasm
	tallyCode []byte
	//go:embed demo/tally.json
	tallyManifest []byte
	//go:embed demo/guard.wasm
	guardCode []byte
	//go:embed demo/guard.json
	guardManifest []byte
)

// demoPeople are the people in the demo; all others are agents.
var demoPeople = map[string]bool{"mira": true}

func newDemo(a *app) *cobra.Command {
	var keep string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "See it at work on a small project's memory",
		Long: `Fill a memory with what four agents and a person know of a project, and ask it
things: by words, by meaning, along links, as one who may not know everything.
It works on a directory that is gone afterwards, or on the one of --keep.`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.demo(cmd.Context(), keep) },
	}
	cmd.Flags().StringVar(&keep, "keep", "", "fill this `DIR` and leave it there to play with")
	return cmd
}

// A demo is one run of the demonstration. Its steps stop at the first error.
type demo struct {
	*app
	*printer
	engine *engine
	ids    map[string]string // engram by key
	err    error
}

func (a *app) demo(ctx context.Context, keep string) error {
	one := *a
	one.settings = settings{data: keep, space: "default", embedder: "static"}
	if keep == "" {
		dir, err := os.MkdirTemp("", "engram-demo-")
		if err != nil {
			return failed("there is no room for a temporary directory", "name one with --keep", err)
		}
		defer os.RemoveAll(dir)
		one.data = dir
	}
	e, err := one.engine(slog.New(slog.DiscardHandler), true)
	if err != nil {
		return err
	}
	defer e.Close()
	d := &demo{app: &one, printer: a.printer(), engine: e, ids: map[string]string{}}
	d.linef("%s", d.bold("Four agents and a person build a ferry timetable, and remember together"))
	d.remember(ctx)
	d.ask(ctx, "By words", "coder", searchArgs{Query: "disk full", Limit: 2})
	d.ask(ctx, "By meaning, where no word is the same", "coder", searchArgs{Query: "who goes on vacation at Christmas?", Limit: 1})
	d.ask(ctx, "", "coder", searchArgs{Query: "when was the website offline?", Limit: 1})
	d.follow(ctx, "outage")
	d.ask(ctx, "What holds now before what it superseded", "coder", searchArgs{Query: "timetable database", Limit: 2, Explain: true})
	d.ask(ctx, "Not everyone may know everything: Mira asks", "mira", searchArgs{Query: "who is going to leave?", Context: "people"})
	d.ask(ctx, "and an agent asks the same", "coder", searchArgs{Query: "who is going to leave?", Context: "people"})
	d.run(ctx)
	d.guard(ctx)
	d.next(keep)
	if d.err != nil {
		return d.err
	}
	return d.flush()
}

// as is a call by one of the demo's people and agents. After an error it does
// nothing.
func (d *demo) as(ctx context.Context, who, tool string, in, out any) {
	if d.err != nil {
		return
	}
	p := memory.Principal{Space: d.space, Name: who, Rights: memory.Read | memory.Write, Trust: memory.TrustAgent}
	if demoPeople[who] {
		p.Trust = memory.TrustUser
	}
	raw, err := json.Marshal(in)
	if err == nil {
		raw, err = d.engine.set.Call(memory.WithPrincipal(ctx, p), tool, raw)
	}
	if err == nil {
		err = json.Unmarshal(raw, out)
	}
	d.err = err
}

// title begins a step.
func (d *demo) title(text, detail string) {
	d.linef("\n%s", strings.TrimSpace(d.bold(text)+"  "+d.dim(detail)))
}

// remember fills the memory, as each of those who know something.
func (d *demo) remember(ctx context.Context) {
	var engrams []struct {
		Key, By, Kind, Context, From, Content string
		Tags                                  []string
		Confidence, Importance                *float64
	}
	var links []struct {
		From, Relation, To string
		Weight             *float64
	}
	if d.err = json.Unmarshal(demoMemory, &engrams); d.err != nil {
		return
	}
	if d.err = json.Unmarshal(demoLinks, &links); d.err != nil {
		return
	}
	start := time.Now()
	d.as(ctx, "mira", "context_list", struct{}{}, &struct{}{}) // opens the space
	d.private(ctx)
	for _, g := range engrams {
		var made struct{ Engrams []memory.Engram }
		d.as(ctx, g.By, "engram_create", addArgs{Content: g.Content, Kind: g.Kind, Context: g.Context, Source: g.By, ValidFrom: g.From,
			Tags: g.Tags, Confidence: g.Confidence, Importance: g.Importance}, &made)
		if d.err != nil {
			return
		}
		d.ids[g.Key] = made.Engrams[0].ID
	}
	made := make([]linkArgs, len(links))
	for i, l := range links {
		made[i] = linkArgs{From: d.ids[l.From], Relation: l.Relation, To: d.ids[l.To], Weight: l.Weight}
	}
	d.as(ctx, "planner", "engram_link", map[string]any{"links": made}, &struct{}{})
	d.linef("%s", d.dim(fmt.Sprintf("%s and %s by planner, coder, reviewer, ops and Mira, in %d ms; each on disk before it was acknowledged",
		count(int64(len(engrams)), "engram"), count(int64(len(links)), "link"), time.Since(start).Milliseconds())))
}

// private makes the context that only Mira may read, unless it is there from
// the time before.
func (d *demo) private(ctx context.Context) {
	var known struct{ Contexts []memory.Group }
	d.as(ctx, "mira", "context_list", struct{}{}, &known)
	for _, c := range known.Contexts {
		if c.Name == "people" {
			return
		}
	}
	d.as(ctx, "mira", "context_create", map[string]any{"name": "people", "readers": []string{"mira"}, "writers": []string{"mira"}}, &struct{}{})
}

// ask searches, and shows the best hits.
func (d *demo) ask(ctx context.Context, title, who string, in searchArgs) {
	var out searchAnswer
	start := time.Now()
	d.as(ctx, who, "engram_search", in, &out)
	if d.err != nil {
		return
	}
	took := time.Since(start)
	asked := fmt.Sprintf("“%s” · %.1f ms", in.Query, float64(took.Microseconds())/1000)
	if title != "" {
		d.title(title, asked)
	} else {
		d.linef("%s", d.dim("and  "+asked))
	}
	for _, h := range out.Hits {
		d.text(d.green(fmt.Sprintf("%5.2f", h.Score))+"  ", 7, h.Content+" "+d.dim(remark(&h)))
	}
	if len(out.Hits) == 0 {
		d.linef("       %s", d.dim("nothing"))
	}
}

// remark is who said it when, and what counted against it.
func remark(h *hit) string {
	said := "(" + h.Source + ", " + day(h.ValidFrom)
	if less := h.Parts["superseded"]; less < 0 {
		said += fmt.Sprintf("; superseded, %.1f", less)
	}
	return said + ")"
}

// follow shows an engram and what is linked with it, as a tree.
func (d *demo) follow(ctx context.Context, key string) {
	var out struct {
		Engrams []memory.Engram
		Links   []memory.Link
	}
	d.as(ctx, "coder", "engram_graph", map[string]any{"start": []string{d.ids[key]}, "mode": "subgraph", "depth": 3}, &out)
	if d.err != nil {
		return
	}
	d.title("Along the links", "engram_graph, three steps from the best hit")
	t := tree{printer: d.printer, content: map[string]string{}, links: out.Links, seen: map[string]bool{}}
	for _, e := range out.Engrams {
		t.content[e.ID] = e.Content
	}
	t.root(d.ids[key])
}

// run installs an agent, and lets a client with fewer rights run it.
func (d *demo) run(ctx context.Context) {
	m, err := sandbox.ParseManifest(tallyManifest)
	if err == nil && d.err == nil {
		_, err = d.engine.agents.Install(memory.WithPrincipal(ctx, d.owner()), m, tallyCode, true)
	}
	if d.err = cmp.Or(d.err, err); d.err != nil {
		return
	}
	var out runAnswer
	var counted struct {
		By map[string]int64
	}
	d.as(ctx, "coder", "agent_run", map[string]any{"agent": m.Name, "action": "by", "params": map[string]any{"by": "source", "limit": 50}}, &out)
	if d.err == nil {
		d.err = json.Unmarshal(out.Output, &counted)
	}
	if d.err != nil {
		return
	}
	d.title("Code beside the memory, in a sandbox", fmt.Sprintf("%s, %s of WebAssembly that may call %s", m.Name, size(int64(len(tallyCode))), strings.Join(m.Grants, ", ")))
	var shares []string
	for _, name := range slices.Sorted(maps.Keys(counted.By)) {
		shares = append(shares, fmt.Sprintf("%s %d", name, counted.By[name]))
	}
	d.linef("       who knows how much: %s", strings.Join(shares, ", "))
	d.linef("       %s", d.dim(out.used()))
}

// guard wires an agent into the calls of the others, and lets one of them meet
// it.
func (d *demo) guard(ctx context.Context) {
	if d.err != nil {
		return
	}
	ctx = memory.WithPrincipal(ctx, d.owner())
	m, err := sandbox.ParseManifest(guardManifest)
	if err == nil {
		_, err = d.engine.agents.Install(ctx, m, guardCode, true)
	}
	var w tools.Wiring
	if err == nil {
		w, err = d.engine.agents.Wiring(ctx, m.Name)
	}
	if err == nil {
		err = d.engine.agents.Approve(ctx, w, true)
	}
	if err == nil {
		w, err = d.engine.agents.Wiring(ctx, m.Name)
	}
	if d.err = err; err != nil {
		return
	}
	d.title("Code that is asked before anything is remembered", fmt.Sprintf("%s, a hook of %s, approved by the owner", m.Name, size(int64(len(guardCode)))))
	d.as(ctx, "ops", "engram_create", addArgs{Content: "The password of the database is kept in the vault"}, &struct{}{})
	refused := d.err
	if d.err = nil; !errors.Is(refused, memory.ErrDenied) {
		d.err = cmp.Or(refused, errors.New("the hook let everything pass"))
		return
	}
	text, _, _ := explain(refused)
	d.text("       "+d.red("ops: "), 12, text)
	d.wiring(&w)
}

func (d *demo) next(keep string) {
	d.title("Next", "")
	if keep != "" {
		d.linef("  engram-mcp --data %s search what did the maps cost", shellLine([]string{d.data}))
	}
	d.linef("  engram-mcp install claude             let Claude Code remember (or cursor, vscode, codex, …)")
	d.linef("  engram-mcp add \"Ada prefers tea\"      remember by hand")
	d.linef("  engram-mcp --help                     all commands")
}

// A tree prints engrams below each other as their links lead from one to the
// next, each engram once.
type tree struct {
	*printer
	content map[string]string
	links   []memory.Link
	seen    map[string]bool
}

func (t *tree) root(id string) {
	t.seen[id] = true
	t.text("       ", 7, t.content[id])
	t.below(id, "       ")
}

func (t *tree) below(id, margin string) {
	type branch struct{ label, id string }
	var branches []branch
	for _, l := range t.links {
		label, other := l.Relation+" → ", l.To
		if l.To == id {
			label, other = l.Relation+" ← ", l.From
		}
		if (l.From == id || l.To == id) && !t.seen[other] {
			t.seen[other] = true
			branches = append(branches, branch{label, other})
		}
	}
	for i, b := range branches {
		mark, rest := "├─ ", "│  "
		if i == len(branches)-1 {
			mark, rest = "└─ ", "   "
		}
		room := len([]rune(margin)) + 3 + len([]rune(b.label))
		t.linef("%s%s%s", t.dim(margin+mark), t.blue(b.label), t.fit(t.content[b.id], room))
		t.below(b.id, margin+rest)
	}
}

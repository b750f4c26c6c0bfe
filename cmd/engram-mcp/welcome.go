package main

import (
	"context"
	"slices"

	"engram-mcp/memory"
)

// welcome greets a person who typed just the name of the program.
func (a *app) welcome(ctx context.Context) error {
	p := a.printer()
	p.linef("%s %s, a memory for LLM agents", p.bold("engram-mcp"), version())
	p.linef("")
	p.text(p.dim("  memory   "), 11, a.remembered(ctx))
	p.text(p.dim("  kept in  "), 11, a.data)
	p.linef("")
	p.linef("  engram-mcp install claude            let Claude Code remember (or cursor, vscode, codex, …)")
	p.linef("  engram-mcp add \"Ada prefers tea\"     remember by hand")
	p.linef("  engram-mcp search what does Ada drink")
	p.linef("")
	p.linef("%s", p.dim("See it at work with 'engram-mcp demo'; all commands: 'engram-mcp --help'."))
	return p.flush()
}

// remembered says in a line what the space holds. It makes none.
func (a *app) remembered(ctx context.Context) string {
	if !slices.Contains(a.spaceNames(), a.space) {
		return "empty"
	}
	a.readOnly = true
	var st memory.Stats
	err := a.inSpace(ctx, func(ctx context.Context, s *memory.Store) (err error) {
		st, err = s.Stats(ctx)
		return err
	})
	if err != nil {
		what, _, _ := explain(err)
		return what + " (see 'engram-mcp doctor')"
	}
	words := count(st.Engrams-st.Forgotten, "engram") + " and " + count(st.Links, "link") + " in the space " + st.Space
	if n := len(a.spaceNames()); n > 1 {
		words += ", one of " + thousands(int64(n))
	}
	return words
}

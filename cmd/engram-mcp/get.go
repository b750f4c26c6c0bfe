package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"engram-mcp/memory"
)

func newGet(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "get ID…",
		Short:   "Show engrams in full, with their links",
		Example: "  engram-mcp get 0198c0de-7b1c-7a55-b9ad-3f0c6c9f2a11",
		Args:    atLeast(1, "give one id or more"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.asOwner(cmd.Context(), func(ctx context.Context, e *engine) error { return a.get(ctx, e, args) })
		},
	}
}

func (a *app) get(ctx context.Context, e *engine, ids []string) error {
	var out struct {
		Engrams []memory.Engram `json:"engrams"`
		Missing []string        `json:"missing"`
	}
	shown, err := a.call(ctx, e, "engram_get", map[string]any{"ids": ids, "include_links": true}, &out)
	if err != nil {
		return err
	}
	if !shown {
		p := a.printer()
		for i := range out.Engrams {
			if i > 0 {
				p.linef("")
			}
			p.card(&out.Engrams[i])
		}
		if err := p.flush(); err != nil {
			return err
		}
	}
	if len(out.Missing) > 0 {
		return failed("not found: "+strings.Join(out.Missing, ", "), "'engram-mcp search' finds ids; it may have been forgotten", nil)
	}
	return nil
}

// card prints one engram in full.
func (p *printer) card(e *memory.Engram) {
	p.text("", 0, p.bold(e.Content))
	row := func(name, value string) {
		if value != "" {
			p.linef("  %s %s", p.dim(fmt.Sprintf("%-11s", name)), value)
		}
	}
	row("id", p.blue(e.ID))
	row("kind", e.Kind)
	row("source", e.Source)
	row("author", strings.Trim(e.Author+" ("+string(e.Trust)+")", " "))
	row("context", e.Context)
	row("collections", strings.Join(e.Collections, ", "))
	row("tags", strings.Join(e.Tags, ", "))
	row("confidence", fmt.Sprintf("%g", e.Confidence))
	row("importance", fmt.Sprintf("%g", e.Importance))
	row("valid", span(e.ValidFrom, e.ValidTo))
	row("expires", moment(e.ExpiresAt))
	row("created", moment(e.CreatedAt))
	if e.Version > 1 {
		row("updated", fmt.Sprintf("%s, version %d", moment(e.UpdatedAt), e.Version))
	}
	if e.AccessCount > 0 {
		row("read", count(e.AccessCount, "time"))
	}
	row("metadata", string(e.Metadata))
	row("previous", e.Previous)
	row("next", e.Next)
	for i, l := range e.Links {
		name := ""
		if i == 0 {
			name = "links"
		}
		row(name, p.edge(e.ID, l))
	}
}

// edge is a link as seen from one of its ends.
func (p *printer) edge(from string, l memory.Link) string {
	arrow, other := "→ "+l.Relation, l.To
	if l.From != from {
		arrow, other = "← "+l.Relation, l.From
	}
	if l.Weight != 1 {
		arrow += fmt.Sprintf(" %.2g", l.Weight)
	}
	return arrow + "  " + p.blue(other)
}

func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("2 Jan 2006 15:04")
}

func span(from, to time.Time) string {
	switch {
	case from.IsZero() && to.IsZero():
		return ""
	case to.IsZero():
		return "from " + day(from)
	case from.IsZero():
		return "to " + day(to)
	}
	return day(from) + " to " + day(to)
}

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"engram-mcp/memory"
)

func newHistory(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "history ID",
		Short:   "Show what became of an engram: when, by whom, what",
		Example: "  engram-mcp history 0198c0de-7b1c-7a55-b9ad-3f0c6c9f2a11",
		Args:    exactly(1, "give one id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.asOwner(cmd.Context(), func(ctx context.Context, e *engine) error { return a.history(ctx, e, args[0]) })
		},
	}
}

func (a *app) history(ctx context.Context, e *engine, id string) error {
	var out struct {
		Versions []memory.Version `json:"versions"`
		Cursor   string           `json:"cursor"`
	}
	if shown, err := a.call(ctx, e, "engram_history", map[string]any{"id": id, "limit": memory.MaxPage}, &out); shown || err != nil {
		return err
	}
	p := a.printer()
	for _, v := range out.Versions {
		p.linef("%s  %s  %-8s %s", p.bold(fmt.Sprintf("%3d", v.Version)), moment(v.At), v.Change, p.dim("by "+v.Principal))
		for _, name := range slices.Sorted(maps.Keys(v.Fields)) {
			if text := fieldText(v.Fields[name]); text != "" || v.Version > 1 {
				p.linef("     %-11s %s", name, p.fit(text, 17))
			}
		}
		if v.Compacted {
			p.linef("     %s", p.dim("its values have been compacted away"))
		}
	}
	if out.Cursor != "" {
		a.note("there are older versions; see 'engram-mcp call engram_history'")
	}
	return p.flush()
}

// fieldText is a value of an engram's field as text.
func fieldText(v any) string {
	switch x := v.(type) {
	case nil:
		return ""
	case string:
		return x
	case []any:
		texts := make([]string, len(x))
		for i, item := range x {
			texts[i] = fieldText(item)
		}
		return strings.Join(texts, ", ")
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(raw)
}

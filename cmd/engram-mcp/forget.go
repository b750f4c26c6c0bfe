package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"
)

func newForget(a *app) *cobra.Command {
	var purge bool
	cmd := &cobra.Command{
		Use:   "forget ID…",
		Short: "Hide engrams, or erase them for good",
		Long: `Hide engrams: they are found no more, and can be brought back. With --purge
they are erased for good, from the file and all indexes.`,
		Args: atLeast(1, "give one id or more"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.asOwner(cmd.Context(), func(ctx context.Context, e *engine) error { return a.forget(ctx, e, args, purge) })
		},
	}
	cmd.Flags().BoolVar(&purge, "purge", false, "erase for good")
	return cmd
}

func (a *app) forget(ctx context.Context, e *engine, ids []string, purge bool) error {
	var out struct {
		Forgotten []string `json:"forgotten"`
	}
	if shown, err := a.call(ctx, e, "engram_forget", map[string]any{"ids": ids, "purge": purge}, &out); shown || err != nil {
		return err
	}
	p := a.printer()
	p.linef("%s", strings.Join(out.Forgotten, "\n"))
	switch {
	case purge:
		a.note("erased for good: " + count(int64(len(out.Forgotten)), "engram"))
	case len(out.Forgotten) > 0:
		a.note(`forgotten; to bring it back: engram-mcp call engram_restore '{"id": "` + out.Forgotten[0] + `"}'`)
	}
	return p.flush()
}

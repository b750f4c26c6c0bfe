package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"engram-mcp/memory"
)

func newSpace(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "space",
		Short: "List, create and measure spaces",
		Long: `A space is a memory of its own, in a file of its own: a project, a team, a
tenant. Nothing crosses from one to another. --space says which one is used.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return usage("say what to do with spaces", "see 'engram-mcp space --help'")
		},
		RunE: func(*cobra.Command, []string) error { return nil },
	}
	cmd.AddCommand(
		&cobra.Command{
			Use: "list", Short: "List the spaces of the data directory", Args: none,
			RunE: func(cmd *cobra.Command, _ []string) error { return a.listSpaces(cmd.Context()) },
		},
		&cobra.Command{
			Use: "create NAME", Short: "Create an empty space", Args: exactly(1, "name one space"),
			RunE: func(cmd *cobra.Command, args []string) error { return a.createSpace(cmd.Context(), args[0]) },
		},
		&cobra.Command{
			Use: "stats [NAME]", Short: "Count what is in a space", Args: atMost(1, "name one space"),
			RunE: func(cmd *cobra.Command, args []string) error {
				if len(args) == 1 {
					a.space = args[0]
				}
				return a.stats(cmd.Context())
			},
		},
	)
	return cmd
}

func newStats(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "stats", Short: "Count what is in the memory", Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.stats(cmd.Context()) },
	}
}

// existing are the spaces that there are; asking for one does not make it.
func (a *app) existing(e *engine, space string) error {
	names, err := e.spaces.Names()
	if err == nil && !slices.Contains(names, space) {
		err = failed("there is no space "+space, "'engram-mcp space list' shows what there is, 'engram-mcp space create "+space+"' makes it", nil)
	}
	return err
}

func (a *app) listSpaces(ctx context.Context) error {
	return a.asOwner(ctx, func(ctx context.Context, e *engine) error {
		names, err := e.spaces.Names()
		if err != nil {
			return err
		}
		type entry struct {
			memory.Stats
			Error string `json:"error,omitempty"`
		}
		entries := []entry{}
		for _, name := range names {
			st, err := statsOf(ctx, e, name)
			st.Space = name
			if ctx.Err() != nil {
				return ctx.Err()
			}
			what := ""
			if err != nil {
				what, _, _ = explain(err)
			}
			entries = append(entries, entry{st, what})
		}
		if a.json {
			return a.encode(map[string]any{"spaces": entries})
		}
		p := a.printer()
		for _, s := range entries {
			if s.Error != "" {
				p.linef("%s %s", p.bold(fmt.Sprintf("%-20s", s.Space)), p.red(s.Error))
				continue
			}
			p.linef("%s %14s %12s %10s", p.bold(fmt.Sprintf("%-20s", s.Space)), count(s.Engrams, "engram"), count(s.Links, "link"), size(s.FileBytes))
		}
		if len(entries) == 0 {
			a.note("there is no space yet; the first thing remembered makes one")
		}
		return p.flush()
	})
}

// statsOf counts a space by name.
func statsOf(ctx context.Context, e *engine, space string) (memory.Stats, error) {
	who, _ := memory.PrincipalFrom(ctx)
	who.Space = space
	ctx = memory.WithPrincipal(ctx, who)
	store, release, err := e.open(ctx)
	if err != nil {
		return memory.Stats{}, err
	}
	defer release()
	return store.Stats(ctx)
}

func (a *app) createSpace(ctx context.Context, name string) error {
	if !memory.ValidSpace(name) {
		return usage("a space cannot be called "+name, `use lower-case letters, digits, "-", "_" and ".", at most 64`)
	}
	return a.asOwner(ctx, func(ctx context.Context, e *engine) error {
		st, err := statsOf(ctx, e, name) // opening makes it
		if err != nil {
			return err
		}
		if a.json {
			return a.encode(st)
		}
		p := a.printer()
		p.linef("%s", name)
		return p.flush()
	})
}

func (a *app) stats(ctx context.Context) error {
	return a.asOwner(ctx, func(ctx context.Context, e *engine) error {
		if err := a.existing(e, a.space); err != nil {
			return err
		}
		var st memory.Stats
		if shown, err := a.call(memory.WithPrincipal(ctx, a.owner()), e, "memory_stats", struct{}{}, &st); shown || err != nil {
			return err
		}
		p := a.printer()
		row := func(name, value string) { p.linef("%s %s", p.dim(fmt.Sprintf("%-12s", name)), value) }
		row("space", p.bold(st.Space))
		row("engrams", thousands(st.Engrams-st.Forgotten)+ifAny(st.Forgotten, " and %s forgotten"))
		row("links", thousands(st.Links))
		row("contexts", thousands(st.Contexts))
		row("collections", thousands(st.Collections))
		row("changes", thousands(st.Ops))
		row("on disk", size(st.FileBytes))
		if st.Model != "" {
			row("vectors", thousands(st.Embedded)+" by "+st.Model+ifAny(st.Pending, ", %s wait"))
		}
		return p.flush()
	})
}

// ifAny is format with n in it, or nothing for 0.
func ifAny(n int64, format string) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(format, thousands(n))
}

package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"engram-mcp/memory"
)

func newAgentLogs(a *app) *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use:   "logs NAME",
		Short: "Show what an agent has logged, and how its calls failed",
		Long: `Show the newest lines that an agent of the space has logged, in whatever process
it ran, and how its failed calls ended, oldest first. The newest 200 are kept
until something is purged: they could quote it.`,
		Args: exactly(1, "name one agent"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if limit < 1 || limit > memory.MaxAgentLines {
				return usage(fmt.Sprintf("--lines is %d", limit), fmt.Sprintf("give 1 to %d", memory.MaxAgentLines))
			}
			return a.asOwner(cmd.Context(), func(ctx context.Context, e *engine) error { return a.showLogs(ctx, e, args[0], limit) })
		},
	}
	cmd.Flags().IntVarP(&limit, "lines", "n", 50, "show the newest `N` lines")
	return cmd
}

func (a *app) showLogs(ctx context.Context, e *engine, name string, limit int) error {
	if _, _, err := e.agents.Find(ctx, name); err != nil {
		return err
	}
	store, release, err := e.open(ctx)
	if err != nil {
		return err
	}
	defer release()
	lines, err := store.AgentLines(ctx, name, limit)
	if err != nil {
		return err
	}
	if a.json {
		return a.encode(map[string]any{"agent": name, "lines": append([]memory.AgentLine{}, lines...)})
	}
	if len(lines) == 0 {
		a.note(name + " has logged nothing")
	}
	p := a.printer()
	for _, l := range lines {
		level := fmt.Sprintf("%-6s", strings.ToLower(l.Level))
		if l.Level == memory.LevelFailed || l.Level == "error" {
			level = p.red(level)
		}
		head := l.At.Format(time.DateTime) + " " + p.blue(fmt.Sprintf("%-12s", l.Action)) + " " + level + " "
		p.text(head, columns(head), l.Text)
	}
	return p.flush()
}

package main

import (
	"bufio"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"engram-mcp/tools"
)

func newAgentApprove(a *app) *cobra.Command {
	var yes, revoke bool
	cmd := &cobra.Command{
		Use:   "approve NAME",
		Short: "Let an agent's hooks and schedules run",
		Long: `Show what an agent asks to be wired into, and let it run there: its hooks before
and after the calls of others, its schedules by the clock. Either acts with the
agent's own grants, whoever calls. The approval is of what is shown: an agent
that is replaced by another one waits again.`,
		Example: "  engram-mcp agent approve guard",
		Args:    exactly(1, "name one agent"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.asOwner(cmd.Context(), func(ctx context.Context, e *engine) error {
				if revoke {
					return a.revoke(ctx, e, args[0])
				}
				return a.approve(ctx, e, args[0], yes)
			})
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.Flags().BoolVar(&revoke, "revoke", false, "take the approval back")
	cmd.MarkFlagsMutuallyExclusive("yes", "revoke")
	return cmd
}

func (a *app) approve(ctx context.Context, e *engine, name string, yes bool) error {
	w, err := e.agents.Wiring(ctx, name)
	if err != nil {
		return err
	}
	if len(w.Hooks)+len(w.Schedule) == 0 {
		return failed("the agent "+name+" has no hooks and no schedule", "its actions can be called without approval: engram-mcp agent run "+name, nil)
	}
	if !yes {
		p := newPrinter(a.err)
		p.linef("%s  %s", p.bold(name), p.dim("sha256 "+w.SHA256))
		p.linef("  %s %s, as itself, whoever calls", p.dim("may call"), orNothing(w.Grants))
		p.wiring(&w)
		p.linef("Let it run? [y/N]")
		if err := p.flush(); err != nil {
			return err
		}
		answer, _ := bufio.NewReader(a.in).ReadString('\n') // none is no
		if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
			return failed("the agent "+name+" was not approved", "answer y, or pass --yes", nil)
		}
	}
	if err := e.agents.Approve(ctx, w, true); err != nil {
		return err
	}
	if w, err = e.agents.Wiring(ctx, name); err != nil {
		return err
	}
	return a.showWiring(name, &w)
}

func (a *app) revoke(ctx context.Context, e *engine, name string) error {
	w, err := e.agents.Wiring(ctx, name)
	if err == nil {
		err = e.agents.Approve(ctx, w, false)
	}
	if err == nil {
		w, err = e.agents.Wiring(ctx, name)
	}
	if err != nil {
		return err
	}
	return a.showWiring(name, &w)
}

func (a *app) showWiring(name string, w *tools.Wiring) error {
	if a.json {
		return a.encode(w)
	}
	p := a.printer()
	p.linef("%s  %s", p.bold(name), w.Wired)
	p.wiring(w)
	return p.flush()
}

// wiring prints the hooks and the schedule of an agent.
func (p *printer) wiring(w *tools.Wiring) {
	mark := ""
	if w.Wired != "approved" {
		mark = p.red("  waits for approval")
	}
	for _, h := range w.Hooks {
		p.linef("  %s %s %s%s", p.blue(fmt.Sprintf("%-22s", strings.Replace(h.On, ":", " ", 1))), h.Action,
			p.dim(fmt.Sprintf("order %d, %d ms, on failure %s", h.Order, h.TimeMS, h.OnFailure)), mark)
	}
	for _, s := range w.Schedule {
		when := "every " + s.Every
		if s.DailyAt != "" {
			when = "daily at " + s.DailyAt
		}
		about := mark
		if !s.Due.IsZero() {
			about = p.dim("next " + s.Due.UTC().Format(time.DateTime) + " UTC")
		}
		if s.Failures > 0 {
			about += p.red(fmt.Sprintf("  failed %d times in a row", s.Failures))
		}
		p.linef("  %s %s %s", p.blue(fmt.Sprintf("%-22s", when)), s.Action, about)
	}
}

func newAgentTry(a *app) *cobra.Command {
	var on string
	cmd := &cobra.Command{
		Use:   "try NAME --on MOMENT [JSON | -]",
		Short: "See what a hook would do to a call",
		Long: `Run one hook of an agent, approved or not, on a call that a client might make,
with its arguments as a JSON object, or from stdin with a dash. It prints what
the hook would make of the call. Nothing of it happens: what is written on the
way is taken back.`,
		Example: `  engram-mcp agent try guard --on before:engram_create '{"content": "the password is …"}'`,
		Args:    between(1, 2, "name an agent, and give the arguments of the call as one JSON object"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if on == "" {
				return usage("--on is missing", "name a hook as 'engram-mcp agent list' does, e.g. --on before:engram_create")
			}
			in := []byte("{}")
			if len(args) == 2 {
				var err error
				if in, err = a.argument(args[1]); err != nil {
					return err
				}
			}
			return a.asOwner(cmd.Context(), func(ctx context.Context, e *engine) error {
				t, err := e.agents.Try(ctx, args[0], on, in)
				if err != nil {
					return err
				}
				return a.showTrial(t)
			})
		},
	}
	cmd.Flags().StringVar(&on, "on", "", "the hook's `MOMENT`, such as before:engram_create")
	return cmd
}

func (a *app) showTrial(t *tools.Trial) error {
	if a.json {
		return a.encode(t)
	}
	for _, l := range t.Logs {
		a.note(l.Level + ": " + l.Text)
	}
	p := a.printer()
	switch {
	case t.Problem != "":
		p.linef("%s %s", p.red("it fails:"), t.Problem)
	case t.Refused != "":
		p.linef("%s %s", p.red("it refuses:"), t.Refused)
	case t.Change == nil:
		p.linef("it leaves the call as it is")
	default:
		before := t.Args
		if t.Result != nil {
			before = t.Result
		}
		p.linef("%s %s", p.dim("from"), before)
		p.linef("%s   %s", p.dim("to"), t.Change)
	}
	if t.Writes > 0 {
		p.linef("it writes %s itself", count(int64(t.Writes), "change"))
	}
	a.note(fmt.Sprintf("%.1f ms; nothing of it has happened", t.Stats.TimeMS))
	return p.flush()
}

package tools

import (
	"context"
	"time"

	"engram-mcp/memory"
)

// Admin returns the tools that look after a space.
func Admin(open Opener) []Tool {
	return []Tool{
		New(Tool{
			Name: "memory_stats", Title: "Statistics", Profile: ProfileAdmin, Needs: memory.Read, ReadOnly: true, Idempotent: true,
			Description: "Count what you can read of the space: engrams, links, contexts, collections, bytes, and how many engrams still wait for their vector.",
		}, on(open, func(ctx context.Context, s *memory.Store, _ struct{}) (memory.Stats, error) { return s.Stats(ctx) })),
		New(Tool{
			Name: "memory_maintain", Title: "Maintenance", Profile: ProfileAdmin, Needs: memory.Admin, Destructive: true, Idempotent: true,
			Description: "Apply a policy to the space: erase what expired or was forgotten long ago, compact old history, let use raise importance. Try it with dry_run first.",
		}, on(open, maintain)),
	}
}

type policyArgs struct {
	PurgeExpiredDays   *float64 `json:"purge_expired_days,omitempty" min:"0" max:"36500" jsonschema:"erase what expired longer ago" alias:"purge_expired" eg:"30"`
	PurgeForgottenDays *float64 `json:"purge_forgotten_days,omitempty" min:"0" max:"36500" jsonschema:"erase what was forgotten longer ago" alias:"purge_forgotten" eg:"30"`
	CompactHistoryDays *float64 `json:"compact_history_days,omitempty" min:"0" max:"36500" jsonschema:"drop superseded values that are older" alias:"compact_history" eg:"90"`
	Reinforce          bool     `json:"reinforce,omitempty" jsonschema:"raise the importance of what is read often"`
}

type maintainIn struct {
	Policy policyArgs `json:"policy" eg:"{\"purge_expired_days\": 30}"`
	DryRun bool       `json:"dry_run,omitempty"`
}

func maintain(ctx context.Context, s *memory.Store, in maintainIn) (memory.Maintained, error) {
	p := memory.Policy{
		PurgeExpired: days(in.Policy.PurgeExpiredDays), PurgeForgotten: days(in.Policy.PurgeForgottenDays),
		CompactHistory: days(in.Policy.CompactHistoryDays), Reinforce: in.Policy.Reinforce,
	}
	if p == (memory.Policy{}) {
		return memory.Maintained{}, invalid("", "policy asks for nothing", `e.g. "policy": {"purge_expired_days": 30}`)
	}
	if err := unstaged(ctx); err != nil {
		return memory.Maintained{}, err
	}
	return s.Maintain(ctx, p, in.DryRun)
}

// days is a number of days as a duration; none is zero, which does nothing,
// and zero days are the shortest duration that does something.
func days(n *float64) time.Duration {
	if n == nil {
		return 0
	}
	return max(1, time.Duration(*n*24*float64(time.Hour)))
}

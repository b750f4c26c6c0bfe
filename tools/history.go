package tools

import (
	"context"

	"engram-mcp/memory"
)

// History returns the tool that tells what happened to an engram.
func History(open Opener) []Tool {
	return []Tool{New(Tool{
		Name: "engram_history", Title: "History of a memory", Quotes: true, Profile: ProfileMemory, Needs: memory.Read, ReadOnly: true, Idempotent: true,
		Description: "List the versions of an engram: when, by whom and what changed. engram_restore takes it back to one of them.",
	}, on(open, history))}
}

type historyIn struct {
	ID     string `json:"id" alias:"engram_id,ids,memory_id" eg:"\"0198c0de-…\""`
	Cursor string `json:"cursor,omitempty" jsonschema:"of the page before" alias:"page_token,next_cursor"`
	Limit  int    `json:"limit,omitempty" min:"1" max:"200" alias:"n,count,page_size"`
}

type historyOut struct {
	Versions []memory.Version `json:"versions"`
	Cursor   string           `json:"cursor,omitempty"`
}

func history(ctx context.Context, s *memory.Store, in historyIn) (historyOut, error) {
	versions, next, err := s.History(ctx, in.ID, in.Cursor, in.Limit)
	return historyOut{listed(versions), next}, err
}

package tools

import (
	"context"
	"slices"

	"engram-mcp/memory"
)

// Groups returns the tools that manage contexts and collections.
func Groups(open Opener) []Tool {
	return append(groupTools(open, memory.Context, "A context is a conversation, project or other shared environment that keeps its engrams in order."),
		groupTools(open, memory.Collection, "A collection is a named group of engrams.")...)
}

func groupTools(open Opener, kind memory.GroupKind, what string) []Tool {
	name := string(kind)
	const lists = " Readers and writers are names of principals; without them it is open to the space."
	return []Tool{
		New(Tool{
			Name: name + "_create", Title: "Create a " + name, Profile: ProfileMemory, Needs: memory.Write,
			Description: "Create a " + name + ". " + what + lists,
		}, on(open, func(ctx context.Context, s *memory.Store, in groupIn) (groupOut, error) {
			return setGroup(ctx, s, in, memory.SetGroup{Kind: kind, Create: true})
		})),
		New(Tool{
			Name: name + "_list", Title: "List " + name + "s", Quotes: true, Profile: ProfileMemory, Needs: memory.Read, ReadOnly: true, Idempotent: true,
			Description: "List the " + name + "s you can read. " + what,
		}, on(open, func(ctx context.Context, s *memory.Store, in groupsIn) (groupsOut, error) {
			groups, next, err := s.Groups(ctx, kind, in.Cursor, in.Limit)
			out := groupsOut{Cursor: next}
			if kind == memory.Context {
				out.Contexts = listed(groups)
			} else {
				out.Collections = listed(groups)
			}
			return out, err
		})),
		New(Tool{
			Name: name + "_update", Title: "Change a " + name, Profile: ProfileMemory, Needs: memory.Read | memory.Write, Destructive: true, Idempotent: true,
			Description: "Change the description, readers or writers of a " + name + "; what is left out stays.",
		}, on(open, func(ctx context.Context, s *memory.Store, in groupIn) (groupOut, error) {
			return setGroup(ctx, s, in, memory.SetGroup{Kind: kind, MustExist: true})
		})),
	}
}

type groupIn struct {
	Name        string   `json:"name" alias:"id,context,collection" eg:"\"project-x\""`
	Description *string  `json:"description,omitempty"`
	Readers     []string `json:"readers,omitempty" jsonschema:"[\"*\"] opens it to the space" alias:"reader" eg:"[\"ada\"]"`
	Writers     []string `json:"writers,omitempty" alias:"writer" eg:"[\"ada\"]"`
	RequestID   string   `json:"request_id,omitempty" alias:"idempotency_key"`
}

type groupOut struct {
	Context    *memory.Group `json:"context,omitempty"`
	Collection *memory.Group `json:"collection,omitempty"`
}

type groupsIn struct {
	Cursor string `json:"cursor,omitempty" jsonschema:"of the page before" alias:"page_token,next_cursor"`
	Limit  int    `json:"limit,omitempty" min:"1" max:"200" alias:"n,count,page_size"`
}

type groupsOut struct {
	Contexts    []memory.Group `json:"contexts,omitzero"`
	Collections []memory.Group `json:"collections,omitzero"`
	Cursor      string         `json:"cursor,omitempty"`
}

func setGroup(ctx context.Context, s *memory.Store, in groupIn, change memory.SetGroup) (out groupOut, err error) {
	change.Name, change.Description = in.Name, in.Description
	if change.Readers, err = principals("readers", in.Readers); err != nil {
		return out, err
	}
	if change.Writers, err = principals("writers", in.Writers); err != nil {
		return out, err
	}
	results, err := do(ctx, s, in.RequestID, []memory.Change{change})
	if err != nil {
		return out, err
	}
	if change.Kind == memory.Context {
		out.Context = results[0].Group
	} else {
		out.Collection = results[0].Group
	}
	return out, nil
}

// principals is a list of names as SetGroup takes it: nil leaves the list as
// it is, a nil slice opens it. An empty list could mean everyone or no one, so
// it is refused.
func principals(field string, names []string) (*[]string, error) {
	switch {
	case names == nil:
		return nil, nil
	case len(names) == 0:
		return nil, invalid("", field+" is empty", `name principals, e.g. "`+field+`": ["ada"], or ["*"] for everyone in the space`)
	case slices.Contains(names, "*"):
		return new([]string), nil
	}
	return &names, nil
}

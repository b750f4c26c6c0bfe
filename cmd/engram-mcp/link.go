package main

import (
	"context"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"engram-mcp/memory"
)

// linkArgs is one link as engram_link takes it.
type linkArgs struct {
	From     string   `json:"from"`
	To       string   `json:"to"`
	Relation string   `json:"relation"`
	Weight   *float64 `json:"weight,omitempty"`
}

func newLink(a *app) *cobra.Command {
	var l linkArgs
	var weight float64
	cmd := &cobra.Command{
		Use:   "link FROM RELATION TO",
		Short: "Connect two engrams",
		Long: `Connect two engrams by a typed, weighted link. It reads as a sentence: the first
supports, contradicts, caused_by, part_of or supersedes the second; any other
word is a relation too. The same link again changes its weight.`,
		Example: "  engram-mcp link 0198c0de-7b1c-7a55-b9ad-3f0c6c9f2a11 supports 0198c0df-1d2e-7c3f-8a4b-5c6d7e8f9a0b",
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) == 3 && l.Relation == "":
				l.From, l.Relation, l.To = args[0], args[1], args[2]
				if isID(l.Relation) && !isID(l.To) { // FROM TO RELATION cannot mean anything else
					l.Relation, l.To = l.To, l.Relation
				}
			case len(args) == 2 && l.Relation != "":
				l.From, l.To = args[0], args[1]
			default:
				return usage("give two ids and a relation between them", "see 'engram-mcp link --help'")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("weight") {
				l.Weight = &weight
			}
			return a.asOwner(cmd.Context(), func(ctx context.Context, e *engine) error { return a.link(ctx, e, l) })
		},
	}
	cmd.Flags().Float64Var(&weight, "weight", 1, "how strong, 0 to 1")
	cmd.Flags().StringVar(&l.Relation, "relation", "", "the relation, if it does not stand between the ids")
	return cmd
}

func isID(s string) bool { return uuid.Validate(s) == nil }

func (a *app) link(ctx context.Context, e *engine, l linkArgs) error {
	var out struct {
		Links []memory.Link `json:"links"`
	}
	if shown, err := a.call(ctx, e, "engram_link", map[string]any{"links": []linkArgs{l}}, &out); shown || err != nil {
		return err
	}
	p := a.printer()
	for _, l := range out.Links {
		p.linef("%s %s", p.blue(l.From), p.edge(l.From, l))
	}
	return p.flush()
}

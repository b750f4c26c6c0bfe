package main

import (
	"context"
	"encoding/json"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"engram-mcp/memory"
	"engram-mcp/tools"
)

// addArgs are the arguments of engram_create that the command line has flags for.
type addArgs struct {
	Content     string          `json:"content"`
	Source      string          `json:"source,omitempty"`
	Kind        string          `json:"kind,omitempty"`
	Tags        []string        `json:"tags,omitempty"`
	Context     string          `json:"context,omitempty"`
	Collections []string        `json:"collections,omitempty"`
	Confidence  *float64        `json:"confidence,omitempty"`
	Importance  *float64        `json:"importance,omitempty"`
	ValidFrom   string          `json:"valid_from,omitempty"`
	ValidTo     string          `json:"valid_to,omitempty"`
	TTL         float64         `json:"ttl_seconds,omitempty"`
	Metadata    json.RawMessage `json:"metadata,omitempty"`
}

func newAdd(a *app) *cobra.Command {
	var in addArgs
	var confidence, importance float64
	var metadata string
	cmd := &cobra.Command{
		Use:   "add TEXT… | -",
		Short: "Remember something",
		Long:  "Remember one engram: the words given, or with a dash what is read from stdin. It prints the id.",
		Example: `  engram-mcp add "Ada prefers tea" --source ada --kind preference --tag drinks
  git log -1 --format=%B | engram-mcp add - --kind event --context compiler`,
		Args: atLeast(1, "say what to remember"),
		RunE: func(cmd *cobra.Command, args []string) error {
			in.Content = strings.Join(args, " ")
			if in.Content == "-" {
				raw, err := io.ReadAll(io.LimitReader(a.in, tools.MaxArguments))
				if err != nil {
					return failed("stdin cannot be read", "", err)
				}
				in.Content = strings.TrimSpace(string(raw))
			}
			if cmd.Flags().Changed("confidence") {
				in.Confidence = &confidence
			}
			if cmd.Flags().Changed("importance") {
				in.Importance = &importance
			}
			if metadata != "" {
				if !json.Valid([]byte(metadata)) {
					return usage("--metadata is not JSON", `write an object, e.g. --metadata '{"page": 12}'`)
				}
				in.Metadata = json.RawMessage(metadata)
			}
			return a.asOwner(cmd.Context(), func(ctx context.Context, e *engine) error { return a.add(ctx, e, in) })
		},
	}
	f := cmd.Flags()
	f.StringVar(&in.Source, "source", "", "who or what says so")
	f.StringVar(&in.Kind, "kind", "", "fact, preference, event, decision, …; fact if absent")
	f.StringSliceVar(&in.Tags, "tag", nil, "a tag; may be repeated")
	f.StringVar(&in.Context, "context", "", "the conversation or project it belongs to")
	f.StringSliceVar(&in.Collections, "collection", nil, "a collection; may be repeated")
	f.Float64Var(&confidence, "confidence", 1, "how sure, 0 to 1")
	f.Float64Var(&importance, "importance", .5, "how much it matters, 0 to 1")
	f.StringVar(&in.ValidFrom, "from", "", "when it happened or became true: RFC 3339 or YYYY-MM-DD")
	f.StringVar(&in.ValidTo, "to", "", "when it stopped being true")
	f.Float64Var(&in.TTL, "ttl", 0, "forget it after so many seconds")
	f.StringVar(&metadata, "metadata", "", "a JSON object")
	return cmd
}

func (a *app) add(ctx context.Context, e *engine, in addArgs) error {
	var out struct {
		Engrams []struct {
			memory.Engram
			Duplicate bool `json:"duplicate"`
		} `json:"engrams"`
	}
	if shown, err := a.call(ctx, e, "engram_create", in, &out); shown || err != nil {
		return err
	}
	p := a.printer()
	for _, made := range out.Engrams {
		p.linef("%s", made.ID)
		if made.Duplicate {
			a.note("it was remembered already")
		}
	}
	return p.flush()
}

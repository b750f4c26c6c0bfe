package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// searchArgs are the arguments of engram_search that the command line has flags for.
type searchArgs struct {
	Query         string   `json:"query,omitempty"`
	Limit         int      `json:"limit,omitempty"`
	Context       string   `json:"context,omitempty"`
	Collections   []string `json:"collections,omitempty"`
	Tags          []string `json:"tags,omitempty"`
	Kind          string   `json:"kind,omitempty"`
	Source        string   `json:"source,omitempty"`
	After         string   `json:"after,omitempty"`
	Before        string   `json:"before,omitempty"`
	MinConfidence float64  `json:"min_confidence,omitempty"`
	Mode          string   `json:"mode,omitempty"`
	Explain       bool     `json:"explain,omitempty"`
	Cursor        string   `json:"cursor,omitempty"`
}

type searchAnswer struct {
	Hits   []hit    `json:"hits"`
	Cursor string   `json:"cursor"`
	Notes  []string `json:"notes"`
}

func newSearch(a *app) *cobra.Command {
	var in searchArgs
	cmd := &cobra.Command{
		Use:     "search [WORD…]",
		Short:   "Find by words and by meaning; without words, the newest",
		Example: "  engram-mcp search what does Ada drink\n  engram-mcp search deadline --context compiler --after 2026-10-01 --explain",
		RunE: func(cmd *cobra.Command, args []string) error {
			in.Query = strings.Join(args, " ")
			return a.asOwner(cmd.Context(), func(ctx context.Context, e *engine) error { return a.search(ctx, e, in) })
		},
	}
	f := cmd.Flags()
	f.IntVarP(&in.Limit, "limit", "n", 0, "how many, 10 if absent, at most 200")
	f.StringVar(&in.Context, "context", "", "only in this conversation or project")
	f.StringSliceVar(&in.Collections, "collection", nil, "only in this collection; may be repeated")
	f.StringSliceVar(&in.Tags, "tag", nil, "only with this tag; may be repeated")
	f.StringVar(&in.Kind, "kind", "", "only of this kind")
	f.StringVar(&in.Source, "source", "", "only from this source")
	f.StringVar(&in.After, "after", "", "not before: RFC 3339 or YYYY-MM-DD")
	f.StringVar(&in.Before, "before", "", "before: RFC 3339 or YYYY-MM-DD")
	f.Float64Var(&in.MinConfidence, "min-confidence", 0, "only what is at least so sure")
	f.StringVar(&in.Mode, "mode", "", "hybrid, text or vector")
	f.BoolVar(&in.Explain, "explain", false, "show what each score is made of")
	f.StringVar(&in.Cursor, "cursor", "", "of the page before")
	return cmd
}

func (a *app) search(ctx context.Context, e *engine, in searchArgs) error {
	var out searchAnswer
	shown, err := a.call(ctx, e, "engram_search", in, &out)
	if err != nil {
		return err
	}
	for _, n := range out.Notes {
		a.note(n)
	}
	switch {
	case shown:
		return nil
	case len(out.Hits) == 0:
		a.note("nothing found")
		return nil
	}
	p := a.printer()
	for i := range out.Hits {
		p.hit(&out.Hits[i])
	}
	if out.Cursor != "" {
		a.note("there is more: --cursor " + out.Cursor)
	}
	return p.flush()
}

// hit prints one engram that was found: its score and content, and below its id
// and what else there is to say of it.
func (p *printer) hit(h *hit) {
	score := ""
	if h.Score > 0 {
		score = fmt.Sprintf("%.2f", h.Score)
	}
	p.text(p.green(fmt.Sprintf("%5s", score))+"  ", 7, h.Content)
	p.linef("       %s  %s", p.blue(h.ID), p.dim(p.fit(about(&h.Engram), 9+len(h.ID))))
	if len(h.Parts) > 0 {
		p.text("       ", 7, p.dim(parts(h.Parts)))
	}
}

// parts is what a score adds up from, the largest part first.
func parts(of map[string]float64) string {
	names := slices.SortedFunc(maps.Keys(of), func(x, y string) int {
		if of[x] != of[y] {
			if of[x] > of[y] {
				return -1
			}
			return 1
		}
		return strings.Compare(x, y)
	})
	texts := make([]string, len(names))
	for i, n := range names {
		texts[i] = fmt.Sprintf("%s %.3f", n, of[n])
	}
	return strings.Join(texts, " + ")
}

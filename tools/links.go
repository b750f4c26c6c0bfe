package tools

import (
	"context"
	"encoding/json"
	"time"

	"engram-mcp/memory"
)

// Links returns the tools that connect engrams and follow the connections.
func Links(open Opener) []Tool {
	return []Tool{
		New(Tool{
			Name: "engram_link", Title: "Link memories", Profile: ProfileGraph, Default: true, Needs: memory.Read | memory.Write, Idempotent: true,
			Description: "Connect engrams by typed, weighted links, e.g. supports, contradicts, part_of, caused_by; from supersedes to when from is newer. The same from, to and relation again changes that link.",
		}, on(open, link)),
		New(Tool{
			Name: "engram_unlink", Title: "Remove links", Profile: ProfileGraph, Needs: memory.Read | memory.Write, Destructive: true, Idempotent: true,
			Description: "Remove links between engrams. Without relation, every link from one to the other.",
		}, on(open, unlink)),
		New(Tool{
			Name: "engram_graph", Title: "Follow links", Quotes: true, Profile: ProfileGraph, Default: true, Needs: memory.Read, ReadOnly: true, Idempotent: true,
			Description: "Follow links: neighbors of start, a shortest path from start to another, or the subgraph within depth. Long contents are cut; engram_get has them whole.",
		}, on(open, graph)),
	}
}

type linkArgs struct {
	From      string    `json:"from" alias:"from_id,source,source_id,src,start" eg:"\"0198c0de-…\""`
	To        string    `json:"to" alias:"to_id,target,target_id,dst,dest,end" eg:"\"0198c0df-…\""`
	Relation  string    `json:"relation" alias:"type,relation_type,rel,kind,label,link_type" eg:"\"supports\""`
	Weight    *float64  `json:"weight,omitempty" min:"0" max:"1" alias:"strength" jsonschema:"1 if absent"`
	Metadata  obj       `json:"metadata,omitempty" alias:"meta"`
	ValidFrom time.Time `json:"valid_from,omitzero"`
	ValidTo   time.Time `json:"valid_to,omitzero"`
}

type linkIn struct {
	Links     []linkArgs `json:"links" show:"flat" items:"1000" alias:"link,edges,relations" eg:"[{\"from\": \"0198c0de-…\", \"to\": \"0198c0df-…\", \"relation\": \"supports\"}]"`
	RequestID string     `json:"request_id,omitempty" alias:"idempotency_key"`
}

type linkOut struct {
	Links []memory.Link `json:"links"`
}

func link(ctx context.Context, s *memory.Store, in linkIn) (linkOut, error) {
	changes := make([]memory.Change, len(in.Links))
	for i, l := range in.Links {
		changes[i] = memory.SetLink{Link: memory.Link{From: l.From, To: l.To, Relation: l.Relation, Weight: weight(l.Weight),
			Metadata: json.RawMessage(l.Metadata), ValidFrom: l.ValidFrom, ValidTo: l.ValidTo}}
	}
	return changeLinks(ctx, s, in.RequestID, changes)
}

type unlinkArgs struct {
	From     string `json:"from" alias:"from_id,source,source_id,src,start" eg:"\"0198c0de-…\""`
	To       string `json:"to" alias:"to_id,target,target_id,dst,dest,end" eg:"\"0198c0df-…\""`
	Relation string `json:"relation,omitempty" alias:"type,relation_type,rel,kind,label,link_type"`
}

type unlinkIn struct {
	Links     []unlinkArgs `json:"links" show:"flat" items:"1000" alias:"link,edges,relations" eg:"[{\"from\": \"0198c0de-…\", \"to\": \"0198c0df-…\"}]"`
	RequestID string       `json:"request_id,omitempty" alias:"idempotency_key"`
}

func unlink(ctx context.Context, s *memory.Store, in unlinkIn) (linkOut, error) {
	changes := make([]memory.Change, len(in.Links))
	for i, l := range in.Links {
		changes[i] = memory.Unlink{From: l.From, To: l.To, Relation: l.Relation}
	}
	return changeLinks(ctx, s, in.RequestID, changes)
}

func changeLinks(ctx context.Context, s *memory.Store, requestID string, changes []memory.Change) (linkOut, error) {
	if len(changes) == 0 {
		return linkOut{}, invalid("", "links is empty", `e.g. "links": [{"from": "0198c0de-…", "to": "0198c0df-…", "relation": "supports"}]`)
	}
	results, err := do(ctx, s, requestID, changes)
	if err != nil {
		return linkOut{}, err
	}
	out := linkOut{Links: []memory.Link{}}
	for _, r := range results {
		if r.Link != nil {
			out.Links = append(out.Links, *r.Link)
		}
	}
	return out, nil
}

type graphIn struct {
	Start     []string `json:"start" items:"200" alias:"ids,id,from,from_id,engram_id,node,start_id,start_node" eg:"[\"0198c0de-…\"]"`
	Mode      string   `json:"mode,omitempty" enum:"neighbors,path,subgraph"`
	To        string   `json:"to,omitempty" jsonschema:"goal of path" alias:"to_id,target,target_id,goal,end"`
	Depth     int      `json:"depth,omitempty" min:"1" max:"10" alias:"hops,max_depth,max_hops"`
	Relations []string `json:"relations,omitempty" jsonschema:"only these" alias:"relation,types,relation_types,rel"`
	Limit     int      `json:"limit,omitempty" min:"1" max:"200" jsonschema:"50 if absent" alias:"k,n,max_nodes,max_results"`
}

type graphOut struct {
	Engrams   []json.RawMessage `json:"engrams"`
	Links     []memory.Link     `json:"links"`
	Truncated bool              `json:"truncated,omitempty"` // more was there than limit or room
}

// maxGraphEngram is how much of each engram a walk shows, in bytes.
const maxGraphEngram = 2_000

func graph(ctx context.Context, s *memory.Store, in graphIn) (graphOut, error) {
	if in.Mode == "" && in.To != "" {
		in.Mode = string(memory.Path)
	}
	g, err := s.Walk(ctx, memory.Walk{Start: in.Start, Mode: memory.WalkMode(in.Mode), To: in.To, Depth: in.Depth, Relations: in.Relations, Limit: in.Limit})
	if err != nil {
		return graphOut{}, err
	}
	out := graphOut{Links: []memory.Link{}, Truncated: g.Truncated}
	all := make([]json.RawMessage, len(g.Engrams))
	for i := range g.Engrams {
		all[i] = excerpt(&memory.Hit{Engram: g.Engrams[i]}, everything, maxGraphEngram)
	}
	fit := within(all, budget(0))
	out.Engrams, out.Truncated = all[:fit], out.Truncated || fit < len(all)
	shown := make(map[string]bool, fit)
	for _, e := range g.Engrams[:fit] {
		shown[e.ID] = true
	}
	for _, l := range g.Links {
		if shown[l.From] && shown[l.To] {
			out.Links = append(out.Links, l)
		}
	}
	return out, nil
}

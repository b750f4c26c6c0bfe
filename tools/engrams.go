package tools

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"engram-mcp/memory"
)

// Engrams returns the tools that create, read, change and forget engrams.
func Engrams(open Opener) []Tool {
	return []Tool{
		New(Tool{
			Name: "engram_create", Title: "Remember", Profile: ProfileMemory, Default: true, Needs: memory.Write,
			Description: "Remember facts, preferences, decisions or events. Write each as one self-contained statement. An equal memory is returned as duplicate, not stored twice.",
		}, on(open, create)),
		New(Tool{
			Name: "engram_get", Title: "Read memories", Quotes: true, Profile: ProfileMemory, Default: true, Needs: memory.Read, ReadOnly: true, Idempotent: true,
			Description: "Read engrams in full by id, with the previous and next in their context.",
		}, on(open, get)),
		New(Tool{
			Name: "engram_update", Title: "Correct a memory", Quotes: true, Profile: ProfileMemory, Default: true, Needs: memory.Read | memory.Write, Destructive: true, Idempotent: true,
			Description: "Change fields of an engram; others stay, earlier versions are kept. Lists and metadata are replaced whole; \"\" removes a time. If a fact changed rather than was wrong, create the new one and link it with relation supersedes.",
		}, on(open, update)),
		New(Tool{
			Name: "engram_forget", Title: "Forget", Profile: ProfileMemory, Default: true, Needs: memory.Read | memory.Write, Destructive: true, Idempotent: true,
			Description: "Hide engrams, by ids or by filter; engram_restore brings them back. purge erases for good (needs admin; with filter: dry_run first, then pass its confirm).",
		}, on(open, forget)),
		New(Tool{
			Name: "engram_restore", Title: "Undo", Profile: ProfileMemory, Needs: memory.Read | memory.Write, Destructive: true,
			Description: "Bring back a forgotten engram, or take one back to an earlier version from engram_history.",
		}, on(open, restore)),
	}
}

// engramArgs are the arguments that a new engram has beside its content.
type engramArgs struct {
	Source         string    `json:"source,omitempty" jsonschema:"who or what says so" alias:"origin,speaker"`
	Confidence     *float64  `json:"confidence,omitempty" min:"0" max:"1" jsonschema:"how sure; 1 if absent" alias:"certainty"`
	Importance     *float64  `json:"importance,omitempty" min:"0" max:"1" jsonschema:"how much it matters; .5 if absent" alias:"priority"`
	Kind           string    `json:"kind,omitempty" jsonschema:"fact if absent; preference, event, decision, …" alias:"type,category,memory_type" eg:"\"preference\""`
	Tags           []string  `json:"tags,omitempty" items:"100" alias:"tag,labels,label"`
	Metadata       obj       `json:"metadata,omitempty" alias:"meta,attributes,properties"`
	Context        string    `json:"context,omitempty" jsonschema:"conversation or project it belongs to, in order" alias:"context_id,context_name" eg:"\"project-x\""`
	Collections    []string  `json:"collections,omitempty" items:"50" alias:"collection,collection_name"`
	ValidFrom      time.Time `json:"valid_from,omitzero" jsonschema:"when it happened or became true: RFC 3339 or YYYY-MM-DD" alias:"timestamp,date,event_time,time"`
	ValidTo        time.Time `json:"valid_to,omitzero" alias:"valid_until,invalid_at"`
	TTLSeconds     *float64  `json:"ttl_seconds,omitempty" min:"1" jsonschema:"forget after so long" alias:"ttl,expires_in" eg:"86400"`
	AllowDuplicate bool      `json:"allow_duplicate,omitempty"`
	Links          []newLink `json:"links,omitempty" items:"100" alias:"link,relations"`
}

type newLink struct {
	To       string   `json:"to" jsonschema:"id" alias:"to_id,target,target_id,id,dst" eg:"\"0198c0de-…\""`
	Relation string   `json:"relation" alias:"type,relation_type,rel,kind,label" eg:"\"supports\""`
	Weight   *float64 `json:"weight,omitempty" min:"0" max:"1" alias:"strength,score" eg:"1"`
}

type newEngram struct {
	Content string `json:"content" alias:"text,body,note,memory,fact,data,statement,information" eg:"\"Ada prefers tea\""`
	engramArgs
}

type createIn struct {
	Content string `json:"content,omitempty" jsonschema:"the statement" alias:"text,body,note,memory,fact,data,statement,information"`
	engramArgs
	RequestID string      `json:"request_id,omitempty" jsonschema:"UUID; makes a retry safe" alias:"idempotency_key"`
	Engrams   []newEngram `json:"engrams,omitempty" show:"brief" items:"1000" jsonschema:"several at once, all or none: objects with these keys" alias:"memories,items,facts"`
}

// batch has the one engram at the front of the list.
func (in createIn) batch() createIn {
	if in.Content != "" {
		in.Engrams = append([]newEngram{{in.Content, in.engramArgs}}, in.Engrams...)
	}
	return createIn{Engrams: in.Engrams, RequestID: in.RequestID}
}

type createOut struct {
	Engrams []created `json:"engrams"`
}

type created struct {
	ID        string    `json:"id"`
	CreatedAt time.Time `json:"created_at"`
	Version   int64     `json:"version"`
	Duplicate bool      `json:"duplicate,omitempty"`
}

func create(ctx context.Context, s *memory.Store, in createIn) (createOut, error) {
	all := in.batch().Engrams
	if len(all) == 0 {
		return createOut{}, invalid("", "content is missing", `e.g. "content": "Ada prefers tea"`)
	}
	caller, _ := memory.PrincipalFrom(ctx)
	blind := !caller.Can(memory.Read)
	changes := make([]memory.Change, len(all))
	for i, e := range all {
		if blind && len(e.Links) > 0 {
			return createOut{}, denied("missing right read", "leave links out: they would tell what is there")
		}
		e.AllowDuplicate = e.AllowDuplicate || blind // a duplicate would tell, too
		changes[i] = e.change()
	}
	results, err := do(ctx, s, in.RequestID, changes)
	if err != nil {
		return createOut{}, err
	}
	out := createOut{Engrams: make([]created, len(results))}
	for i, r := range results {
		out.Engrams[i] = created{ID: r.Engram.ID, CreatedAt: r.Engram.CreatedAt, Version: r.Engram.Version, Duplicate: r.Duplicate}
	}
	return out, nil
}

func (e newEngram) change() memory.Create {
	c := memory.Create{
		Content: e.Content, Kind: e.Kind, Source: e.Source, Confidence: e.Confidence, Importance: e.Importance,
		Tags: e.Tags, Metadata: json.RawMessage(e.Metadata), Context: e.Context, Collections: e.Collections,
		ValidFrom: e.ValidFrom, ValidTo: e.ValidTo, AllowDuplicate: e.AllowDuplicate,
	}
	if e.TTLSeconds != nil {
		c.TTL = lifetime(*e.TTLSeconds)
	}
	for _, l := range e.Links {
		c.Links = append(c.Links, memory.Link{To: l.To, Relation: l.Relation, Weight: weight(l.Weight)})
	}
	return c
}

// lifetime is a time to live in seconds; more than a century is a century, which
// is as good as for ever and can be added to any date.
func lifetime(seconds float64) time.Duration {
	const century = 100 * 365 * 24 * time.Hour
	if seconds >= century.Seconds() {
		return century
	}
	return time.Duration(seconds * float64(time.Second))
}

// weight is w, or that of a link that says nothing of it.
func weight(w *float64) float64 {
	if w == nil {
		return 1
	}
	return *w
}

type getIn struct {
	IDs          []string `json:"ids" items:"200" alias:"id,engram_id,engram_ids" eg:"[\"0198c0de-…\"]"`
	IncludeLinks bool     `json:"include_links,omitempty" alias:"links,with_links"`
}

type getOut struct {
	Engrams []memory.Engram `json:"engrams"`
	Missing []string        `json:"missing"`
}

func get(ctx context.Context, s *memory.Store, in getIn) (getOut, error) {
	engrams, missing, err := s.Get(ctx, in.IDs, memory.GetOptions{Links: in.IncludeLinks})
	if err != nil {
		return getOut{}, err
	}
	return getOut{Engrams: listed(engrams), Missing: listed(missing)}, nil
}

type updateIn struct {
	ID          string     `json:"id" alias:"engram_id,memory_id" eg:"\"0198c0de-…\""`
	Content     *string    `json:"content,omitempty" alias:"text,body,note,memory,new_content"`
	Kind        *string    `json:"kind,omitempty" alias:"type,category"`
	Source      *string    `json:"source,omitempty"`
	Confidence  *float64   `json:"confidence,omitempty" min:"0" max:"1"`
	Importance  *float64   `json:"importance,omitempty" min:"0" max:"1" alias:"priority"`
	Tags        *[]string  `json:"tags,omitempty" items:"100" alias:"tag,labels"`
	Metadata    obj        `json:"metadata,omitempty" alias:"meta"`
	Context     *string    `json:"context,omitempty"`
	Collections *[]string  `json:"collections,omitempty" items:"50" alias:"collection"`
	ValidFrom   *time.Time `json:"valid_from,omitempty" alias:"timestamp,date"`
	ValidTo     *time.Time `json:"valid_to,omitempty" alias:"valid_until,invalid_at"`
	TTLSeconds  *float64   `json:"ttl_seconds,omitempty" min:"0" jsonschema:"0: never expires" alias:"ttl"`
	IfVersion   int64      `json:"if_version,omitempty" min:"1" jsonschema:"fail if it has another" alias:"version,expected_version" eg:"3"`
	RequestID   string     `json:"request_id,omitempty" alias:"idempotency_key"`
}

type engramOut struct {
	Engram json.RawMessage `json:"engram"`
}

func update(ctx context.Context, s *memory.Store, in updateIn) (engramOut, error) {
	u := memory.Update{
		ID: in.ID, IfVersion: in.IfVersion, Content: in.Content, Kind: in.Kind, Source: in.Source,
		Confidence: in.Confidence, Importance: in.Importance, Tags: in.Tags, Metadata: json.RawMessage(in.Metadata),
		Context: in.Context, Collections: in.Collections, ValidFrom: in.ValidFrom, ValidTo: in.ValidTo,
	}
	if in.TTLSeconds != nil {
		ttl := lifetime(*in.TTLSeconds)
		u.TTL = &ttl
	}
	results, err := do(ctx, s, in.RequestID, []memory.Change{u})
	if err != nil {
		return engramOut{}, err
	}
	return engramOut{record(&memory.Hit{Engram: *results[0].Engram}, everything)}, nil
}

type restoreIn struct {
	ID        string `json:"id" alias:"engram_id,ids,memory_id" eg:"\"0198c0de-…\""`
	Version   int64  `json:"version,omitempty" min:"1" jsonschema:"as it was when forgotten, if absent" alias:"to_version" eg:"2"`
	RequestID string `json:"request_id,omitempty" alias:"idempotency_key"`
}

func restore(ctx context.Context, s *memory.Store, in restoreIn) (engramOut, error) {
	results, err := do(ctx, s, in.RequestID, []memory.Change{memory.Restore{ID: in.ID, Version: in.Version}})
	if err != nil {
		return engramOut{}, err
	}
	return engramOut{record(&memory.Hit{Engram: *results[0].Engram}, everything)}, nil
}

type forgetIn struct {
	IDs       []string    `json:"ids,omitempty" alias:"id,engram_id,engram_ids" eg:"[\"0198c0de-…\"]"`
	Filter    *filterArgs `json:"filter,omitempty" show:"brief" jsonschema:"keys as in engram_search: context, tags, before, …" eg:"{\"tags\": [\"draft\"]}"`
	Purge     bool        `json:"purge,omitempty" alias:"hard_delete,permanent"`
	DryRun    bool        `json:"dry_run,omitempty"`
	Confirm   string      `json:"confirm,omitempty" alias:"confirmation"`
	RequestID string      `json:"request_id,omitempty" alias:"idempotency_key"`
}

type forgetOut struct {
	Forgotten []string `json:"forgotten"` // with dry_run, what would be
	Confirm   string   `json:"confirm,omitempty"`
	More      bool     `json:"more,omitempty"` // the filter may select more than one call forgets
}

func forget(ctx context.Context, s *memory.Store, in forgetIn) (forgetOut, error) {
	ids, more, err := in.selected(ctx, s)
	if err != nil {
		return forgetOut{}, err
	}
	out := forgetOut{Forgotten: listed(ids), More: more}
	confirm := confirmation(ctx, ids)
	switch {
	case in.DryRun:
		if in.Purge && in.Filter != nil {
			out.Confirm = confirm
		}
		return out, nil
	case in.Purge && in.Filter != nil && in.Confirm == "":
		return forgetOut{}, invalid("", "confirm is missing", "purge by filter erases for good: call it with dry_run true first, then pass the confirm it answers")
	case in.Purge && in.Filter != nil && in.Confirm != confirm:
		return forgetOut{}, &memory.Error{Kind: memory.ErrConflict, Ref: "confirm is not that of this selection",
			Hint: "what the filter selects has changed, or confirm was not copied whole: make the dry run again and look at it"}
	}
	changes := make([]memory.Change, len(ids))
	for i, id := range ids {
		changes[i] = memory.Forget{ID: id}
		if in.Purge {
			changes[i] = memory.Purge{ID: id}
		}
	}
	if len(changes) > 0 {
		_, err = do(ctx, s, in.RequestID, changes)
	}
	return out, err
}

// selected are the ids that the arguments name, and whether a filter may
// select more than one call can change.
func (in forgetIn) selected(ctx context.Context, s *memory.Store) (ids []string, more bool, err error) {
	switch {
	case (in.IDs == nil) == (in.Filter == nil):
		return nil, false, invalid("", "it takes either ids or filter", `e.g. "ids": ["0198c0de-…"] or "filter": {"tags": ["draft"]}`)
	case in.Filter == nil && in.DryRun:
		return in.IDs, false, in.present(ctx, s)
	case in.Filter == nil:
		return in.IDs, false, nil
	case in.Filter.empty():
		return nil, false, invalid("", "filter selects everything", `name what to forget, e.g. "filter": {"context": "old-project"}`)
	}
	ids, err = s.Select(ctx, in.Filter.filter(), memory.MaxBatch)
	return ids, len(ids) == memory.MaxBatch, err
}

// present checks that what would be forgotten is there, or has at least been,
// when it would be purged. It asks for the history, which does not count as
// access.
func (in forgetIn) present(ctx context.Context, s *memory.Store) error {
	for _, id := range in.IDs {
		versions, _, err := s.History(ctx, id, "", 1)
		if err != nil {
			return err
		}
		if !in.Purge && len(versions) > 0 && versions[0].Change == "forget" {
			return &memory.Error{Kind: memory.ErrNotFound, Ref: id, Hint: "it is forgotten already; leave it out"}
		}
	}
	return nil
}

// confirmation is a value that only someone who has seen that ids would be
// purged can know: a digest of the caller and the ids. It needs no secret of
// the process, so that any instance of a cluster takes it.
func confirmation(ctx context.Context, ids []string) string {
	caller, _ := memory.PrincipalFrom(ctx)
	h := sha256.New()
	fmt.Fprintf(h, "purge %q %q", caller.Space, caller.Name)
	for _, id := range slices.Sorted(slices.Values(ids)) {
		fmt.Fprintf(h, " %q", id)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// listed is l, written as [] rather than null when there is nothing in it.
func listed[T any](l []T) []T {
	if l == nil {
		return []T{}
	}
	return l
}

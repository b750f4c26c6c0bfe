package tools

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/google/uuid"

	"engram-mcp/memory"
)

// A veil hides from an agent what it may not read of the arguments and the
// answer of somebody else's call. A nil veil hides nothing.
type veil struct {
	tool   Tool
	hidden map[ref]bool
}

// A ref is something of the space that arguments and answers speak of.
type ref struct {
	sort refSort
	name string // or id
}

type refSort int

// The sorts of what is spoken of.
const (
	aWord refSort = iota // nothing that rights are about
	anEngram
	aContext
	aCollection
)

// opaque are members whose strings are what somebody wrote, even if they look
// like ids.
var opaque = []string{"content", "metadata", "query", "observations", "contents", "description", "request_id"}

// refTo says what the string s speaks of as member key in the tool's
// arguments and answer.
func (t Tool) refTo(key, s string) ref {
	switch {
	case slices.Contains(opaque, key):
		return ref{}
	case key == "context":
		return ref{aContext, s}
	case key == "collections":
		return ref{aCollection, s}
	case key == "name" && strings.HasPrefix(t.Name, "context_"):
		return ref{aContext, s}
	case key == "name" && strings.HasPrefix(t.Name, "collection_"):
		return ref{aCollection, s}
	case t.Profile == ProfileCompat && slices.Contains([]string{"name", "names", "entityName", "entityNames", "from", "to"}, key):
		return ref{aContext, label(s)} // an entity is a context
	}
	if _, err := uuid.Parse(s); err == nil {
		return ref{anEngram, s}
	}
	return ref{}
}

// veil is what hides those parts of the texts, JSON objects, that the caller
// carried by ctx may not read.
func (a *Agents) veil(ctx context.Context, t Tool, texts ...json.RawMessage) (*veil, error) {
	store, release, err := a.open(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	hidden, err := store.Hidden(ctx, func() (n memory.Names) {
		for _, text := range texts {
			if tree, err := parse(text); err == nil {
				t.collect(&n, "", tree)
			}
		}
		return n
	})
	if err != nil || len(hidden.Engrams)+len(hidden.Contexts)+len(hidden.Collections) == 0 {
		return nil, err
	}
	v := &veil{t, map[ref]bool{}}
	for sort, names := range map[refSort][]string{anEngram: hidden.Engrams, aContext: hidden.Contexts, aCollection: hidden.Collections} {
		for _, name := range names {
			v.hidden[ref{sort, name}] = true
		}
	}
	return v, nil
}

// collect adds to n what the tree speaks of.
func (t Tool) collect(n *memory.Names, key string, tree any) {
	switch x := tree.(type) {
	case string:
		switch r := t.refTo(key, x); r.sort {
		case anEngram:
			n.Engrams = append(n.Engrams, r.name)
		case aContext:
			n.Contexts = append(n.Contexts, r.name)
		case aCollection:
			n.Collections = append(n.Collections, r.name)
		}
	case []any:
		for _, e := range x {
			t.collect(n, key, e)
		}
	case map[string]any:
		if t.makes(x) && x["context"] == nil {
			n.Contexts = append(n.Contexts, "")
		}
		if t.makes(x) && x["collections"] == nil {
			n.Collections = append(n.Collections, "")
		}
		for k, e := range x {
			if !slices.Contains(opaque, k) {
				t.collect(n, k, e)
			}
		}
	}
}

// makes reports whether an object of the arguments is an engram to be, which
// is somewhere even if it names no place.
func (t Tool) makes(object map[string]any) bool {
	_, content := object["content"]
	return content && object["id"] == nil && t.Name == "engram_create"
}

// bearing are the members that make an object unreadable as a whole.
var bearing = []string{"id", "from", "to", "context", "name", "entityName"}

// hides reports whether nothing of the tree, as member key, may be read.
func (v *veil) hides(key string, tree any) bool {
	if v == nil {
		return false
	}
	switch x := tree.(type) {
	case string:
		return v.hidden[v.tool.refTo(key, x)]
	case map[string]any:
		for _, k := range bearing {
			if s, ok := x[k].(string); ok && v.hides(k, s) {
				return true
			}
		}
		groups, _ := x["collections"].([]any)
		if v.tool.makes(x) && (x["context"] == nil && v.hidden[ref{aContext, ""}] || len(groups) == 0 && v.hidden[ref{aCollection, ""}]) {
			return true
		}
		return len(groups) > 0 && !slices.ContainsFunc(groups, func(g any) bool { return !v.hides("collections", g) })
	}
	return false
}

// show is the tree without what is hidden.
func (v *veil) show(key string, tree any) any {
	if v == nil || slices.Contains(opaque, key) {
		return tree
	}
	switch x := tree.(type) {
	case []any:
		out := make([]any, 0, len(x))
		for _, e := range x {
			if !v.hides(key, e) {
				out = append(out, v.show(key, e))
			}
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(x))
		for k, e := range x {
			if !v.hides(k, e) {
				out[k] = v.show(k, e)
			}
		}
		return out
	}
	return tree
}

// restore puts what is hidden of the tree back into what a hook made of the
// rest: hidden members stay, and hidden items of a list keep their places.
func (v *veil) restore(key string, tree, made any) any {
	if v == nil || slices.Contains(opaque, key) {
		return made
	}
	switch x := tree.(type) {
	case []any:
		list, ok := made.([]any)
		if whole := v.restoreList(key, x, list); ok || len(whole) > 0 {
			return whole
		}
	case map[string]any:
		if m, ok := made.(map[string]any); ok {
			for k, e := range x {
				if v.hides(k, e) {
					m[k] = e
				} else if back := v.restore(k, e, m[k]); back != nil {
					m[k] = back
				}
			}
		}
	}
	return made
}

func (v *veil) restoreList(key string, list, made []any) []any {
	seen := slices.DeleteFunc(slices.Clone(list), func(e any) bool { return v.hides(key, e) })
	if len(seen) == len(made) { // item by item
		for i := range made {
			made[i] = v.restore(key, seen[i], made[i])
		}
	}
	return weave(list, made, func(e any) bool { return v.hides(key, e) })
}

// weave is list with what stays at the places where it is, and made, in order,
// at the others.
func weave[T any](list, made []T, stays func(T) bool) []T {
	out := make([]T, 0, len(list))
	for _, e := range list {
		switch {
		case stays(e):
			out = append(out, e)
		case len(made) > 0:
			out, made = append(out, made[0]), made[1:]
		}
	}
	return append(out, made...)
}

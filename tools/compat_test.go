package tools

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"engram-mcp/memory"
)

// The answers are those of the server whose tools these are, key for key.
func TestCompat_SpeaksTheShapesOfTheKnowledgeGraphServer(t *testing.T) {
	w := newWorld(t)
	ctx := w.admin()
	ada := args{"name": "Ada", "entityType": "person", "observations": []any{"Prefers tea", "Lives in Paris"}}
	acme := args{"name": "Acme Corp", "entityType": "organization", "observations": []any{}}
	works := args{"from": "Ada", "to": "Acme Corp", "relationType": "works_at"}
	steps := []struct {
		tool string
		in   args
		want args
	}{
		{"read_graph", args{}, args{"entities": []any{}, "relations": []any{}}},
		{"create_entities", args{"entities": []any{ada, acme, ada}}, args{"entities": []any{ada, acme}}},
		{"create_entities", args{"entities": []any{args{"name": "Ada", "entityType": "robot", "observations": []any{"x"}}}}, args{"entities": []any{}}},
		{"create_relations", args{"relations": []any{works, works}}, args{"relations": []any{works}}},
		{"create_relations", args{"relations": []any{works}}, args{"relations": []any{}}},
		{"add_observations", args{"observations": []any{args{"entityName": "Ada", "contents": []any{"Prefers tea", "Plays chess"}}}},
			args{"results": []any{args{"entityName": "Ada", "addedObservations": []any{"Plays chess"}}}}},
		{"read_graph", args{}, args{"entities": []any{args{"name": "Ada", "entityType": "person", "observations": []any{"Prefers tea", "Lives in Paris", "Plays chess"}}, acme}, "relations": []any{works}}},
		{"open_nodes", args{"names": []any{"Acme Corp", "Nobody"}}, args{"entities": []any{acme}, "relations": []any{works}}},
		{"search_nodes", args{"query": "organization"}, args{"entities": []any{acme}, "relations": []any{works}}},
		{"search_nodes", args{"query": "ganiza"}, args{"entities": []any{acme}, "relations": []any{works}}},
		{"search_nodes", args{"query": "zebra"}, args{"entities": []any{}, "relations": []any{}}},
		{"delete_observations", args{"deletions": []any{args{"entityName": "Ada", "observations": []any{"Lives in Paris"}}}}, args{"success": true, "message": "Observations deleted successfully"}},
		{"delete_observations", args{"deletions": []any{args{"entityName": "Nobody", "observations": []any{"x"}}}}, args{"success": true, "message": "Deleted 0 of 1 observations; the others do not exist"}},
		{"open_nodes", args{"names": []any{"Ada"}}, args{"entities": []any{args{"name": "Ada", "entityType": "person", "observations": []any{"Prefers tea", "Plays chess"}}}, "relations": []any{works}}},
		{"delete_relations", args{"relations": []any{works, args{"from": "Ada", "to": "Nobody", "relationType": "knows"}}}, args{"success": true, "message": "Deleted 1 of 2 relations; the others do not exist"}},
		{"create_relations", args{"relations": []any{works}}, args{"relations": []any{works}}},
		{"delete_relations", args{"relations": []any{works}}, args{"success": true, "message": "Relations deleted successfully"}},
		{"delete_entities", args{"entityNames": []any{"Ada", "Nobody"}}, args{"success": true, "message": "Deleted 1 of 2 entities. Not found: Nobody"}},
		{"read_graph", args{}, args{"entities": []any{acme}, "relations": []any{}}},
		{"create_entities", args{"entities": []any{ada}}, args{"entities": []any{ada}}},
		{"open_nodes", args{"names": []any{"Ada"}}, args{"entities": []any{ada}, "relations": []any{}}},
	}
	for i, step := range steps {
		if diff := cmp.Diff(step.want, w.call(ctx, step.tool, step.in)); diff != "" {
			t.Fatalf("step %d, %s %v (-want +got)\n%s", i, step.tool, step.in, diff)
		}
	}
}

func TestCompat_MissingEntitiesAreNamed(t *testing.T) {
	w := newWorld(t)
	ctx := w.admin()
	w.call(ctx, "create_entities", args{"entities": []any{args{"name": "Ada", "entityType": "person", "observations": "Prefers tea"}}})
	for tool, in := range map[string]args{
		"add_observations": {"observations": []any{args{"entityName": "Ada", "contents": []any{"a"}}, args{"entityName": "Bob", "contents": []any{"b"}}}},
		"create_relations": {"relations": []any{args{"from": "Ada", "to": "Bob", "relationType": "knows"}}},
	} {
		if text, kind := w.refused(ctx, tool, in); kind != "not_found" || !strings.Contains(text, `entity with name "Bob"`) {
			t.Errorf("%s: %s", tool, text)
		}
	}
	if got := w.call(ctx, "open_nodes", args{"names": "Ada"}); at(t, got, "entities", 0, "observations", 0) != "Prefers tea" || len(at(t, got, "entities", 0, "observations").([]any)) != 1 {
		t.Errorf("a part of the batch was made: %v", got)
	}
}

// Names and relations that fit no column come back whole.
func TestCompat_NamesOfAnyKind(t *testing.T) {
	w := newWorld(t)
	ctx := w.admin()
	names := []string{strings.Repeat("long ", 100), "two\nlines", " ", "日本", "sha256:x", strings.Repeat("long ", 100) + "!"}
	var entities, relations []any
	for i, name := range names {
		entities = append(entities, args{"name": name, "entityType": fmt.Sprint("type ", i), "observations": []any{fmt.Sprint("seen ", i)}})
		relations = append(relations, args{"from": name, "to": names[(i+1)%len(names)], "relationType": strings.Repeat("very ", 60) + "near"})
	}
	// A name of white space alone is not content; that server takes it.
	entities = append(entities[:2], entities[3:]...)
	relations = append(relations[:1], relations[3:5]...)
	w.call(ctx, "create_entities", args{"entities": entities})
	w.call(ctx, "create_relations", args{"relations": relations})
	got := w.call(ctx, "read_graph", args{})
	if diff := cmp.Diff(entities, got["entities"]); diff != "" {
		t.Error(diff)
	}
	byText := cmpopts.SortSlices(func(a, b any) bool { return fmt.Sprint(a) < fmt.Sprint(b) })
	if diff := cmp.Diff(relations, got["relations"], byText); diff != "" {
		t.Error(diff)
	}
	w.call(ctx, "delete_relations", args{"relations": relations})
	if got := w.call(ctx, "read_graph", args{}); len(got["relations"].([]any)) != 0 {
		t.Errorf("%v", got["relations"])
	}
}

// More than fits a page or a mutation comes back whole and in order.
func TestCompat_ManyObservations(t *testing.T) {
	w := newWorld(t)
	ctx := w.admin()
	var want []any
	for i := range 1200 {
		want = append(want, fmt.Sprint("fact number ", i))
	}
	w.call(ctx, "create_entities", args{"entities": []any{args{"name": "Ada", "entityType": "person", "observations": want[:900]}}})
	w.call(ctx, "add_observations", args{"observations": []any{args{"entityName": "Ada", "contents": want[900:]}}})
	if diff := cmp.Diff(want, at(t, w.call(ctx, "open_nodes", args{"names": "Ada"}), "entities", 0, "observations")); diff != "" {
		t.Error(diff)
	}
	w.call(ctx, "delete_entities", args{"entityNames": "Ada"})
	if hits := w.call(ctx, "engram_search", args{"query": "fact number"})["hits"].([]any); len(hits) != 0 {
		t.Errorf("%d are left", len(hits))
	}
}

// What came in through these tools is there for all the others.
func TestCompat_IsTheSameMemory(t *testing.T) {
	w := newWorld(t)
	ctx := w.admin()
	w.call(ctx, "create_entities", args{"entities": []any{
		args{"name": "Ada", "entityType": "person", "observations": []any{"Prefers tea"}}, args{"name": "Bob", "entityType": "person", "observations": []any{}}}})
	w.call(ctx, "create_relations", args{"relations": []any{args{"from": "Ada", "to": "Bob", "relationType": "knows"}}})
	hit := at(t, w.call(ctx, "engram_search", args{"query": "who likes tea", "kind": "observation"}), "hits", 0).(args)
	if hit["content"] != "Prefers tea" || hit["context"] != "Ada" || hit["source"] != "Ada" {
		t.Errorf("%v", hit)
	}
	head := at(t, w.call(ctx, "engram_search", args{"context": "Ada", "kind": "entity"}), "hits", 0, "id")
	if g := w.call(ctx, "engram_graph", args{"start": head}); at(t, g, "links", 0, "relation") != "knows" || at(t, g, "engrams", 1, "content") != "Bob (person)" {
		t.Errorf("%v", g)
	}
	// Another engram in that context, or a link to one, is no part of the graph.
	other := w.create(ctx, args{"content": "unrelated", "context": "Ada"})
	w.call(ctx, "engram_link", args{"from": head, "to": other, "relation": "about"})
	if got := w.call(ctx, "open_nodes", args{"names": "Ada"}); len(at(t, got, "relations").([]any)) != 1 || len(at(t, got, "entities", 0, "observations").([]any)) != 1 {
		t.Errorf("%v", got)
	}
	if got := w.call(w.as("bob", memory.Read), "search_nodes", args{"query": "tea"}); at(t, got, "entities", 0, "name") != "Ada" {
		t.Errorf("%v", got)
	}
}

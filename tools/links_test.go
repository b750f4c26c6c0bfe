package tools

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestLinks(t *testing.T) {
	w := newWorld(t)
	ctx := w.admin()
	a, b, c := w.create(ctx, args{"content": "a"}), w.create(ctx, args{"content": "b"}), w.create(ctx, args{"content": strings.Repeat("c", 10_000)})

	got := w.call(ctx, "engram_link", args{"links": []args{{"from": a, "to": b, "relation": "supports", "weight": 0.5, "metadata": args{"why": 1}}, {"from": b, "to": c, "relation": "part_of"}}})
	want := []any{args{"from": a, "to": b, "relation": "supports", "weight": 0.5, "metadata": args{"why": 1.0}}, args{"from": b, "to": c, "relation": "part_of", "weight": 1.0}}
	if diff := cmp.Diff(want, got["links"]); diff != "" {
		t.Error(diff)
	}

	g := w.call(ctx, "engram_graph", args{"start": b})
	if n := len(g["engrams"].([]any)); n != 3 {
		t.Errorf("b has %d neighbors with itself", n)
	}
	path := w.call(ctx, "engram_graph", args{"start": a, "to": c})
	if at(t, path, "engrams", 0, "id") != a || at(t, path, "engrams", 1, "id") != b || at(t, path, "engrams", 2, "id") != c {
		t.Errorf("the path is %v", path)
	}
	if long := at(t, path, "engrams", 2).(args); long["truncated"] != true || len(long["content"].(string)) > maxGraphEngram {
		t.Error("a long content is not cut")
	}
	sub := w.call(ctx, "engram_graph", args{"start": a, "mode": "subgraph", "depth": 2, "relations": "supports"})
	if diff := cmp.Diff(want[:1], sub["links"]); diff != "" {
		t.Error(diff)
	}

	w.call(ctx, "engram_unlink", args{"from": a, "to": b}) // the one link from beside the list
	if g := w.call(ctx, "engram_graph", args{"start": a}); len(g["links"].([]any)) != 0 {
		t.Errorf("still linked: %v", g["links"])
	}
	for in, kind := range map[string]string{
		`{"links": []}`: "invalid", `{"links": [{"from": "` + a + `", "to": "` + b + `", "relation": "x", "weight": 2}]}`: "invalid",
		`{"from": "` + a + `", "to": "nowhere", "relation": "x"}`: "not_found", `{"from": "` + a + `", "to": "` + a + `", "relation": "x"}`: "invalid",
	} {
		if text, got := w.refused(ctx, "engram_link", in); got != kind {
			t.Errorf("%s is %s: %s", in, got, text)
		}
	}
}

// A walk answers within the size that any answer has, and only with links
// whose ends it shows.
func TestGraph_IsBounded(t *testing.T) {
	w := newWorld(t)
	ctx := w.admin()
	hub := w.create(ctx, args{"content": "hub"})
	var spokes []args
	for i := range 150 {
		spokes = append(spokes, args{"content": strings.Repeat(string(rune('a'+i%26)), 3_000+i), "links": []args{{"to": hub, "relation": "part_of"}}})
	}
	w.call(ctx, "engram_create", args{"engrams": spokes})
	g := w.call(ctx, "engram_graph", args{"start": hub, "limit": 200})
	engrams := g["engrams"].([]any)
	if size := len(encoded(t, engrams)); g["truncated"] != true || size > budget(0) || len(engrams) < 30 {
		t.Errorf("%d engrams in %d bytes, truncated %v", len(engrams), size, g["truncated"])
	}
	if links := g["links"].([]any); len(links) != len(engrams)-1 {
		t.Errorf("%d links among %d engrams", len(links), len(engrams))
	}
}

func TestGroups(t *testing.T) {
	w := newWorld(t)
	ctx := w.admin()
	w.call(ctx, "context_create", args{"name": "closed", "readers": "carol"})
	for _, kind := range []string{"context", "collection"} {
		made := w.call(ctx, kind+"_create", args{"name": "x", "description": "about x", "readers": "ada"})[kind].(args)
		if diff := cmp.Diff(args{"name": "x", "description": "about x", "readers": []any{"ada"}, "engrams": 0.0}, made); diff != "" {
			t.Error(diff)
		}
		if _, k := w.refused(ctx, kind+"_create", args{"name": "x"}); k != "conflict" {
			t.Error(k)
		}
		if _, k := w.refused(ctx, kind+"_update", args{"name": "y"}); k != "not_found" {
			t.Error(k)
		}
		bob := w.as("bob", allRights)
		if l := w.call(bob, kind+"_list", args{})[kind+"s"].([]any); len(l) != 0 {
			t.Errorf("bob sees %v", l)
		}
		if text, k := w.refused(ctx, kind+"_update", args{"name": "x", "readers": []string{}}); k != "invalid" || !strings.Contains(text, `["*"]`) {
			t.Error(text)
		}
		w.call(ctx, kind+"_update", args{"name": "x", "readers": "*"})
		l := w.call(bob, kind+"_list", args{})[kind+"s"].([]any)
		if len(l) != 1 || at(t, l, 0, "description") != "about x" || at(t, l, 0, "readers") != nil {
			t.Errorf("bob sees %v", l)
		}
	}
}

func TestAdmin(t *testing.T) {
	w := newWorld(t)
	ctx := w.admin()
	id := w.create(ctx, args{"content": "old"})
	w.create(ctx, args{"content": "new"})
	w.call(ctx, "engram_forget", args{"ids": id})
	if s := w.call(ctx, "memory_stats", args{}); s["engrams"] != 2.0 || s["forgotten"] != 1.0 {
		t.Errorf("%v", s)
	}
	time.Sleep(5 * time.Millisecond) // so that it was forgotten before now, in whole milliseconds
	policy := args{"policy": args{"purge_forgotten_days": 0}}
	if text, kind := w.refused(ctx, "memory_maintain", args{"policy": args{}}); kind != "invalid" || !strings.Contains(text, "purge_expired_days") {
		t.Error(text)
	}
	if got := w.call(ctx, "memory_maintain", args{"policy": policy["policy"], "dry_run": true}); got["purged"] != 1.0 {
		t.Errorf("%v", got)
	}
	if got := w.call(ctx, "memory_maintain", policy); got["purged"] != 1.0 {
		t.Errorf("%v", got)
	}
	if s := w.call(ctx, "memory_stats", args{}); s["engrams"] != 1.0 || s["forgotten"] != 0.0 {
		t.Errorf("%v", s)
	}
}

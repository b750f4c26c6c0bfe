package tools

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"engram-mcp/memory"
)

type args = map[string]any

func TestCreate_AnswersSmallAndInOrder(t *testing.T) {
	w := newWorld(t)
	ctx := w.admin()
	out := w.call(ctx, "engram_create", args{"engrams": []args{{"content": "Ada prefers tea"}, {"content": "Ada lives in Paris"}, {"content": "Ada prefers tea"}}})
	list := out["engrams"].([]any)
	if len(list) != 3 {
		t.Fatalf("%d answers", len(list))
	}
	if at(t, list, 0, "id") != at(t, list, 2, "id") || at(t, list, 2, "duplicate") != true || at(t, list, 0, "duplicate") != nil {
		t.Errorf("the duplicate is not told: %v", list)
	}
	for key := range list[0].(args) {
		if key != "id" && key != "created_at" && key != "version" {
			t.Errorf("create answers %s", key)
		}
	}
	got := w.call(ctx, "engram_get", args{"ids": []any{at(t, list, 1, "id"), at(t, list, 0, "id"), "nowhere"}})
	if at(t, got, "engrams", 0, "content") != "Ada lives in Paris" || at(t, got, "engrams", 1, "content") != "Ada prefers tea" {
		t.Errorf("not in the order asked for: %v", got)
	}
	if diff := cmp.Diff([]any{"nowhere"}, got["missing"]); diff != "" {
		t.Error(diff)
	}
}

func TestCreate_KeepsEveryField(t *testing.T) {
	w := newWorld(t)
	ctx := w.admin()
	other := w.create(ctx, args{"content": "Tea is a drink"})
	id := w.create(ctx, args{
		"content": "Ada prefers tea", "source": "Ada", "confidence": 0.9, "importance": "0.7", "type": "preference", "tags": "drinks",
		"metadata": args{"page": 12}, "context": "project-x", "collection": "people", "valid_from": "2026-01-31", "valid_to": "2026-02-01 09:00",
		"ttl": 3600, "links": []args{{"to": other, "relation": "about", "weight": 0.5}},
	})
	e := at(t, w.call(ctx, "engram_get", args{"ids": id, "include_links": true}), "engrams", 0).(args)
	want := args{
		"content": "Ada prefers tea", "source": "Ada", "author": "ada", "trust": "agent", "confidence": 0.9, "importance": 0.7, "kind": "preference",
		"tags": []any{"drinks"}, "metadata": args{"page": 12.0}, "context": "project-x", "collections": []any{"people"},
		"valid_from": "2026-01-31T00:00:00Z", "valid_to": "2026-02-01T09:00:00Z", "version": 1.0,
		"links": []any{args{"from": id, "to": other, "relation": "about", "weight": 0.5}},
	}
	for key, v := range want {
		if diff := cmp.Diff(v, e[key]); diff != "" {
			t.Errorf("%s: %s", key, diff)
		}
	}
	expires, err := time.Parse(time.RFC3339, e["expires_at"].(string))
	if left := time.Until(expires); err != nil || left > time.Hour || left < 50*time.Minute {
		t.Errorf("it expires at %v", e["expires_at"])
	}
}

func TestCreate_IsAllOrNone(t *testing.T) {
	w := newWorld(t)
	ctx := w.admin()
	text, kind := w.refused(ctx, "engram_create", args{"engrams": []args{{"content": "first"}, {"content": " "}}})
	if kind != "invalid" || !strings.Contains(text, "content is empty") {
		t.Error(text)
	}
	if hits := w.call(ctx, "engram_search", args{})["hits"].([]any); len(hits) != 0 {
		t.Errorf("a part was stored: %v", hits)
	}
	if text, _ := w.refused(ctx, "engram_create", args{"tags": "x"}); !strings.Contains(text, "content is missing") {
		t.Error(text)
	}
	if text, _ := w.refused(ctx, "engram_create", args{"engrams": []args{{"content": "a"}, {"contnt": "b"}}}); !strings.Contains(text, `"engrams[1].contnt"`) || !strings.Contains(text, `"content"`) {
		t.Error(text)
	}
}

func TestRequestID_MakesARetrySafe(t *testing.T) {
	w := newWorld(t)
	ctx := w.admin()
	const request = "0197a3c0-5b1e-7c3a-9d2f-1a2b3c4d5e6f"
	again := args{"content": "once", "allow_duplicate": true, "request_id": request}
	first := w.call(ctx, "engram_create", again)
	if diff := cmp.Diff(first, w.call(ctx, "engram_create", again)); diff != "" {
		t.Errorf("the retry has another answer: %s", diff)
	}
	if _, kind := w.refused(ctx, "engram_create", args{"content": "other", "request_id": request}); kind != "conflict" {
		t.Errorf("another request under the same id is %s", kind)
	}
	if text, kind := w.refused(ctx, "engram_create", args{"content": "other", "request_id": "7"}); kind != "invalid" || !strings.Contains(text, "UUID") {
		t.Error(text)
	}
}

func TestUpdate(t *testing.T) {
	w := newWorld(t)
	ctx := w.admin()
	id := w.create(ctx, args{"content": "Ada lives in Paris", "tags": []string{"a"}, "valid_from": "2026-01-01", "metadata": args{"a": 1}, "ttl_seconds": 100})
	e := w.call(ctx, "engram_update", args{"id": id, "content": "Ada lives in Rome", "confidence": 0.5, "valid_from": "", "ttl_seconds": 0, "if_version": 1})["engram"].(args)
	if e["content"] != "Ada lives in Rome" || e["confidence"] != 0.5 || e["version"] != 2.0 {
		t.Errorf("%v", e)
	}
	if e["valid_from"] != nil || e["expires_at"] != nil {
		t.Errorf("times are still there: %v", e)
	}
	if diff := cmp.Diff([]any{"a"}, e["tags"]); diff != "" {
		t.Error("what was not named has changed", diff)
	}
	if text, kind := w.refused(ctx, "engram_update", args{"id": id, "content": "x", "if_version": 1}); kind != "conflict" || !strings.Contains(text, "version is 2, not 1") {
		t.Error(text)
	}
	if _, kind := w.refused(ctx, "engram_update", args{"id": "0197a3c0-5b1e-7c3a-9d2f-1a2b3c4d5e6f", "content": "x"}); kind != "not_found" {
		t.Error(kind)
	}
	versions := w.call(ctx, "engram_history", args{"id": id})["versions"].([]any)
	if len(versions) != 2 || at(t, versions, 0, "change") != "update" || at(t, versions, 1, "change") != "create" {
		t.Errorf("%v", versions)
	}
	e = w.call(ctx, "engram_restore", args{"id": id, "version": 1})["engram"].(args)
	if e["content"] != "Ada lives in Paris" || e["version"] != 3.0 {
		t.Errorf("restored is %v", e)
	}
}

func TestForget_ByIDs(t *testing.T) {
	w := newWorld(t)
	ctx := w.admin()
	id, stays := w.create(ctx, args{"content": "secret"}), w.create(ctx, args{"content": "stays"})
	if _, kind := w.refused(ctx, "engram_forget", args{"ids": []string{id, "0197a3c0-5b1e-7c3a-9d2f-1a2b3c4d5e6f"}}); kind != "not_found" {
		t.Error(kind)
	}
	if diff := cmp.Diff(args{"forgotten": []any{id}}, w.call(ctx, "engram_forget", args{"id": id, "dry_run": true})); diff != "" {
		t.Error(diff)
	}
	if _, kind := w.refused(ctx, "engram_forget", args{"ids": []string{id, "nowhere"}, "dry_run": true}); kind != "not_found" {
		t.Error("a dry run promises what cannot be done:", kind)
	}
	if got := w.call(ctx, "engram_get", args{"ids": id}); len(got["engrams"].([]any)) != 1 {
		t.Error("a dry run has forgotten it, or half of a batch was made")
	}
	if diff := cmp.Diff(args{"forgotten": []any{id}}, w.call(ctx, "engram_forget", args{"ids": id})); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]any{id}, w.call(ctx, "engram_get", args{"ids": []string{id, stays}})["missing"]); diff != "" {
		t.Error(diff)
	}
	if _, kind := w.refused(ctx, "engram_forget", args{"ids": id, "dry_run": true}); kind != "not_found" {
		t.Error("it is forgotten already:", kind)
	}
	if e := w.call(ctx, "engram_restore", args{"id": id})["engram"].(args); e["content"] != "secret" {
		t.Errorf("%v", e)
	}
	w.call(ctx, "engram_forget", args{"ids": id, "purge": true})
	if _, kind := w.refused(ctx, "engram_restore", args{"id": id}); kind != "not_found" {
		t.Error(kind)
	}
	writer := w.as("bob", memory.Read|memory.Write)
	if text, kind := w.refused(writer, "engram_forget", args{"ids": stays, "purge": true}); kind != "denied" || !strings.Contains(text, "hint: ") {
		t.Error(text)
	}
}

func TestForget_ByFilter(t *testing.T) {
	w := newWorld(t)
	ctx := w.admin()
	var drafts []any
	for i := range 3 {
		drafts = append(drafts, w.create(ctx, args{"content": fmt.Sprint("draft ", i), "tags": "draft"}))
	}
	w.create(ctx, args{"content": "final"})
	filter := args{"tags": "draft"}
	dry := w.call(ctx, "engram_forget", args{"filter": filter, "purge": true, "dry_run": true})
	if diff := cmp.Diff(drafts, dry["forgotten"]); diff != "" {
		t.Fatal(diff)
	}
	if text, kind := w.refused(ctx, "engram_forget", args{"filter": filter, "purge": true}); kind != "invalid" || !strings.Contains(text, "dry_run") {
		t.Error(text)
	}
	late := w.create(ctx, args{"content": "draft 4", "tags": "draft"})
	if text, kind := w.refused(ctx, "engram_forget", args{"filter": filter, "purge": true, "confirm": dry["confirm"]}); kind != "conflict" || !strings.Contains(text, "dry run again") {
		t.Error("a selection that was not seen was purged: ", text)
	}
	w.call(ctx, "engram_forget", args{"ids": late})
	if bob := w.as("bob", allRights); w.call(bob, "engram_forget", args{"filter": filter, "purge": true, "dry_run": true})["confirm"] == dry["confirm"] {
		t.Error("the confirmation of one is good for another")
	}
	got := w.call(ctx, "engram_forget", args{"filter": filter, "purge": true, "confirm": dry["confirm"]})
	if diff := cmp.Diff(drafts, got["forgotten"]); diff != "" {
		t.Error(diff)
	}
	if hits := w.call(ctx, "engram_search", args{"query": "draft final"})["hits"].([]any); len(hits) != 1 {
		t.Errorf("%v", hits)
	}
	for _, bad := range []args{{}, {"filter": args{}}, {"ids": "x", "filter": filter}, {"filter": args{"tag_": "x"}}} {
		if _, kind := w.refused(ctx, "engram_forget", bad); kind != "invalid" {
			t.Errorf("%v is %s", bad, kind)
		}
	}
	if got := w.call(ctx, "engram_forget", args{"filter": filter}); len(got["forgotten"].([]any)) != 0 {
		t.Errorf("nothing is left to forget: %v", got)
	}
}

package tools

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"engram-mcp/memory"
)

func TestSearch_HitsCarryWhatAReaderMustKnow(t *testing.T) {
	w := newWorld(t)
	ctx := w.admin()
	w.create(ctx, args{"content": "Ada prefers tea", "source": "Ada", "tags": "drinks", "metadata": args{"page": 1}})
	w.create(ctx, args{"content": "The train leaves at nine"})
	hits := w.call(ctx, "engram_search", args{"q": "what does Ada drink, tea?"})["hits"].([]any)
	if len(hits) == 0 {
		t.Fatal("nothing found")
	}
	hit := hits[0].(args)
	for key, want := range (args{"content": "Ada prefers tea", "source": "Ada", "author": "ada", "trust": "agent", "metadata": args{"page": 1.0}, "tags": []any{"drinks"}}) {
		if diff := cmp.Diff(want, hit[key]); diff != "" {
			t.Errorf("%s: %s", key, diff)
		}
	}
	if hit["score"].(float64) <= 0 || hit["parts"] != nil {
		t.Errorf("%v", hit)
	}
	parts := at(t, w.call(ctx, "engram_search", args{"query": "tea", "explain": true}), "hits", 0, "parts").(args)
	sum := 0.0
	for _, p := range parts {
		sum += p.(float64)
	}
	score := at(t, w.call(ctx, "engram_search", args{"query": "tea"}), "hits", 0, "score").(float64)
	if diff := sum - score; diff > 1e-6 || diff < -1e-6 {
		t.Errorf("the parts %v do not add up to %v", parts, score)
	}
}

func TestSearch_Fields(t *testing.T) {
	w := newWorld(t)
	ctx := w.admin()
	id := w.create(ctx, args{"content": "Ada prefers tea"})
	if diff := cmp.Diff([]any{args{"id": id}}, w.call(ctx, "engram_search", args{"query": "tea", "fields": "id"})["hits"]); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]any{args{"id": id, "importance": 0.5, "version": 1.0}}, w.call(ctx, "engram_search", args{"fields": []string{"importance", "version"}})["hits"]); diff != "" {
		t.Error(diff)
	}
	if text, _ := w.refused(ctx, "engram_search", args{"fields": []string{"contnt"}}); !strings.Contains(text, `did you mean "content"`) {
		t.Error(text)
	}
}

// Pages follow one another without a gap, whether limit or max_tokens ends
// them.
func TestSearch_Pages(t *testing.T) {
	w := newWorld(t)
	ctx := w.admin()
	var all []args
	for i := range 25 {
		all = append(all, args{"content": fmt.Sprintf("note %d about tea %s", i, strings.Repeat("and more ", i))})
	}
	w.call(ctx, "engram_create", args{"engrams": all})
	for _, query := range []string{"", "tea"} {
		whole := ids(t, w.call(ctx, "engram_search", args{"query": query, "limit": 200}))
		if len(whole) != 25 {
			t.Fatalf("%q finds %d", query, len(whole))
		}
		for _, page := range []args{{"limit": 7}, {"max_tokens": 300, "limit": 200}, {"max_tokens": 1, "limit": 3}} {
			var got []string
			cursor := ""
			for range 30 {
				page["query"], page["cursor"] = query, cursor
				out := w.call(ctx, "engram_search", page)
				got = append(got, ids(t, out)...)
				if n := len(encoded(t, out["hits"])) / 4; page["max_tokens"] == 300 && n > 310 {
					t.Errorf("a page has %d tokens", n)
				}
				if cursor, _ = out["cursor"].(string); cursor == "" {
					break
				}
			}
			if !slices.Equal(whole, got) {
				t.Errorf("%q by %v gives %d of %d, or in another order", query, page, len(got), len(whole))
			}
		}
	}
	for _, cursor := range []string{"AAAA", "-1.0.", "x.0.", "1.7.", "1.0.AAAA", "99999999999999999999.0."} {
		if text, kind := w.refused(ctx, "engram_search", args{"cursor": cursor}); kind != "invalid" || !strings.Contains(text, "cursor") {
			t.Error(cursor, text)
		}
	}
	if hits := w.call(ctx, "engram_search", args{"cursor": "999.0."})["hits"].([]any); len(hits) != 0 {
		t.Errorf("%v", hits)
	}
}

func TestSearch_AHugeHitIsCutAndSaysSo(t *testing.T) {
	w := newWorld(t)
	ctx := w.admin()
	long := strings.Repeat("tea über alles ", 15_000)
	w.create(ctx, args{"content": long})
	for _, tokens := range []int{100, 1000, 0} {
		in := args{"query": "tea"}
		if tokens > 0 {
			in["max_tokens"] = tokens
		}
		hit := at(t, w.call(ctx, "engram_search", in), "hits", 0).(args)
		n := len(encoded(t, hit))
		if most := budget(tokens); hit["truncated"] != true || n > most || n < most*8/10 {
			t.Errorf("at %d tokens: truncated %v, %d bytes of %d", tokens, hit["truncated"], n, most)
		}
		if !strings.HasPrefix(long, hit["content"].(string)) {
			t.Error("cut inside a letter")
		}
	}
}

func TestSearch_Filters(t *testing.T) {
	w := newWorld(t)
	ctx := w.admin()
	w.call(ctx, "engram_create", args{"engrams": []args{
		{"content": "a", "kind": "event", "valid_from": "2026-01-10", "valid_to": "2026-01-20", "context": "x", "tags": []string{"t", "u"}},
		{"content": "b", "source": "Ada", "confidence": 0.4, "collections": "c", "valid_from": "2026-02-10"},
	}})
	w.call(ctx, "collection_create", args{"name": "closed", "readers": "carol"})
	tests := []struct {
		in   args
		want string
	}{
		{args{}, "a b"}, {args{"kind": "event"}, "a"}, {args{"context": "x"}, "a"}, {args{"tags": []string{"t", "u"}}, "a"}, {args{"tags": []string{"t", "v"}}, ""},
		{args{"source": "Ada"}, "b"}, {args{"collection": "c"}, "b"}, {args{"min_confidence": 0.5}, "a"}, {args{"since": "2026-02-01"}, "b"}, {args{"until": "2026-02-01"}, "a"},
		{args{"as_of": "2026-01-15"}, "a"}, {args{"valid_at": "2026-03-01"}, "b"}, {args{"context": "nowhere"}, ""},
	}
	for _, tt := range tests {
		var got []string
		for _, h := range w.call(ctx, "engram_search", tt.in)["hits"].([]any) {
			got = append(got, at(t, h, "content").(string))
		}
		slices.Sort(got)
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%v finds %v, want %s", tt.in, got, tt.want)
		}
	}
}

// What a memory holds cannot hide anything from its reader.
func TestSearch_ShowsNothingInvisible(t *testing.T) {
	w := newWorld(t)
	ctx := w.admin()
	id := w.create(ctx, args{"content": "tea\u202e\u001b[31m\U000e0041 time", "metadata": args{"k": "v\u0007"}})
	for tool, in := range map[string]args{"engram_search": {"query": "tea"}, "engram_get": {"ids": id}, "engram_graph": {"start": id}, "engram_history": {"id": id}} {
		out := string(encoded(t, w.call(ctx, tool, in)))
		if !strings.Contains(out, "tea[31m time") {
			t.Errorf("%s answers %s", tool, out)
		}
	}
}

func TestSearch_AnyTextIsAQuery(t *testing.T) {
	w := newWorld(t)
	ctx := w.admin()
	w.create(ctx, args{"content": "e-mail AND tea"})
	for _, q := range []string{"?", "'", `"`, "AND", "tea*", "NEAR(tea)", "👩‍👩‍👧", "e-mail?", strings.Repeat("tea ", 1000), "\u0000"} {
		w.call(ctx, "engram_search", args{"query": q})
	}
}

func ids(t *testing.T, out any) (l []string) {
	t.Helper()
	for _, h := range at(t, out, "hits").([]any) {
		l = append(l, at(t, h, "id").(string))
	}
	return l
}

func TestRecord_KeepsItsOrder(t *testing.T) {
	h := memory.Hit{Engram: memory.Engram{ID: "x", Content: "<b>", Kind: "fact"}, Score: 1}
	want := `{"id":"x","score":1,"content":"<b>","kind":"fact","confidence":0}`
	all, err := chosen(nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(record(&h, all)); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

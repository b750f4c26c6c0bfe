package memory_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"engram-mcp/memory"

	"github.com/google/uuid"
)

func TestDuplicates(t *testing.T) {
	ctx, s := open(t, memory.Options{})
	base := memory.Create{Content: "Ada prefers tea", Source: "ada", Tags: []string{"a"}}
	other := create(t, ctx, s, memory.Create{Content: "something else"})
	first := create(t, ctx, s, base)

	again := base
	again.Tags, again.Links = []string{"b"}, []memory.Link{{To: other, Relation: "about", Weight: .5}}
	r := do(t, ctx, s, again)[0]
	if !r.Duplicate || r.Engram.ID != first {
		t.Fatalf("got %+v, want a duplicate of %s", r, first)
	}
	e := get(t, ctx, s, first)
	if !slices.Equal(e.Tags, []string{"a", "b"}) || len(e.Links) != 1 {
		t.Errorf("new tags and links were not added: %+v", e)
	}
	for name, c := range map[string]memory.Create{
		"other content":    {Content: "Ada prefers tea.", Source: "ada"},
		"other source":     {Content: base.Content, Source: "bob"},
		"other kind":       {Content: base.Content, Source: "ada", Kind: "preference"},
		"other context":    {Content: base.Content, Source: "ada", Context: "kitchen"},
		"other collection": {Content: base.Content, Source: "ada", Collections: []string{"people"}},
		"other valid_from": {Content: base.Content, Source: "ada", ValidFrom: time.Unix(1, 0)},
		"asked for":        {Content: base.Content, Source: "ada", AllowDuplicate: true},
	} {
		if r := do(t, ctx, s, c)[0]; r.Duplicate {
			t.Errorf("%s: taken for a duplicate", name)
		}
	}
	do(t, ctx, s, memory.Forget{ID: first})
	if r := do(t, ctx, s, base)[0]; r.Duplicate && r.Engram.ID == first {
		t.Error("a forgotten engram was found as a duplicate")
	}
}

func TestRequestIDMakesAMutationSafeToRepeat(t *testing.T) {
	ctx, s := open(t, memory.Options{})
	m := memory.Mutation{RequestID: uuid.NewString(), Changes: []memory.Change{memory.Create{Content: "once", AllowDuplicate: true}}}
	first, err := s.Do(ctx, m)
	if err != nil {
		t.Fatal(err)
	}
	before := digest(t, ctx, s)
	second, err := s.Do(ctx, m)
	if err != nil {
		t.Fatal(err)
	}
	diffEngram(t, *first[0].Engram, *second[0].Engram)
	if digest(t, ctx, s) != before {
		t.Error("the repeated request changed something")
	}
	m.Changes = []memory.Change{memory.Create{Content: "other"}}
	_, err = s.Do(ctx, m)
	wantHint(t, err, memory.ErrConflict, "new UUID")
	m.RequestID = "not a uuid"
	_, err = s.Do(ctx, m)
	wantHint(t, err, memory.ErrInvalid, "e.g.")

	// The id belongs to the principal that used it.
	bob := as(t, "bob", memory.Read|memory.Write)
	m = memory.Mutation{RequestID: m.RequestID, Changes: []memory.Change{memory.Create{Content: "bob's"}}}
	m.RequestID = uuid.NewString()
	if _, err := s.Do(ctx, m); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Do(bob, memory.Mutation{RequestID: m.RequestID, Changes: []memory.Change{memory.Create{Content: "another"}}}); err != nil {
		t.Errorf("another principal's id got in the way: %v", err)
	}
}

func TestMutationIsAllOrNone(t *testing.T) {
	ctx, s := open(t, memory.Options{})
	id := create(t, ctx, s, memory.Create{Content: "here"})
	before := digest(t, ctx, s)
	_, err := s.Do(ctx, memory.Mutation{Changes: []memory.Change{
		memory.Create{Content: "first"},
		memory.Forget{ID: id},
		memory.Update{ID: uuid.NewString(), Content: ptr("x")},
	}})
	wantHint(t, err, memory.ErrNotFound, "engram_search")
	if err == nil || !strings.Contains(err.Error(), "item 2") {
		t.Errorf("got %v, want the item named", err)
	}
	if digest(t, ctx, s) != before {
		t.Error("part of a failed mutation was applied")
	}
}

func TestUpdate(t *testing.T) {
	ctx, s := open(t, memory.Options{})
	id := create(t, ctx, s, memory.Create{Content: "the build uses make", Context: "project", Collections: []string{"a", "b"}, Tags: []string{"x"}})
	if hits := search(t, ctx, s, "make"); !slices.Contains(hits, id) {
		t.Fatal("not found before the update")
	}
	r := do(t, ctx, s, memory.Update{ID: id, IfVersion: 1, Content: ptr("the build uses ninja"), Collections: ptr([]string{"b", "c"}),
		Tags: ptr([]string{}), Metadata: []byte(`{"v":2}`), Importance: ptr(.7), ValidFrom: ptr(time.Unix(100, 0))})[0]
	e := get(t, ctx, s, id)
	diffEngram(t, *r.Engram, e)
	if e.Content != "the build uses ninja" || !slices.Equal(e.Collections, []string{"b", "c"}) || e.Tags != nil || e.Version != 2 || e.Importance != .7 || string(e.Metadata) != `{"v":2}` {
		t.Errorf("got %+v", e)
	}
	if hits := search(t, ctx, s, "make"); slices.Contains(hits, id) {
		t.Error("still found by its old words")
	}
	if hits := search(t, ctx, s, "ninja"); !slices.Contains(hits, id) {
		t.Error("not found by its new words")
	}
	_, err := s.Do(ctx, memory.Mutation{Changes: []memory.Change{memory.Update{ID: id, IfVersion: 1, Content: ptr("late")}}})
	wantHint(t, err, memory.ErrConflict, "engram_get")
	if r := do(t, ctx, s, memory.Update{ID: id, Content: ptr(e.Content)})[0]; r.Engram.Version != 2 {
		t.Errorf("an update that changes nothing made version %d", r.Engram.Version)
	}
	do(t, ctx, s, memory.Update{ID: id, ValidFrom: ptr(time.Time{})})
	if e := get(t, ctx, s, id); !e.ValidFrom.IsZero() {
		t.Error("valid_from was not removed")
	}
}

func TestInvalidChangesSayHowToMendThem(t *testing.T) {
	ctx, s := open(t, memory.Options{})
	id := create(t, ctx, s, memory.Create{Content: "x"})
	other := create(t, ctx, s, memory.Create{Content: "y"})
	long := strings.Repeat("a", memory.MaxContent+1)
	for name, c := range map[string]struct {
		change memory.Change
		hint   string
	}{
		"empty content":     {memory.Create{Content: " \n\v"}, "e.g."},
		"long content":      {memory.Create{Content: long}, "split it"},
		"not UTF-8":         {memory.Create{Content: "\xff"}, "text"},
		"confidence":        {memory.Create{Content: "x", Confidence: ptr(1.5)}, "from 0 to 1"},
		"metadata":          {memory.Create{Content: "x", Metadata: []byte(`[1]`)}, `{"page": 12}`},
		"broken metadata":   {memory.Create{Content: "x", Metadata: []byte(`{`)}, `{"page": 12}`},
		"tags":              {memory.Create{Content: "x", Tags: make([]string, 200)}, "most telling"},
		"line break in tag": {memory.Create{Content: "x", Tags: []string{"a\nb"}}, "one line"},
		"period":            {memory.Create{Content: "x", ValidFrom: time.Unix(2, 0), ValidTo: time.Unix(1, 0)}, "swap"},
		"empty update":      {memory.Update{ID: id, Content: ptr("")}, "e.g."},
		"update period":     {memory.Update{ID: id, ValidFrom: ptr(time.Unix(2, 0)), ValidTo: ptr(time.Unix(1, 0))}, "swap"},
		"weight":            {memory.SetLink{Link: memory.Link{From: id, To: other, Relation: "r", Weight: 2}}, "from 0 to 1"},
		"no relation":       {memory.SetLink{Link: memory.Link{From: id, To: other, Weight: 1}}, "e.g."},
		"self link":         {memory.SetLink{Link: memory.Link{From: id, To: id, Relation: "r", Weight: 1}}, "two different"},
		"group kind":        {memory.SetGroup{Kind: "shelf", Name: "x"}, "context or collection"},
	} {
		t.Run(name, func(t *testing.T) {
			before := digest(t, ctx, s)
			_, err := s.Do(ctx, memory.Mutation{Changes: []memory.Change{c.change}})
			wantHint(t, err, memory.ErrInvalid, c.hint)
			if digest(t, ctx, s) != before {
				t.Error("something was changed")
			}
		})
	}
	_, err := s.Do(ctx, memory.Mutation{})
	wantHint(t, err, memory.ErrInvalid, "at least one")
	_, err = s.Do(ctx, memory.Mutation{Changes: make([]memory.Change, 0)})
	wantHint(t, err, memory.ErrInvalid, "at least one")
	_, err = s.Do(ctx, memory.Mutation{Changes: slices.Repeat([]memory.Change{memory.Forget{ID: id}}, memory.MaxBatch+1)})
	wantHint(t, err, memory.ErrInvalid, "split")
}

func TestForgetRestoreHistory(t *testing.T) {
	ctx, s := open(t, memory.Options{})
	id := create(t, ctx, s, memory.Create{Content: "version one"})
	do(t, ctx, s, memory.Update{ID: id, Content: ptr("version two"), Tags: ptr([]string{"t"})})
	do(t, ctx, s, memory.Forget{ID: id})
	if _, missing, err := s.Get(ctx, []string{id}, memory.GetOptions{}); err != nil || len(missing) != 1 {
		t.Fatalf("forgotten engram: missing %v, err %v", missing, err)
	}
	if hits := search(t, ctx, s, "version"); len(hits) != 0 {
		t.Error("a forgotten engram was found")
	}
	do(t, ctx, s, memory.Restore{ID: id})
	if e := get(t, ctx, s, id); e.Content != "version two" || e.Version != 4 {
		t.Errorf("restored: %+v", e)
	}
	do(t, ctx, s, memory.Restore{ID: id, Version: 1})
	if e := get(t, ctx, s, id); e.Content != "version one" || e.Tags != nil {
		t.Errorf("restored to version 1: %+v", e)
	}
	if hits := search(t, ctx, s, "one"); !slices.Contains(hits, id) {
		t.Error("a restored engram was not found")
	}
	versions, next, err := s.History(ctx, id, "", 3)
	if err != nil || next == "" || len(versions) != 3 {
		t.Fatalf("history: %d versions, next %q, err %v", len(versions), next, err)
	}
	rest, next, err := s.History(ctx, id, next, 3)
	if err != nil || next != "" {
		t.Fatal(next, err)
	}
	var got []string
	for _, v := range append(versions, rest...) {
		got = append(got, v.Change)
	}
	if want := []string{"restore", "restore", "forget", "update", "create"}; !slices.Equal(got, want) {
		t.Errorf("history is %v, want %v", got, want)
	}
	_, err = s.Do(ctx, memory.Mutation{Changes: []memory.Change{memory.Restore{ID: id, Version: 99}}})
	wantHint(t, err, memory.ErrNotFound, "engram_history")
}

func TestExpiry(t *testing.T) {
	ctx, s := open(t, memory.Options{})
	id := create(t, ctx, s, memory.Create{Content: "short lived", TTL: time.Hour})
	stays := create(t, ctx, s, memory.Create{Content: "long lived"})
	if got := search(t, ctx, s, "lived"); len(got) != 2 {
		t.Fatalf("before: %v", got)
	}
	do(t, ctx, s, memory.Update{ID: id, ExpiresAt: ptr(time.Now().Add(-time.Second))})
	if got := search(t, ctx, s, "lived"); !slices.Equal(got, []string{stays}) {
		t.Errorf("after: %v", got)
	}
	if _, missing, _ := s.Get(ctx, []string{id}, memory.GetOptions{}); len(missing) != 1 {
		t.Error("an expired engram was read")
	}
	if _, err := s.Do(ctx, memory.Mutation{Changes: []memory.Change{memory.Update{ID: id, Content: ptr("x")}}}); err == nil {
		t.Error("an expired engram was updated")
	}
	do(t, ctx, s, memory.Restore{ID: id})
	if e := get(t, ctx, s, id); !e.ExpiresAt.IsZero() {
		t.Error("restored, but still expiring")
	}
}

func TestContextHasAnOrder(t *testing.T) {
	ctx, s := open(t, memory.Options{})
	var ids []string
	for i, day := range []int{3, 1, 2} {
		ids = append(ids, create(t, ctx, s, memory.Create{Content: strings.Repeat("x", i+1), Context: "diary", ValidFrom: time.Date(2026, 1, day, 0, 0, 0, 0, time.UTC)}))
	}
	middle := get(t, ctx, s, ids[2])
	if middle.Previous != ids[1] || middle.Next != ids[0] {
		t.Errorf("previous %s next %s, want %s %s", middle.Previous, middle.Next, ids[1], ids[0])
	}
	do(t, ctx, s, memory.Forget{ID: ids[2]})
	if e := get(t, ctx, s, ids[1]); e.Next != ids[0] {
		t.Errorf("next after a forgotten one is %q, want %s", e.Next, ids[0])
	}
}

func TestLinksAndWalks(t *testing.T) {
	ctx, s := open(t, memory.Options{})
	id := map[string]string{}
	for _, n := range []string{"a", "b", "c", "d", "lone"} {
		id[n] = create(t, ctx, s, memory.Create{Content: "node " + n})
	}
	link := func(from, to, rel string, w float64) memory.Change {
		return memory.SetLink{Link: memory.Link{From: id[from], To: id[to], Relation: rel, Weight: w}}
	}
	do(t, ctx, s, link("a", "b", "knows", 1), link("b", "c", "knows", .5), link("d", "c", "part_of", 1), link("a", "b", "likes", .3))
	do(t, ctx, s, link("a", "b", "knows", .9)) // again: the weight changes
	walk := func(w memory.Walk) (names []string, links int) {
		t.Helper()
		g, err := s.Walk(ctx, w)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range g.Engrams {
			names = append(names, strings.TrimPrefix(e.Content, "node "))
		}
		return names, len(g.Links)
	}
	for name, c := range map[string]struct {
		walk  memory.Walk
		want  []string
		links int
	}{
		"neighbours":      {memory.Walk{Start: []string{id["b"]}}, []string{"b", "a", "c"}, 3},
		"one relation":    {memory.Walk{Start: []string{id["b"]}, Relations: []string{"likes"}}, []string{"b", "a"}, 1},
		"path":            {memory.Walk{Start: []string{id["a"]}, To: id["d"], Mode: memory.Path}, []string{"a", "b", "c", "d"}, 4},
		"no path":         {memory.Walk{Start: []string{id["a"]}, To: id["lone"], Mode: memory.Path}, nil, 0},
		"path too short":  {memory.Walk{Start: []string{id["a"]}, To: id["d"], Mode: memory.Path, Depth: 2}, nil, 0},
		"subgraph":        {memory.Walk{Start: []string{id["a"]}, Mode: memory.Subgraph}, []string{"a", "b", "c"}, 3},
		"limited":         {memory.Walk{Start: []string{id["b"]}, Limit: 1}, []string{"b", "a"}, 2},
		"path to itself":  {memory.Walk{Start: []string{id["a"]}, To: id["a"], Mode: memory.Path}, []string{"a"}, 0},
		"lonely subgraph": {memory.Walk{Start: []string{id["lone"]}, Mode: memory.Subgraph, Depth: 9}, []string{"lone"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			if got, links := walk(c.walk); !slices.Equal(got, c.want) || links != c.links {
				t.Errorf("got %v and %d links, want %v and %d", got, links, c.want, c.links)
			}
		})
	}
	if e := get(t, ctx, s, id["a"]); len(e.Links) != 2 || e.Links[0].Weight != .9 {
		t.Errorf("links of a: %+v", e.Links)
	}
	do(t, ctx, s, memory.Unlink{From: id["a"], To: id["b"]})
	if got, _ := walk(memory.Walk{Start: []string{id["a"]}}); len(got) != 1 {
		t.Errorf("after unlink: %v", got)
	}
	_, err := s.Do(ctx, memory.Mutation{Changes: []memory.Change{memory.Unlink{From: id["a"], To: id["b"]}}})
	wantHint(t, err, memory.ErrNotFound, "include_links")
	do(t, ctx, s, link("a", "b", "knows", 1))
	if got, _ := walk(memory.Walk{Start: []string{id["a"]}}); len(got) != 2 {
		t.Errorf("after linking again: %v", got)
	}
	for _, w := range []memory.Walk{{}, {Start: []string{id["a"]}, Mode: "fly"}, {Start: []string{id["a"]}, Mode: memory.Path}, {Start: []string{id["a"]}, Depth: 11}, {Start: []string{id["a"]}, Limit: 999}} {
		if _, err := s.Walk(ctx, w); err == nil {
			t.Errorf("%+v was accepted", w)
		} else {
			wantHint(t, err, memory.ErrInvalid, "")
		}
	}
}

func TestAccessCountsComeFromGetAlone(t *testing.T) {
	dir := t.TempDir()
	ctx, s := reopen(t, dir, memory.Options{})
	id := create(t, ctx, s, memory.Create{Content: "counted"})
	search(t, ctx, s, "counted")
	for range 3 {
		get(t, ctx, s, id)
	}
	before := get(t, ctx, s, id)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, s = reopen(t, dir, memory.Options{})
	e := get(t, ctx, s, id)
	if before.AccessCount != 0 || e.AccessCount != 4 || e.LastAccessed.IsZero() {
		t.Errorf("count %d before the flush, %d after, last %v; want 0 and 4", before.AccessCount, e.AccessCount, e.LastAccessed)
	}
	if e.Version != 1 {
		t.Errorf("reading made version %d", e.Version)
	}
}

func TestQuota(t *testing.T) {
	ctx, s := open(t, memory.Options{Quota: memory.Quota{Engrams: 2, Bytes: 100}})
	create(t, ctx, s, memory.Create{Content: "one"})
	id := create(t, ctx, s, memory.Create{Content: "two"})
	_, err := s.Do(ctx, memory.Mutation{Changes: []memory.Change{memory.Create{Content: "three"}}})
	wantHint(t, err, memory.ErrQuota, "raise the quota")
	_, err = s.Do(ctx, memory.Mutation{Changes: []memory.Change{memory.Update{ID: id, Content: ptr(strings.Repeat("x", 100))}}})
	wantHint(t, err, memory.ErrQuota, "purge")
	do(t, ctx, s, memory.Purge{ID: id})
	create(t, ctx, s, memory.Create{Content: "three"})
}

func TestCancelledBeforeItRan(t *testing.T) {
	ctx, s := open(t, memory.Options{})
	before := digest(t, ctx, s)
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := s.Do(gone, memory.Mutation{Changes: []memory.Change{memory.Create{Content: "x"}}}); err == nil {
		t.Error("a cancelled mutation was acknowledged")
	}
	if digest(t, ctx, s) != before {
		t.Error("a cancelled mutation was made")
	}
}

func TestClosed(t *testing.T) {
	ctx, s := open(t, memory.Options{})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error("second close:", err)
	}
	_, err := s.Do(ctx, memory.Mutation{Changes: []memory.Change{memory.Create{Content: "x"}}})
	wantHint(t, err, memory.ErrClosed, "try again")
	_, _, err = s.Get(ctx, []string{uuid.NewString()}, memory.GetOptions{})
	wantHint(t, err, memory.ErrClosed, "try again")
}

package memory_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"engram-mcp/memory"

	"github.com/google/uuid"
)

// A purge leaves no byte of the content in any file, whatever happened to the
// engram before.
func TestPurgeErases(t *testing.T) {
	dir := t.TempDir()
	ctx, s := reopen(t, dir, memory.Options{Durability: memory.Normal})
	words := []string{"zanzibarite", "quixotical", "oldsecretword", "tagsecretword", "metasecret", "linksecret"}
	other := create(t, ctx, s, memory.Create{Content: "stays"})
	m := memory.Mutation{RequestID: uuid.NewString(), Changes: []memory.Change{memory.Create{Content: "oldsecretword here", Tags: []string{"tagsecretword"}, Metadata: []byte(`{"k":"metasecret"}`),
		Links: []memory.Link{{To: other, Relation: "r", Metadata: []byte(`{"m":"linksecret"}`)}}}}}
	out, err := s.Do(ctx, m)
	if err != nil {
		t.Fatal(err)
	}
	id := out[0].Engram.ID
	do(t, ctx, s, memory.Update{ID: id, Content: ptr("zanzibarite quixotical")})
	for i := range 300 { // other things happen, segments are merged, pages are freed
		create(t, ctx, s, memory.Create{Content: string(bytes.Repeat([]byte{byte('a' + i%26)}, 200)), AllowDuplicate: true})
	}
	do(t, ctx, s, memory.Forget{ID: id}, memory.Restore{ID: id})
	late, err := s.Ops(ctx, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	do(t, ctx, s, memory.Purge{ID: id})
	noTrace := func() {
		t.Helper()
		files, _ := filepath.Glob(filepath.Join(dir, "*"))
		for _, f := range files {
			data, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			for _, w := range words {
				if bytes.Contains(bytes.ToLower(data), []byte(w[:8])) {
					t.Errorf("%s still holds %q", filepath.Base(f), w)
				}
			}
		}
	}
	noTrace()
	if _, missing, _ := s.Get(ctx, []string{id}, memory.GetOptions{}); len(missing) != 1 {
		t.Error("a purged engram was read")
	}
	if _, _, err := s.History(ctx, id, "", 0); err == nil {
		t.Error("a purged engram has a history")
	}
	if got, err := s.Do(ctx, m); err != nil || got[0].Engram.ID != id || got[0].Engram.Content != "" {
		t.Errorf("the repeated request: %+v, %v", got, err)
	}

	// A late copy of its ops, at a store that has the purge, leaves no trace.
	ctx2, s2 := reopen(t, dir+"2", memory.Options{Durability: memory.Normal})
	dir += "2"
	ops, err := s.Ops(ctx, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, batch := range [][]memory.Entry{ops[len(ops)-1:], late, ops} {
		var list []memory.Op
		for _, e := range batch {
			list = append(list, e.Op)
		}
		if _, err := s2.Apply(ctx2, list); err != nil {
			t.Fatal(err)
		}
	}
	if digest(t, ctx, s) != digest(t, ctx2, s2) {
		t.Error("the stores differ")
	}
	noTrace()
}

func TestMaintain(t *testing.T) {
	ctx, s := open(t, memory.Options{Durability: memory.Normal})
	expired := create(t, ctx, s, memory.Create{Content: "expired", ExpiresAt: time.Now().Add(time.Millisecond)})
	forgotten := create(t, ctx, s, memory.Create{Content: "forgotten"})
	busy := create(t, ctx, s, memory.Create{Content: "v1"})
	do(t, ctx, s, memory.Forget{ID: forgotten})
	for _, text := range []string{"v2", "v3", "v4"} {
		do(t, ctx, s, memory.Update{ID: busy, Content: ptr(text)})
	}
	for range 20 {
		get(t, ctx, s, busy)
	}
	time.Sleep(10 * time.Millisecond)
	p := memory.Policy{PurgeExpired: time.Millisecond, PurgeForgotten: time.Millisecond, CompactHistory: time.Millisecond, Reinforce: true}
	want := memory.Maintained{Purged: 2, Compacted: 2, Reinforced: 1}
	before := digest(t, ctx, s)
	dry, err := s.Maintain(ctx, p, true)
	if err != nil || dry != want {
		t.Fatalf("dry run: %+v, %v, want %+v", dry, err, want)
	}
	if v, _, _ := s.History(ctx, busy, "", 0); len(v) != 4 || v[1].Compacted {
		t.Error("the dry run compacted")
	}
	got, err := s.Maintain(ctx, p, false)
	got.FreedBytes = 0
	if err != nil || got != want {
		t.Fatalf("got %+v, %v, want %+v", got, err, want)
	}
	if digest(t, ctx, s) == before {
		t.Error("maintenance changed nothing")
	}
	versions, _, err := s.History(ctx, busy, "", 0)
	if err != nil {
		t.Fatal(err)
	}
	var compacted []bool
	for _, v := range versions {
		compacted = append(compacted, v.Compacted)
	}
	if !slices.Equal(compacted, []bool{false, false, true, true, false}) { // reinforced, v4, v3, v2, v1
		t.Errorf("compacted: %v", compacted)
	}
	e := get(t, ctx, s, busy)
	if e.Content != "v4" || e.Version != 5 || e.Importance <= .5 || e.Importance > .95 {
		t.Errorf("after maintenance: %+v", e)
	}
	for _, id := range []string{expired, forgotten} {
		if _, err := s.Do(ctx, memory.Mutation{Changes: []memory.Change{memory.Restore{ID: id}}}); err == nil {
			t.Error("a purged engram was restored")
		}
	}
	if again, err := s.Maintain(ctx, p, false); err != nil || again.Purged+again.Compacted+again.Reinforced != 0 {
		t.Errorf("a second run did %+v, %v", again, err)
	}
}

package memory_test

import (
	"context"
	"errors"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"engram-mcp/memory"

	"github.com/google/go-cmp/cmp"
)

// open opens a fresh store whose caller, in the context that comes with it,
// owns it.
func open(t testing.TB, o memory.Options) (context.Context, *memory.Store) {
	t.Helper()
	return reopen(t, t.TempDir(), o)
}

func reopen(t testing.TB, dir string, o memory.Options) (context.Context, *memory.Store) {
	t.Helper()
	s, err := memory.Open(t.Context(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return as(t, "owner", memory.Owner), s
}

func as(t testing.TB, name string, r memory.Rights) context.Context {
	return memory.WithPrincipal(t.Context(), memory.Principal{Space: "default", Name: name, Rights: r})
}

// do makes changes that must work.
func do(t testing.TB, ctx context.Context, s *memory.Store, changes ...memory.Change) []memory.Result {
	t.Helper()
	out, err := s.Do(ctx, memory.Mutation{Changes: changes})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// create remembers content and returns its id.
func create(t testing.TB, ctx context.Context, s *memory.Store, c memory.Create) string {
	t.Helper()
	return do(t, ctx, s, c)[0].Engram.ID
}

func get(t testing.TB, ctx context.Context, s *memory.Store, id string) memory.Engram {
	t.Helper()
	found, missing, err := s.Get(ctx, []string{id}, memory.GetOptions{Links: true})
	if err != nil || len(missing) > 0 {
		t.Fatalf("get %s: missing %v, err %v", id, missing, err)
	}
	return found[0]
}

func search(t testing.TB, ctx context.Context, s *memory.Store, text string) []string {
	t.Helper()
	f, err := s.Search(ctx, memory.Query{Text: text})
	if err != nil {
		t.Fatalf("search %q: %v", text, err)
	}
	ids := []string{}
	for _, h := range f.Hits {
		ids = append(ids, h.ID)
	}
	return ids
}

// wantHint checks that err is of a kind and carries a remedy that says what.
func wantHint(t testing.TB, err, kind error, hint string) {
	t.Helper()
	var e *memory.Error
	if !errors.Is(err, kind) || !errors.As(err, &e) || !strings.Contains(e.Hint, hint) {
		t.Errorf("got error %v, want %v with a hint that says %q", err, kind, hint)
		if e != nil {
			t.Logf("hint: %s", e.Hint)
		}
	}
}

func digest(t testing.TB, ctx context.Context, s *memory.Store) [32]byte {
	t.Helper()
	d, err := s.Digest(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func ptr[T any](v T) *T { return &v }

func TestCreateGetRoundTrip(t *testing.T) {
	ctx, s := open(t, memory.Options{})
	when := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	c := memory.Create{Content: "Ada prefers tea", Kind: "preference", Source: "ada", Confidence: ptr(.8), Importance: ptr(.9),
		Tags: []string{"drink", "drink"}, Metadata: []byte(`{"page": 12, "big": 9007199254740993}`), Context: "kitchen", Collections: []string{"people", "habits"},
		ValidFrom: when, ValidTo: when.Add(time.Hour), ExpiresAt: when.AddDate(10, 0, 0)}
	e := get(t, ctx, s, create(t, ctx, s, c))
	want := memory.Engram{ID: e.ID, Content: c.Content, Kind: c.Kind, Source: c.Source, Author: "owner", Trust: memory.TrustAgent, Confidence: .8, Importance: .9,
		Tags: []string{"drink"}, Metadata: []byte(`{"page":12,"big":9007199254740993}`), Context: "kitchen", Collections: []string{"habits", "people"},
		ValidFrom: c.ValidFrom, ValidTo: c.ValidTo, ExpiresAt: c.ExpiresAt, CreatedAt: e.CreatedAt, UpdatedAt: e.UpdatedAt, Version: 1}
	diffEngram(t, want, e)
	if d := time.Since(e.CreatedAt); d < 0 || d > time.Minute {
		t.Errorf("created_at is %v ago", d)
	}
}

func TestGetIsBoundedInBytes(t *testing.T) {
	ctx, s := open(t, memory.Options{})
	var ids []string
	for i := range 5 {
		ids = append(ids, create(t, ctx, s, memory.Create{Content: strings.Repeat(strconv.Itoa(i), memory.MaxPageBytes/4)}))
	}
	if got, _, err := s.Get(ctx, ids[:4], memory.GetOptions{}); err != nil || len(got) != 4 {
		t.Errorf("as much as goes: %d engrams, %v", len(got), err)
	}
	var told *memory.Error
	if _, _, err := s.Get(ctx, ids, memory.GetOptions{}); !errors.As(err, &told) || !errors.Is(err, memory.ErrInvalid) || told.Hint != "give fewer ids at once" {
		t.Errorf("more than that: %v", err)
	}
}

func TestDefaults(t *testing.T) {
	ctx, s := open(t, memory.Options{})
	e := get(t, ctx, s, create(t, ctx, s, memory.Create{Content: "x"}))
	if e.Kind != memory.DefaultKind || e.Confidence != 1 || e.Importance != .5 || e.Context != "" || !e.ValidFrom.IsZero() {
		t.Errorf("got %+v", e)
	}
}

func TestOpenedFilesAreNothingStray(t *testing.T) {
	dir := t.TempDir()
	ctx, s := reopen(t, dir, memory.Options{})
	create(t, ctx, s, memory.Create{Content: "x"})
	names, _ := filepath.Glob(filepath.Join(dir, "*"))
	for _, n := range names {
		if base := filepath.Base(n); base != "engram.db" && base != "engram.db-wal" && base != "engram.db-shm" {
			t.Errorf("stray file %s", base)
		}
	}
}

// Many reads that are all the first of their kind need more connections than
// there are, if one waits for a second while it holds its first.
func TestManyFirstReadsAtOnce(t *testing.T) {
	for range 5 {
		ctx, s := open(t, memory.Options{})
		id := create(t, ctx, s, memory.Create{Content: "seen by many"})
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		errs := make(chan error)
		const readers = 200
		for i := range readers {
			go func() {
				_, _, err := s.Get(ctx, []string{id}, memory.GetOptions{Links: i%2 == 0})
				if i%3 == 0 && err == nil {
					_, err = s.Stats(ctx)
				}
				errs <- err
			}()
		}
		for range readers {
			if err := <-errs; err != nil {
				t.Fatal(err)
			}
		}
	}
}

func diffEngram(t testing.TB, want, got memory.Engram) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("engram differs (-want +got):\n%s", d)
	}
}

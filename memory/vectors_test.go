package memory_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"engram-mcp/memory"
)

// bag embeds a text as the set of its words' first letters, so that "apple"
// and "avocado" mean the same.
type bag struct {
	name  string
	down  atomic.Bool
	calls atomic.Int64
}

func (b *bag) ID() string { return b.name }
func (b *bag) Dim() int   { return 32 }

func (b *bag) Embed(ctx context.Context, texts []string) ([][]float32, error) {
	b.calls.Add(1)
	if b.down.Load() {
		return nil, errors.New("connection refused")
	}
	out := make([][]float32, len(texts))
	for i, text := range texts {
		v := make([]float32, 32)
		for _, w := range strings.Fields(strings.ToLower(text)) {
			h := fnv.New32()
			h.Write([]byte(b.name + w[:1]))
			v[h.Sum32()%31]++
		}
		v[31] = .01 // never zero
		var sum float64
		for _, x := range v {
			sum += float64(x * x)
		}
		for j := range v {
			v[j] /= float32(math.Sqrt(sum))
		}
		out[i] = v
	}
	return out, nil
}

// scan is an Index that looks at everything.
type scan struct {
	mu   sync.Mutex
	vecs map[int64][]float32
}

func newScan(int) (memory.Index, error) { return &scan{vecs: map[int64][]float32{}}, nil }

func (x *scan) Put(_ context.Context, rows []int64, vecs [][]float32) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	for i, row := range rows {
		x.vecs[row] = vecs[i]
	}
	return nil
}

func (x *scan) Delete(_ context.Context, rows []int64) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, row := range rows {
		delete(x.vecs, row)
	}
	return nil
}

func (x *scan) Nearest(_ context.Context, vec []float32, k int, allow []uint64) (rows []int64, scores []float32, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	score := map[int64]float32{}
	for row, v := range x.vecs {
		if allow != nil && (int(row/64) >= len(allow) || allow[row/64]>>(row%64)&1 == 0) {
			continue
		}
		for i := range v {
			score[row] += v[i] * vec[i]
		}
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b int64) int { return cmp.Or(cmp.Compare(score[b], score[a]), cmp.Compare(a, b)) })
	rows = rows[:min(k, len(rows))]
	for _, row := range rows {
		scores = append(scores, score[row])
	}
	return rows, scores, nil
}

// eventually waits for what the background does.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if f() {
			return
		}
	}
	t.Fatal("never happened:", what)
}

func TestSearchByMeaning(t *testing.T) {
	for _, local := range []bool{true, false} {
		t.Run(fmt.Sprint("local ", local), func(t *testing.T) {
			ctx, s := open(t, memory.Options{Embedder: &bag{name: "m1"}, Index: newScan, Local: local})
			id := create(t, ctx, s, memory.Create{Content: "apple"})
			gone := create(t, ctx, s, memory.Create{Content: "apricot"})
			moved := create(t, ctx, s, memory.Create{Content: "almond"})
			create(t, ctx, s, memory.Create{Content: "zebra"})
			do(t, ctx, s, memory.Forget{ID: gone}, memory.Update{ID: moved, Content: ptr("walnut")})
			find := func() []string {
				f, err := s.Search(ctx, memory.Query{Text: "avocado", Mode: memory.Vector, Limit: 1})
				if err != nil {
					t.Fatal(err)
				}
				var out []string
				for _, h := range f.Hits {
					out = append(out, h.ID)
				}
				return out
			}
			eventually(t, "the apple is found by meaning", func() bool { return slices.Equal(find(), []string{id}) })
			do(t, ctx, s, memory.Restore{ID: gone}, memory.Purge{ID: id})
			eventually(t, "the restored one is found", func() bool { return slices.Equal(find(), []string{gone}) })
			eventually(t, "nothing is pending", func() bool { st, _ := s.Stats(ctx); return st.Pending == 0 && st.Embedded == 3 })
		})
	}
}

func TestVectorsOfAnotherProcess(t *testing.T) {
	dir := t.TempDir()
	o := memory.Options{Embedder: &bag{name: "m1"}, Index: newScan, Local: true}
	ctx, a := reopen(t, dir, o)
	_, b := reopen(t, dir, o)
	id := create(t, ctx, a, memory.Create{Content: "apple"})
	eventually(t, "b finds what a wrote", func() bool { return slices.Contains(search(t, ctx, b, "avocado"), id) })
	do(t, ctx, b, memory.Forget{ID: id})
	if got := search(t, ctx, a, "avocado"); slices.Contains(got, id) {
		t.Error("a still finds what b forgot")
	}
}

// A failing embedder holds up nothing, and its work is done when it is back.
func TestEmbedderDown(t *testing.T) {
	e := &bag{name: "m1"}
	e.down.Store(true)
	ctx, s := open(t, memory.Options{Embedder: e, Index: newScan})
	id := create(t, ctx, s, memory.Create{Content: "apple tree"})
	eventually(t, "the embedder is asked", func() bool { return e.calls.Load() > 0 })
	f, err := s.Search(ctx, memory.Query{Text: "tree"})
	if err != nil || len(f.Hits) != 1 || f.Hits[0].ID != id {
		t.Fatalf("text search: %+v, %v", f, err)
	}
	eventually(t, "the fault is reported", func() bool {
		problems, err := s.Check(ctx)
		return err == nil && slices.ContainsFunc(problems, func(p memory.Problem) bool { return strings.Contains(p.What, "embedder") && p.Hint != "" })
	})
	f, err = s.Search(ctx, memory.Query{Text: "tree"})
	if err != nil || len(f.Notes) == 0 || !strings.Contains(f.Notes[0], "words only") {
		t.Errorf("notes: %q, %v", f.Notes, err)
	}
	e.down.Store(false)
	eventually(t, "found by meaning again", func() bool { return slices.Contains(search(t, ctx, s, "avocado"), id) })
}

// Changing the model re-embeds in the background; search goes by words until
// every engram has its vector, across a restart in the middle, then switches.
func TestModelChange(t *testing.T) {
	dir := t.TempDir()
	ctx, s := reopen(t, dir, memory.Options{Embedder: &bag{name: "m1"}, Index: newScan, Local: true})
	var ids []string
	for i := range 200 {
		ids = append(ids, create(t, ctx, s, memory.Create{Content: fmt.Sprint("apple ", i)}))
	}
	eventually(t, "m1 is complete", func() bool { st, _ := s.Stats(ctx); return st.Pending == 0 && st.Model == "m1" })
	s.Close()

	// A program that only passes by leaves the model alone.
	ctx, s = reopen(t, dir, memory.Options{Embedder: &bag{name: "m9"}, Index: newScan, KeepModel: true})
	f, err := s.Search(ctx, memory.Query{Text: "apple"})
	if err != nil || len(f.Hits) == 0 || len(f.Notes) == 0 || !strings.Contains(f.Notes[0], "another embedding model") {
		t.Errorf("passing by: %d hits, notes %q, %v", len(f.Hits), f.Notes, err)
	}
	s.Close()

	slow := &bag{name: "m2"}
	slow.down.Store(true)
	ctx, s = reopen(t, dir, memory.Options{Embedder: slow, Index: newScan})
	eventually(t, "m2 is adopted", func() bool { st, _ := s.Stats(ctx); return st.Model == "m2" && st.Pending == 200 })
	s.Close() // in the middle

	ctx, s = reopen(t, dir, memory.Options{Embedder: &bag{name: "m2"}, Index: newScan})
	eventually(t, "m2 is complete", func() bool { st, _ := s.Stats(ctx); return st.Pending == 0 })
	eventually(t, "search has switched", func() bool {
		f, err := s.Search(ctx, memory.Query{Text: "avocado", Mode: memory.Vector})
		return err == nil && len(f.Hits) == 10 && len(f.Notes) == 0
	})
	healthy(t, ctx, s)
	present(t, ctx, s, ids)
}

// Filters and rights hold for meaning too, however many others are nearer.
func TestMeaningWithinFilters(t *testing.T) {
	ctx, s := open(t, memory.Options{Embedder: &bag{name: "m1"}, Index: newScan, Local: true, Durability: memory.Normal})
	for i := range 300 {
		create(t, ctx, s, memory.Create{Content: fmt.Sprint("apple ", i), Context: "crowd"})
	}
	id := create(t, ctx, s, memory.Create{Content: "apple bread zucchini", Context: "quiet"})
	do(t, ctx, s, memory.SetGroup{Kind: memory.Context, Name: "crowd", Readers: ptr([]string{"alice"})})
	for name, q := range map[string]memory.Query{
		"filter": {Text: "avocado", Filter: memory.Filter{Context: "quiet"}},
		"rights": {Text: "avocado"},
	} {
		who := ctx
		if name == "rights" {
			who = as(t, "bob", memory.Read)
		}
		eventually(t, name, func() bool {
			f, err := s.Search(who, q)
			if err != nil {
				t.Fatal(err)
			}
			return len(f.Hits) == 1 && f.Hits[0].ID == id
		})
	}
}

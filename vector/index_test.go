package vector

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// The store declares what it needs of an index and of an embedder in its own
// words; these are they.
var (
	_ interface {
		Put(ctx context.Context, rows []int64, vecs [][]float32) error
		Delete(ctx context.Context, rows []int64) error
		Nearest(ctx context.Context, vec []float32, k int, allow []uint64) (rows []int64, scores []float32, err error)
	} = (*Index)(nil)
	_ = []Embedder{None{}, (*Static)(nil), (*Remote)(nil), (*Cached)(nil)}
)

// newIndex returns an empty index that uses the given kernel.
func newIndex(t testing.TB, dim int, dot kernel) *Index {
	t.Helper()
	ix, err := NewIndex(dim)
	if err != nil {
		t.Fatal(err)
	}
	ix.dot = dot
	return ix
}

// bothKernels runs a test with the best kernel of this machine and with the
// portable one.
func bothKernels(t *testing.T, test func(t *testing.T, dot kernel)) {
	t.Run("fastest", func(t *testing.T) { test(t, fastest()) })
	t.Run("portable", func(t *testing.T) { test(t, dotGo) })
}

// model is the index as its documentation describes it, without any cleverness.
type model map[int64][]float32

func (m model) nearest(vec []float32, k int, allow []uint64) (rows []int64, scores []float32) {
	vec = unit(vec, length(vec))
	var hits []hit
	for row, v := range m {
		if allow == nil || row/64 < int64(len(allow)) && allow[row/64]&(1<<(row%64)) != 0 {
			hits = append(hits, hit{score: cosine(vec, unit(v, length(v))), row: row})
		}
	}
	slices.SortFunc(hits, compare)
	for _, h := range hits[:max(0, min(k, len(hits)))] {
		rows, scores = append(rows, h.row), append(scores, h.score)
	}
	return rows, scores
}

// The index answers as the model does after any sequence of puts, updates,
// deletes and reuses of rows, with and without filters. No more rows are held
// than fit a shortlist, so not even a rare miss is excused.
func TestIndexAgreesWithModel(t *testing.T) {
	bothKernels(t, func(t *testing.T, dot kernel) {
		rapid.Check(t, func(t *rapid.T) {
			dim := rapid.IntRange(1, 70).Draw(t, "dim")
			vec := rapid.Custom(func(t *rapid.T) []float32 {
				v := rapid.SliceOfN(rapid.Float32Range(-4, 4), dim, dim).Draw(t, "vector")
				if length(v) == 0 {
					v[0] = 1
				}
				return v
			})
			row := rapid.Map(rapid.Int64Range(0, minShortlist-1), func(n int64) int64 { return 5 * n })
			ctx := context.Background()
			ix, err := NewIndex(dim)
			if err != nil {
				t.Fatal(err)
			}
			ix.dot = dot
			held := model{}
			t.Repeat(map[string]func(*rapid.T){
				"put": func(t *rapid.T) {
					rows := rapid.SliceOfN(row, 0, 8).Draw(t, "rows")
					vecs := rapid.SliceOfN(vec, len(rows), len(rows)).Draw(t, "vecs")
					if err := ix.Put(ctx, rows, vecs); err != nil {
						t.Fatal(err)
					}
					for i, r := range rows {
						held[r] = vecs[i]
					}
				},
				"delete": func(t *rapid.T) {
					rows := rapid.SliceOfN(row, 0, 8).Draw(t, "rows")
					if err := ix.Delete(ctx, rows); err != nil {
						t.Fatal(err)
					}
					for _, r := range rows {
						delete(held, r)
					}
				},
				"": func(t *rapid.T) {
					if got, docs := ix.Stats().Vectors, ix.docs.Count(); got != len(held) || docs != len(held) {
						t.Fatalf("holds %d vectors and %d documents, want %d", got, docs, len(held))
					}
					q := vec.Draw(t, "query")
					k := rapid.IntRange(-1, 40).Draw(t, "k")
					var allow []uint64
					if rapid.Bool().Draw(t, "filtered") {
						allow = rapid.SliceOfN(rapid.Uint64(), 0, 5).Draw(t, "allow")
					}
					rows, scores, err := ix.Nearest(ctx, q, k, allow)
					if err != nil {
						t.Fatal(err)
					}
					wantRows, wantScores := held.nearest(q, k, allow)
					if diff := cmp.Diff(wantRows, rows, cmpopts.EquateEmpty()); diff != "" {
						t.Fatalf("rows (-want +got):\n%s", diff)
					}
					if diff := cmp.Diff(wantScores, scores, cmpopts.EquateEmpty()); diff != "" {
						t.Fatalf("scores (-want +got):\n%s", diff)
					}
				},
			})
		})
	})
}

func TestPutRefusesWhatHasNoPlace(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, test := range []struct {
		name string
		rows []int64
		vecs [][]float32
	}{
		{"fewer vectors than rows", []int64{1, 2}, [][]float32{{1, 0}}},
		{"negative row", []int64{-1}, [][]float32{{1, 0}}},
		{"short vector", []int64{1}, [][]float32{{1}}},
		{"long vector", []int64{1}, [][]float32{{1, 0, 0}}},
		{"nil vector", []int64{1}, [][]float32{nil}},
		{"zero vector", []int64{1}, [][]float32{{0, 0}}},
		{"NaN", []int64{1}, [][]float32{{1, nan}}},
		{"infinity", []int64{1}, [][]float32{{inf, 1}}},
		{"bad one last", []int64{1, 2}, [][]float32{{1, 0}, {0, 0}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			ix := newIndex(t, 2, fastest())
			err := ix.Put(context.Background(), test.rows, test.vecs)
			if !errors.Is(err, ErrInvalid) {
				t.Fatalf("got %v, want ErrInvalid", err)
			}
			var e *Error
			if !errors.As(err, &e) || e.Hint == "" {
				t.Errorf("%#v has no hint", err)
			}
			if n := ix.Stats().Vectors; n != 0 {
				t.Errorf("a refused Put left %d vectors", n)
			}
		})
	}
}

func TestPutTakesExtremeButFiniteVectors(t *testing.T) {
	bothKernels(t, func(t *testing.T, dot kernel) {
		ix := newIndex(t, 3, dot)
		ctx := context.Background()
		vecs := [][]float32{
			{math.MaxFloat32, math.MaxFloat32, 0},
			{0, math.SmallestNonzeroFloat32, 0},
			{0, 0, -1e-30},
		}
		if err := ix.Put(ctx, []int64{0, 1, 2}, vecs); err != nil {
			t.Fatal(err)
		}
		for want, v := range vecs {
			rows, scores, err := ix.Nearest(ctx, v, 1, nil)
			if err != nil {
				t.Fatal(err)
			}
			if rows[0] != int64(want) || scores[0] < 1-1e-6 {
				t.Errorf("nearest to %v: row %d, score %v", v, rows[0], scores[0])
			}
		}
	})
}

func TestNearestRefusesWhatHasNoDirection(t *testing.T) {
	ix := newIndex(t, 2, fastest())
	for _, v := range [][]float32{nil, {1}, {0, 0}, {float32(math.NaN()), 1}, {float32(math.Inf(-1)), 1}} {
		if _, _, err := ix.Nearest(context.Background(), v, 1, nil); !errors.Is(err, ErrInvalid) {
			t.Errorf("Nearest(%v): got %v, want ErrInvalid", v, err)
		}
	}
}

func TestNewIndexRefusesSillyDimensions(t *testing.T) {
	for _, dim := range []int{-1, 0, MaxDim + 1} {
		if _, err := NewIndex(dim); !errors.Is(err, ErrInvalid) {
			t.Errorf("NewIndex(%d): got %v, want ErrInvalid", dim, err)
		}
	}
}

func TestTiesGoByRowWhateverTheOrderOfPuts(t *testing.T) {
	bothKernels(t, func(t *testing.T, dot kernel) {
		ctx := context.Background()
		rows := rand.New(rand.NewPCG(1, 1)).Perm(1000)
		ix := newIndex(t, 4, dot)
		for _, row := range rows {
			if err := ix.Put(ctx, []int64{int64(row)}, [][]float32{{1, 2, 3, 4}}); err != nil {
				t.Fatal(err)
			}
		}
		got, _, err := ix.Nearest(ctx, []float32{4, 3, 2, 1}, 5, nil)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]int64{0, 1, 2, 3, 4}, got); diff != "" {
			t.Errorf("rows (-want +got):\n%s", diff)
		}
	})
}

// The caller may do with its slices what it likes, before and after.
func TestVectorsAreCopied(t *testing.T) {
	ctx := context.Background()
	ix := newIndex(t, 2, fastest())
	v := []float32{1, 0} // of unit length already: chromem itself would keep the slice
	if err := ix.Put(ctx, []int64{7}, [][]float32{v}); err != nil {
		t.Fatal(err)
	}
	v[0], v[1] = 0, 1
	rows, scores, err := ix.Nearest(ctx, []float32{1, 0}, 1, nil)
	if err != nil || rows[0] != 7 || scores[0] != 1 {
		t.Errorf("got %v %v %v, want row 7 with score 1", rows, scores, err)
	}
}

func TestEndedContextStopsEverything(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	ix := newIndex(t, 2, fastest())
	if err := ix.Put(ctx, []int64{1}, [][]float32{{1, 0}}); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := ix.Put(ctx, []int64{2}, [][]float32{{1, 0}}); !errors.Is(err, context.Canceled) {
		t.Errorf("Put: %v", err)
	}
	if err := ix.Delete(ctx, []int64{1}); !errors.Is(err, context.Canceled) {
		t.Errorf("Delete: %v", err)
	}
	if _, _, err := ix.Nearest(ctx, []float32{1, 0}, 1, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("Nearest: %v", err)
	}
	if n := ix.Stats().Vectors; n != 1 {
		t.Errorf("%d vectors, want 1", n)
	}
}

// data draws vectors of one distribution.
type data struct {
	name string
	draw func() []float32
}

// distributions returns what embeddings look like: points around centres, with
// some directions much stronger than others, and the worst case, noise.
func distributions(dim int) []data {
	r := rand.New(rand.NewPCG(7, uint64(dim)))
	strength := make([]float64, dim)
	for i := range strength {
		strength[i] = 1 / math.Sqrt(1+float64(i)/8)
	}
	noise := func(scale func(i int) float64) []float32 {
		v := make([]float32, dim)
		for i := range v {
			v[i] = float32(r.NormFloat64() * scale(i))
		}
		return v
	}
	centres := make([][]float32, 1000)
	for i := range centres {
		centres[i] = noise(func(i int) float64 { return strength[i] })
	}
	return []data{
		{"clustered", func() []float32 {
			v := noise(func(i int) float64 { return .9 * strength[i] })
			for i, x := range centres[int(float64(len(centres))*r.Float64()*r.Float64())] {
				v[i] += x
			}
			return v
		}},
		{"gaussian", func() []float32 { return noise(func(int) float64 { return 1 }) }},
	}
}

func TestRecall(t *testing.T) {
	count, queries := 10_000, 20
	if testing.Short() {
		count, queries = 3_000, 10
	}
	const dim = 256
	ctx := context.Background()
	for _, d := range distributions(dim) {
		t.Run(d.name, func(t *testing.T) {
			rows, vecs := make([]int64, count), make([][]float32, count)
			held := model{}
			for i := range rows {
				v := d.draw()
				rows[i], vecs[i] = int64(i), unit(v, length(v))
				held[rows[i]] = vecs[i]
			}
			ix, portable := newIndex(t, dim, fastest()), newIndex(t, dim, dotGo)
			for _, x := range []*Index{ix, portable} {
				if err := x.Put(ctx, rows, vecs); err != nil {
					t.Fatal(err)
				}
			}
			found := map[int]int{10: 0, 100: 0}
			for range queries {
				q := d.draw()
				truth, _ := held.nearest(q, 100, nil)
				for k := range found {
					got, scores, err := ix.Nearest(ctx, q, k, nil)
					if err != nil {
						t.Fatal(err)
					}
					for _, row := range got {
						if slices.Contains(truth[:k], row) {
							found[k]++
						}
					}
					sameRows, sameScores, err := portable.Nearest(ctx, q, k, nil)
					if err != nil {
						t.Fatal(err)
					}
					if !slices.Equal(got, sameRows) || !slices.Equal(scores, sameScores) {
						t.Fatal("the kernels disagree")
					}
				}
			}
			for k, n := range found {
				recall := float64(n) / float64(k*queries)
				t.Logf("%d vectors, recall@%d %.4f", count, k, recall)
				if recall < .99 {
					t.Errorf("recall@%d is %.4f, want .99", k, recall)
				}
			}
		})
	}
}

// Every machine answers with the same bits: codes, shortlists and scores depend
// on no kernel and on no fused multiply-add.
func TestSameBitsOnEveryMachine(t *testing.T) {
	bothKernels(t, func(t *testing.T, dot kernel) {
		ctx := context.Background()
		const dim, count = 100, 500
		r := rand.New(rand.NewPCG(11, 12))
		draw := func() []float32 {
			v := make([]float32, dim)
			for i := range v {
				v[i] = r.Float32() - .5
			}
			return v
		}
		ix := newIndex(t, dim, dot)
		for row := range int64(count) {
			if err := ix.Put(ctx, []int64{row}, [][]float32{draw()}); err != nil {
				t.Fatal(err)
			}
		}
		sum := fnv.New64a()
		for range 50 {
			rows, scores, err := ix.Nearest(ctx, draw(), 20, nil)
			if err != nil {
				t.Fatal(err)
			}
			for i := range rows {
				fmt.Fprintln(sum, rows[i], math.Float32bits(scores[i]))
			}
		}
		if got, want := sum.Sum64(), uint64(0xf4f39e78c7a3068d); got != want {
			t.Errorf("answers sum up to %#x, want %#x", got, want)
		}
	})
}

// The exact scores are chromem's, up to its rounding, and so is their order.
func TestAgreesWithChromem(t *testing.T) {
	ctx := context.Background()
	const dim, k = 64, 20
	ix := newIndex(t, dim, fastest())
	draw := distributions(dim)[0].draw
	for row := range int64(2000) {
		if err := ix.Put(ctx, []int64{row}, [][]float32{draw()}); err != nil {
			t.Fatal(err)
		}
	}
	for range 20 {
		q := draw()
		rows, scores, err := ix.Nearest(ctx, q, k, nil)
		if err != nil {
			t.Fatal(err)
		}
		want, err := ix.docs.QueryEmbedding(ctx, q, k, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i, w := range want {
			if math.Abs(float64(w.Similarity-scores[i])) > 1e-6 {
				t.Errorf("place %d: score %v of row %d, chromem has %v of row %s", i, scores[i], rows[i], w.Similarity, w.ID)
			}
		}
	}
}

// A search beside puts and deletes sees each row whole: as it was or as it
// will be, and rows that nobody touches all the time.
func TestSearchesBesideChanges(t *testing.T) {
	ctx := context.Background()
	const dim, still, moving = 32, 300, 300
	ix := newIndex(t, dim, fastest())
	r := rand.New(rand.NewPCG(3, 3))
	draw := func() []float32 {
		v := make([]float32, dim)
		for i := range v {
			v[i] = float32(r.NormFloat64())
		}
		return v
	}
	var rows []int64
	var versions [2][][]float32
	for row := range int64(still + moving) {
		rows = append(rows, row)
		v := draw()
		versions[0] = append(versions[0], v)
		if row >= still {
			v = draw()
		}
		versions[1] = append(versions[1], v)
	}
	if err := ix.Put(ctx, rows[:still], versions[0][:still]); err != nil {
		t.Fatal(err)
	}

	done := make(chan struct{})
	var writers, readers sync.WaitGroup
	for g := range 2 {
		writers.Go(func() {
			mine := rows[still+g*moving/2:][:moving/2]
			for i := range 100 {
				vecs := versions[i%2][mine[0]:][:len(mine)]
				if err := ix.Put(ctx, mine, vecs); err != nil {
					t.Error(err)
				}
				if err := ix.Delete(ctx, mine[i%len(mine):]); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for g := range 2 {
		readers.Go(func() {
			for i := g; ; i++ {
				select {
				case <-done:
					return
				default:
				}
				q := versions[0][i%still]
				found, scores, err := ix.Nearest(ctx, q, 50, nil)
				if err != nil || len(found) != 50 || found[0] != int64(i%still) {
					t.Errorf("row %d: found %v, %v", i%still, found, err)
					return
				}
				u := unit(q, length(q))
				for j, row := range found {
					a, b := versions[0][row], versions[1][row]
					if s := scores[j]; s != cosine(u, unit(a, length(a))) && s != cosine(u, unit(b, length(b))) {
						t.Errorf("row %d has score %v, of no version of it", row, s)
					}
				}
			}
		})
	}
	writers.Wait()
	close(done)
	readers.Wait()
}

func TestStatsCountTheMemory(t *testing.T) {
	ctx := context.Background()
	const dim, count = 128, 20_000
	draw := distributions(dim)[1].draw
	before := heapInUse()
	ix := newIndex(t, dim, fastest())
	for row := range int64(count) {
		if err := ix.Put(ctx, []int64{row * 7}, [][]float32{draw()}); err != nil {
			t.Fatal(err)
		}
	}
	taken := float64(heapInUse() - before)
	stats := ix.Stats()
	if stats.Vectors != count || stats.Dim != dim {
		t.Errorf("%+v", stats)
	}
	if off := float64(stats.Bytes) / taken; off < .85 || off > 1.15 {
		t.Errorf("Stats says %d bytes, the heap grew by %.0f", stats.Bytes, taken)
	}
	var rows []int64
	for row := range int64(count) {
		rows = append(rows, row*7)
	}
	if err := ix.Delete(ctx, rows); err != nil {
		t.Fatal(err)
	}
	if stats := ix.Stats(); stats != (Stats{Dim: dim}) {
		t.Errorf("after deleting everything: %+v", stats)
	}
}

func ExampleIndex() {
	ctx := context.Background()
	ix, err := NewIndex(2)
	if err != nil {
		panic(err)
	}
	if err := ix.Put(ctx, []int64{1, 2, 3}, [][]float32{{1, 0}, {0, 1}, {1, 1}}); err != nil {
		panic(err)
	}
	rows, scores, err := ix.Nearest(ctx, []float32{2, 1}, 2, nil)
	if err != nil {
		panic(err)
	}
	fmt.Println(rows)
	fmt.Printf("%.3f\n", scores)
	// Output:
	// [3 1]
	// [0.949 0.894]
}

package memory_test

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"engram-mcp/memory"
	"engram-mcp/vector"
)

// The benchmarks print what the README states: figures at a size, and the same
// work on a bare SQLite beside it. Run them with
//
//	go test ./memory -run '^$' -bench Store -benchtime 1x
//
// ENGRAM_BENCH_SIZES=10000,100000 chooses the sizes.
func benchSizes() []int {
	text := os.Getenv("ENGRAM_BENCH_SIZES")
	if text == "" {
		text = "10000"
	}
	var sizes []int
	for s := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(s)
		if err != nil {
			panic("ENGRAM_BENCH_SIZES: " + err.Error())
		}
		sizes = append(sizes, n)
	}
	return sizes
}

// sentence is about 15 words with the skew of language: few words are common.
func sentence(r *rand.Rand) string {
	words := make([]string, 12+r.IntN(7))
	for i := range words {
		words[i] = "w" + strconv.Itoa(int(20000*r.Float64()*r.Float64()*r.Float64()))
	}
	return strings.Join(words, " ")
}

func fill(b *testing.B, ctx context.Context, s *memory.Store, n int, r *rand.Rand) (ids []string, took time.Duration) {
	b.Helper()
	start := time.Now()
	for len(ids) < n {
		var m memory.Mutation
		for range min(500, n-len(ids)) {
			m.Changes = append(m.Changes, memory.Create{Content: sentence(r), Source: "bench", Context: "c" + strconv.Itoa(r.IntN(200))})
		}
		out, err := s.Do(ctx, m)
		if err != nil {
			b.Fatal(err)
		}
		for _, x := range out {
			ids = append(ids, x.Engram.ID)
		}
	}
	return ids, time.Since(start)
}

// quantiles runs f n times and returns the median and the 99th percentile.
func quantiles(n int, f func(i int)) (p50, p99 time.Duration) {
	took := make([]time.Duration, n)
	for i := range took {
		start := time.Now()
		f(i)
		took[i] = time.Since(start)
	}
	slices.Sort(took)
	return took[n/2], took[n*99/100]
}

func us(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }

func BenchmarkStore(b *testing.B) {
	for _, size := range benchSizes() {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			for range b.N {
				benchStore(b, size)
			}
		})
	}
}

func benchStore(b *testing.B, size int) {
	r := rand.New(rand.NewPCG(1, 2))
	dir := b.TempDir()
	ctx, s := reopen(b, dir, memory.Options{Durability: memory.Normal})
	ids, took := fill(b, ctx, s, size, r)
	fmt.Printf("%d engrams: bulk create %.0f/s\n", size, float64(size)/took.Seconds())
	bare := newBare(b, r, size)
	one := func(s *memory.Store) func(int) {
		return func(int) {
			if _, err := s.Do(ctx, memory.Mutation{Changes: []memory.Change{memory.Create{Content: sentence(r), Source: "bench"}}}); err != nil {
				b.Fatal(err)
			}
		}
	}
	line := func(what string, p50, p99, bare time.Duration) {
		fmt.Printf("%d engrams: %-24s p50 %8.1f µs  p99 %8.1f µs  bare SQLite p50 %8.1f µs  ratio %.2f\n", size, what, us(p50), us(p99), us(bare), us(p50)/us(bare))
	}
	p50, p99 := quantiles(1000, one(s))
	base, _ := quantiles(1000, func(int) { bare.insert(b, false) })
	line("create, normal", p50, p99, base)
	s.Close()
	ctx, s = reopen(b, dir, memory.Options{})
	p50, p99 = quantiles(500, one(s))
	base, _ = quantiles(500, func(int) { bare.insert(b, true) })
	line("create, full", p50, p99, base)
	fmt.Printf("%d engrams: create, full, 16 callers %.0f/s\n", size, parallel(16, 4000, func() { one(s)(0) }))
	p50, p99 = quantiles(2000, func(i int) {
		if _, _, err := s.Get(ctx, []string{ids[i*7919%len(ids)]}, memory.GetOptions{}); err != nil {
			b.Fatal(err)
		}
	})
	base, _ = quantiles(2000, func(i int) { bare.get(b, i*7919%size+1) })
	line("get", p50, p99, base)
	queries := make([]string, 200)
	for i := range queries {
		queries[i] = strings.Join(strings.Fields(sentence(r))[:4], " ")
	}
	p50, p99 = quantiles(len(queries), func(i int) {
		if _, err := s.Search(ctx, memory.Query{Text: queries[i], Mode: memory.Text}); err != nil {
			b.Fatal(err)
		}
	})
	base, _ = quantiles(len(queries), func(i int) { bare.search(b, queries[i]) })
	line("search, text", p50, p99, base)
	s.Close()
	benchHybrid(b, dir, size, queries)
	runtime.GC()
	fmt.Printf("%d engrams: resident %s\n", size, resident())
}

// benchHybrid adds meaning: the embedder that the program has built in.
func benchHybrid(b *testing.B, dir string, size int, queries []string) {
	table, err := vector.NewStatic()
	if err != nil {
		b.Fatal(err)
	}
	start := time.Now()
	o := memory.Options{Embedder: table, Lexicon: table, Local: true, Index: func(dim int) (memory.Index, error) { return vector.NewIndex(dim) }, IndexWait: time.Hour}
	ctx, s := reopen(b, dir, o)
	for st, err := s.Stats(ctx); err != nil || st.Pending > 0 || st.Model == ""; st, err = s.Stats(ctx) {
		time.Sleep(10 * time.Millisecond)
	}
	fmt.Printf("%d engrams: all embedded after %v\n", size, time.Since(start).Round(time.Millisecond))
	s.Close()
	start = time.Now()
	ctx, s = reopen(b, dir, o)
	search := func(i int) {
		if f, err := s.Search(ctx, memory.Query{Text: queries[i]}); err != nil || len(f.Notes) > 0 {
			b.Fatal(f.Notes, err)
		}
	}
	search(0)
	fmt.Printf("%d engrams: open, load vectors and first search %v\n", size, time.Since(start).Round(time.Millisecond))
	p50, p99 := quantiles(len(queries), search)
	fmt.Printf("%d engrams: %-24s p50 %8.1f µs  p99 %8.1f µs\n", size, "search, hybrid", us(p50), us(p99))
	p50, p99 = quantiles(1000, func(int) {
		if _, err := s.Do(ctx, memory.Mutation{Changes: []memory.Change{memory.Create{Content: sentence(rand.New(rand.NewPCG(3, 4))), AllowDuplicate: true}}}); err != nil {
			b.Fatal(err)
		}
	})
	fmt.Printf("%d engrams: %-24s p50 %8.1f µs  p99 %8.1f µs\n", size, "create, full, embedded", us(p50), us(p99))
}

func parallel(callers, n int, f func()) (perSecond float64) {
	var wg sync.WaitGroup
	start := time.Now()
	for range callers {
		wg.Go(func() {
			for range n / callers {
				f()
			}
		})
	}
	wg.Wait()
	return float64(n) / time.Since(start).Seconds()
}

func resident() string {
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return "unknown here"
	}
	for line := range strings.SplitSeq(string(data), "\n") {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			return strings.TrimSpace(rest)
		}
	}
	return "unknown here"
}

// bareSQLite is the same work without a memory around it: a row, its words in
// FTS5, one transaction.
type bareSQLite struct {
	db *sql.DB
	r  *rand.Rand
}

func newBare(b *testing.B, r *rand.Rand, size int) *bareSQLite {
	b.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(b.TempDir(), "bare.db")+"?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_txlock=immediate")
	if err != nil {
		b.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	b.Cleanup(func() { db.Close() })
	x := &bareSQLite{db, r}
	x.exec(b, `CREATE TABLE item (row INTEGER PRIMARY KEY, content TEXT); CREATE VIRTUAL TABLE w USING fts5(content, content='')`)
	tx, err := db.Begin()
	if err != nil {
		b.Fatal(err)
	}
	for range size {
		x.insertTx(b, tx)
	}
	if err := tx.Commit(); err != nil {
		b.Fatal(err)
	}
	return x
}

func (x *bareSQLite) exec(b *testing.B, q string) {
	if _, err := x.db.Exec(q); err != nil {
		b.Fatal(err)
	}
}

func (x *bareSQLite) insertTx(b *testing.B, tx *sql.Tx) {
	text := sentence(x.r)
	res, err := tx.Exec(`INSERT INTO item (content) VALUES (?)`, text)
	if err == nil {
		var row int64
		if row, err = res.LastInsertId(); err == nil {
			_, err = tx.Exec(`INSERT INTO w (rowid, content) VALUES (?, ?)`, row, text)
		}
	}
	if err != nil {
		b.Fatal(err)
	}
}

func (x *bareSQLite) insert(b *testing.B, full bool) {
	if full {
		x.exec(b, `PRAGMA synchronous = FULL`)
	}
	tx, err := x.db.Begin()
	if err != nil {
		b.Fatal(err)
	}
	x.insertTx(b, tx)
	if err := tx.Commit(); err != nil {
		b.Fatal(err)
	}
}

func (x *bareSQLite) get(b *testing.B, row int) {
	var text string
	if err := x.db.QueryRow(`SELECT content FROM item WHERE row = ?`, row).Scan(&text); err != nil {
		b.Fatal(err)
	}
}

func (x *bareSQLite) search(b *testing.B, query string) {
	rows, err := x.db.Query(`SELECT rowid FROM w WHERE w MATCH ? ORDER BY rank LIMIT 10`, strings.ReplaceAll(query, " ", " OR "))
	if err != nil {
		b.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
	}
	if rows.Err() != nil {
		b.Fatal(rows.Err())
	}
}

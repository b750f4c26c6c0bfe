package vector

import (
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	_ "modernc.org/sqlite"
	_ "modernc.org/sqlite/vec"
)

const millionVar = "ENGRAM_BENCH_MILLION"

// BenchmarkNearest searches the same vectors with the index, with its portable
// kernel, and with what one would use instead, and logs one table for each
// number of vectors: median times, their ratio to the index, and how many of
// the true ten nearest were found. With ENGRAM_BENCH_MILLION=1 it adds a
// million vectors, which takes some 4 GB and a few minutes.
//
//	go test ./vector -run - -bench Nearest -benchtime 1x -v
func BenchmarkNearest(b *testing.B) {
	counts := []int{1_000, 10_000, 100_000}
	if os.Getenv(millionVar) != "" {
		counts = append(counts, 1_000_000)
	}
	for _, count := range counts {
		b.Run(fmt.Sprint(count), func(b *testing.B) {
			s := newSetting(b, count)
			for b.Loop() {
				s.compare(b)
			}
		})
	}
}

// setting is the same vectors in every engine.
type setting struct {
	dim     int
	flat    []float32
	queries [][]float32
	index   *Index
	db      *sql.DB
	load    time.Duration // of the index
	heap    uint64        // taken by the index
}

func newSetting(b *testing.B, count int) *setting {
	s := &setting{dim: 256}
	clustered := distributions(s.dim)[0]
	s.flat = make([]float32, 0, count*s.dim)
	for range count {
		v := clustered.draw()
		s.flat = append(s.flat, unit(v, length(v))...)
	}
	for range 100 {
		v := clustered.draw()
		s.queries = append(s.queries, unit(v, length(v)))
	}

	before := heapInUse()
	start := time.Now()
	s.index = newIndex(b, s.dim, fastest())
	const step = 1000
	rows, vecs := make([]int64, step), make([][]float32, step)
	for from := 0; from < count; from += step {
		for i := range rows {
			rows[i], vecs[i] = int64(from+i), s.row(from+i)
		}
		if err := s.index.Put(context.Background(), rows, vecs); err != nil {
			b.Fatal(err)
		}
	}
	s.load = time.Since(start)
	s.heap = heapInUse() - before
	s.openSQLite(b)
	return s
}

func heapInUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func (s *setting) row(i int) []float32 { return s.flat[i*s.dim:][:s.dim] }

func (s *setting) openSQLite(b *testing.B) {
	db, err := sql.Open("sqlite", filepath.Join(b.TempDir(), "vec.db")+"?_pragma=synchronous(OFF)")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { db.Close() })
	s.db = db
	tx, err := db.Begin()
	if err != nil {
		b.Fatal(err)
	}
	if _, err := tx.Exec(fmt.Sprintf("CREATE VIRTUAL TABLE v USING vec0(e float[%d])", s.dim)); err != nil {
		b.Fatal(err)
	}
	insert, err := tx.Prepare("INSERT INTO v(rowid, e) VALUES(?, ?)")
	if err != nil {
		b.Fatal(err)
	}
	defer insert.Close()
	for i := range len(s.flat) / s.dim {
		if _, err := insert.Exec(i, blob(s.row(i))); err != nil {
			b.Fatal(err)
		}
	}
	if err := tx.Commit(); err != nil {
		b.Fatal(err)
	}
}

func blob(v []float32) []byte {
	b := make([]byte, 0, len(v)*4)
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return b
}

func (s *setting) compare(b *testing.B) {
	ctx := context.Background()
	count := len(s.flat) / s.dim
	half, few := every(2, count), every(32, count)
	portable := &Index{dim: s.dim, dot: dotGo, docs: s.index.docs, slot: s.index.slot}
	engines := []struct {
		name    string
		every   int // one row in so many is allowed
		nearest func(q []float32) ([]int64, error)
	}{
		{"index", 1, func(q []float32) ([]int64, error) {
			rows, _, err := s.index.Nearest(ctx, q, 10, nil)
			return rows, err
		}},
		{"index, top 100", 1, func(q []float32) ([]int64, error) {
			rows, _, err := s.index.Nearest(ctx, q, 100, nil)
			return rows, err
		}},
		{"index, 1 of 2 allowed", 2, func(q []float32) ([]int64, error) {
			rows, _, err := s.index.Nearest(ctx, q, 10, half)
			return rows, err
		}},
		{"index, 1 of 32 allowed", 32, func(q []float32) ([]int64, error) {
			rows, _, err := s.index.Nearest(ctx, q, 10, few)
			return rows, err
		}},
		{"index, portable kernel", 1, func(q []float32) ([]int64, error) {
			rows, _, err := portable.Nearest(ctx, q, 10, nil)
			return rows, err
		}},
		{"float32 scan", 1, func(q []float32) ([]int64, error) { return s.scan(q, 1), nil }},
		{"chromem Query", 1, func(q []float32) ([]int64, error) {
			found, err := s.index.docs.QueryEmbedding(ctx, q, 10, nil, nil)
			var rows []int64
			for _, f := range found {
				var row int64
				fmt.Sscan(f.ID, &row)
				rows = append(rows, row)
			}
			return rows, err
		}},
		{"sqlite-vec", 1, s.query},
	}
	truth := map[int][][]int64{} // by every
	for _, n := range []int{1, 2, 32} {
		for _, q := range s.queries {
			truth[n] = append(truth[n], s.scan(q, n))
		}
	}
	b.Logf("%d vectors of dimension %d: loaded in %v, %d bytes each (%d by Stats)",
		count, s.dim, s.load.Round(time.Millisecond), s.heap/uint64(count), s.index.Stats().Bytes/int64(count))
	var base time.Duration
	for _, e := range engines {
		var times []time.Duration
		found := 0
		queries := s.queries
		if count > 100_000 && e.name != "index" {
			queries = queries[:20]
		}
		mallocs := allocated()
		for i, q := range queries {
			start := time.Now()
			rows, err := e.nearest(q)
			times = append(times, time.Since(start))
			if err != nil {
				b.Fatalf("%s: %v", e.name, err)
			}
			for _, row := range truth[e.every][i] {
				if slices.Contains(rows, row) {
					found++
				}
			}
		}
		mallocs = allocated() - mallocs
		slices.Sort(times)
		p50 := times[len(times)/2]
		if base == 0 {
			base = p50
			b.ReportMetric(float64(p50.Nanoseconds())/1e6, "p50-ms")
		}
		b.Logf("%-26s min %9.3f ms  p50 %9.3f ms  x%-8.1f recall@10 %.3f  %7d B/query", e.name,
			ms(times[0]), ms(p50), float64(p50)/float64(base),
			float64(found)/float64(10*len(queries)), mallocs/uint64(len(queries)))
	}
}

func ms(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// every returns a filter that allows one row in n.
func every(n, count int) []uint64 {
	allow := make([]uint64, count/64+1)
	for row := 0; row < count; row += n {
		allow[row/64] |= 1 << (row % 64)
	}
	return allow
}

// scan is what a plain search costs: one vector in n with four float32 sums at
// a time, and the best ten of them.
func (s *setting) scan(q []float32, n int) []int64 {
	best := newTop(10)
	for i := 0; i < len(s.flat)/s.dim; i += n {
		v := s.row(i)[:len(q)]
		var s0, s1, s2, s3 float32
		for j := 0; j+4 <= len(q); j += 4 {
			s0 += q[j] * v[j]
			s1 += q[j+1] * v[j+1]
			s2 += q[j+2] * v[j+2]
			s3 += q[j+3] * v[j+3]
		}
		best.offer(hit{score: s0 + s1 + s2 + s3, row: int64(i)})
	}
	var rows []int64
	for _, h := range best.sorted() {
		rows = append(rows, h.row)
	}
	return rows
}

func (s *setting) query(q []float32) ([]int64, error) {
	found, err := s.db.Query("SELECT rowid FROM v WHERE e MATCH ? AND k = 10 ORDER BY distance", blob(q))
	if err != nil {
		return nil, err
	}
	defer found.Close()
	var rows []int64
	for found.Next() {
		var row int64
		if err := found.Scan(&row); err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, found.Err()
}

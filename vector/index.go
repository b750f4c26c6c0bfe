package vector

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"sync"

	chromem "github.com/philippgille/chromem-go"
)

// MaxDim is the largest dimension of a vector that this package takes.
const MaxDim = 8192

const (
	// batch is how many rows Put and Delete change under one lock.
	batch = 256

	// minShortlist is the least number of candidates, if there are so many,
	// that a scan of the codes hands to the exact scores.
	minShortlist = 64
)

// Index finds the vectors nearest to a given one by cosine similarity. It lives
// in memory and is derived from data kept elsewhere; nothing is ever written to
// disk or sent over the network.
//
// A vector belongs to a row, a non-negative number chosen by the caller, such
// as the rowid of an SQLite table. All methods may be called concurrently.
type Index struct {
	dim int
	dot kernel

	mu   sync.RWMutex
	docs *chromem.Collection // unit vectors by decimal row
	slot slots
}

// NewIndex returns an empty index for vectors of dim components, 1 to [MaxDim].
func NewIndex(dim int) (*Index, error) {
	if dim < 1 || dim > MaxDim {
		return nil, &Error{Op: "index", Kind: ErrInvalid,
			Detail: fmt.Sprintf("dimension %d is not in 1 to %d", dim, MaxDim),
			Hint:   "give the dimension of the embedding model"}
	}
	// Without an embedding function of our own, chromem would quietly send
	// texts to a commercial service.
	docs, err := chromem.NewDB().CreateCollection("vectors", nil, refuseText)
	if err != nil {
		return nil, fmt.Errorf("vector: index: %w", err)
	}
	return &Index{dim: dim, dot: fastest(), docs: docs, slot: newSlots(dim)}, nil
}

func refuseText(context.Context, string) ([]float32, error) {
	return nil, errors.New("the index takes vectors only")
}

// Put sets the vector of each row, vecs[i] for rows[i], replacing those that
// exist; if a row is named twice the last one stands. The vectors are copied.
// They need not be normalised; those of unit length keep their exact values.
//
// If any row or vector is invalid, nothing is changed and the error matches
// [ErrInvalid]. Other goroutines may see some rows of a large Put before the
// others, each row whole. If ctx ends, its error is returned and the rows put
// so far remain; putting the same rows again is harmless.
func (ix *Index) Put(ctx context.Context, rows []int64, vecs [][]float32) error {
	const op = "index put"
	if len(rows) != len(vecs) {
		return invalid(op, fmt.Sprintf("%d rows but %d vectors", len(rows), len(vecs)), "give one vector for each row")
	}
	lengths := make([]float64, len(vecs))
	for i, v := range vecs {
		if rows[i] < 0 {
			return invalid(op, fmt.Sprintf("row %d is negative", rows[i]), "number rows from 0")
		}
		var err error
		if lengths[i], err = ix.check(op, v); err != nil {
			return err
		}
	}
	for len(rows) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(batch, len(rows))
		if err := ix.put(ctx, rows[:n], vecs[:n], lengths[:n]); err != nil {
			return err
		}
		rows, vecs, lengths = rows[n:], vecs[n:], lengths[n:]
	}
	return nil
}

// check returns the length of v if the index can hold v or search for it.
func (ix *Index) check(op string, v []float32) (float64, error) {
	if len(v) != ix.dim {
		return 0, invalid(op, fmt.Sprintf("vector of dimension %d in an index of dimension %d", len(v), ix.dim),
			"embed with the model that the index was made for, or re-embed everything with the new one")
	}
	n := length(v)
	if !usable(n) {
		return 0, invalid(op, "the vector is zero or has components that are not finite numbers",
			"check the embedding model: such a vector has no direction")
	}
	return n, nil
}

// put encodes at most batch checked vectors and then changes them under one lock.
func (ix *Index) put(ctx context.Context, rows []int64, vecs [][]float32, lengths []float64) error {
	docs := make([]chromem.Document, len(rows))
	codes := make([]byte, len(rows)*ix.slot.words*8)
	scales := make([]float32, len(rows))
	for i, v := range vecs {
		docs[i] = chromem.Document{ID: documentID(rows[i]), Embedding: unit(v, lengths[i])}
		scales[i] = quantize(docs[i].Embedding, codes[i*ix.slot.words*8:])
	}
	ix.mu.Lock()
	defer ix.mu.Unlock()
	for i, row := range rows {
		if err := ix.docs.AddDocument(ctx, docs[i]); err != nil {
			return fmt.Errorf("vector: index put: %w", err)
		}
		ix.slot.set(row, codes[i*ix.slot.words*8:][:ix.slot.words*8], scales[i])
	}
	return nil
}

// Delete removes the vectors of rows; rows that have none are ignored. If ctx
// ends, its error is returned and the rows deleted so far stay deleted.
func (ix *Index) Delete(ctx context.Context, rows []int64) error {
	for len(rows) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(batch, len(rows))
		if err := ix.delete(ctx, rows[:n]); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

func (ix *Index) delete(ctx context.Context, rows []int64) error {
	ix.mu.Lock()
	defer ix.mu.Unlock()
	for _, row := range rows {
		if _, ok := ix.slot.of[row]; !ok {
			continue
		}
		// The filters must be nil: chromem ignores ids beside an empty map.
		if err := ix.docs.Delete(ctx, nil, nil, documentID(row)); err != nil {
			return fmt.Errorf("vector: index delete: %w", err)
		}
		ix.slot.remove(row)
	}
	return nil
}

func documentID(row int64) string { return strconv.FormatInt(row, 10) }

// Nearest returns the k rows whose vectors are most similar to vec, best first,
// rows of equal score in ascending order, with their cosine similarities in
// [-1, 1]. There are fewer when the index or the filter leaves fewer, and none
// when k is not positive. The slices belong to the caller.
//
// If allow is not nil, only rows whose bit is set are considered: bit row%64 of
// word row/64; rows beyond its end are not allowed.
//
// Scores are exact, computed in float64 from the full vectors. Which rows
// compete for them is decided by a scan of all 7-bit codes, so a row can be
// missed, rarely, when many others score almost the same. The result depends
// only on the vectors held and the arguments: not on the machine, nor on the
// order in which the vectors were put.
func (ix *Index) Nearest(ctx context.Context, vec []float32, k int, allow []uint64) (rows []int64, scores []float32, err error) {
	n, err := ix.check("index nearest", vec)
	if err != nil {
		return nil, nil, err
	}
	vec = unit(vec, n)
	q := newQuery(vec)

	ix.mu.RLock()
	defer ix.mu.RUnlock()
	k = min(k, ix.slot.count())
	if k <= 0 {
		return nil, nil, ctx.Err()
	}
	shortlist, err := ix.slot.scan(ctx, ix.dot, q, min(max(minShortlist, 2*k), ix.slot.count()), allow)
	if err != nil {
		return nil, nil, err
	}
	hits, err := ix.rank(ctx, vec, q.scale, shortlist, k)
	if err != nil {
		return nil, nil, err
	}
	rows, scores = make([]int64, len(hits)), make([]float32, len(hits))
	for i, h := range hits {
		rows[i], scores[i] = h.row, h.score
	}
	return rows, scores, nil
}

// rank replaces the rough scores of the shortlist by exact ones and returns the
// best k. Documents that are too far behind to catch up are not even read: a
// component's error is spread evenly over one step of its code, so the error of
// a rough score has a deviation of hypot(scale, scale') / sqrt(12), and the sum
// of both scales is between 3.4 and 4.9 deviations.
func (ix *Index) rank(ctx context.Context, vec []float32, scale float32, shortlist []hit, k int) ([]hit, error) {
	best := newTop(min(k, len(shortlist)))
	for _, h := range shortlist {
		if best.full() && h.score+scale+ix.slot.scale(h.slot) < best.hits[0].score {
			continue
		}
		doc, err := ix.docs.GetByID(ctx, documentID(h.row))
		if err != nil {
			return nil, fmt.Errorf("vector: index nearest: row %d: %w", h.row, err)
		}
		h.score = cosine(vec, doc.Embedding)
		best.offer(h)
	}
	return best.sorted(), nil
}

// cosine returns the dot product of two unit vectors. The product of two
// float32 values is exact in float64, so a fused multiply-add, which Go uses on
// some machines, changes nothing: all machines agree on every bit.
func cosine(a, b []float32) float32 {
	b = b[:len(a)]
	var s0, s1, s2, s3 float64
	i := 0
	for ; i+4 <= len(a); i += 4 {
		s0 += float64(a[i]) * float64(b[i])
		s1 += float64(a[i+1]) * float64(b[i+1])
		s2 += float64(a[i+2]) * float64(b[i+2])
		s3 += float64(a[i+3]) * float64(b[i+3])
	}
	for ; i < len(a); i++ {
		s0 += float64(a[i]) * float64(b[i])
	}
	return float32(math.Max(-1, math.Min(1, s0+s1+s2+s3)))
}

// Stats describes an index.
type Stats struct {
	Vectors int   // how many rows have a vector
	Bytes   int64 // memory taken, an estimate within about a tenth
	Dim     int   // components of each vector
}

// Stats returns the size of the index.
func (ix *Index) Stats() Stats {
	ix.mu.RLock()
	defer ix.mu.RUnlock()
	n := ix.slot.count()
	return Stats{Vectors: n, Bytes: int64(n)*(int64(ix.dim)*4+documentBytes) + ix.slot.bytes(), Dim: ix.dim}
}

func invalid(op, detail, hint string) *Error {
	return &Error{Op: op, Kind: ErrInvalid, Detail: detail, Hint: hint}
}

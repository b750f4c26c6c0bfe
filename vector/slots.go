package vector

import (
	"context"
	"encoding/binary"
)

const (
	// chunkRows is how many rows lie in one piece of memory. The index grows
	// and shrinks by such pieces, so that growing copies little and never
	// needs twice the memory.
	chunkRows = 4096

	// block is how many rows a kernel scores in one call.
	block = 256

	// documentBytes is what chromem keeps for a document beside its vector: the
	// document, its id, and its entry in a map at the usual load. slotBytes is
	// an entry of slots.of. Both were measured with a million rows.
	documentBytes = 112
	slotBytes     = 28
)

// slots holds the codes of all vectors, densely: a row that is removed gives
// its slot to the last one, so that there are no holes to skip or to collect.
type slots struct {
	words  int // of 8 codes, in one row
	chunks []*chunk
	of     map[int64]int // slot by row
}

// chunk is chunkRows slots; only the last one may have fewer.
type chunk struct {
	codes  []uint64
	scales []float32
	rows   []int64
}

func newSlots(dim int) slots {
	return slots{words: stride(dim) / 8, of: make(map[int64]int)}
}

func (s *slots) count() int { return len(s.of) }

func (s *slots) at(slot int) (c *chunk, i int) {
	return s.chunks[slot/chunkRows], slot % chunkRows
}

func (s *slots) scale(slot int) float32 {
	c, i := s.at(slot)
	return c.scales[i]
}

// set stores what encodes the vector of row.
func (s *slots) set(row int64, codes []byte, scale float32) {
	slot, ok := s.of[row]
	if !ok {
		slot = s.count()
		s.of[row] = slot
		s.extend(row)
	}
	c, i := s.at(slot)
	c.scales[i] = scale
	words := c.codes[i*s.words:][:s.words]
	for w := range words {
		words[w] = binary.LittleEndian.Uint64(codes[w*8:])
	}
}

// extend adds a slot for row at the end.
func (s *slots) extend(row int64) {
	if len(s.chunks) == 0 || len(s.chunks[len(s.chunks)-1].rows) == chunkRows {
		s.chunks = append(s.chunks, new(chunk))
	}
	c := s.chunks[len(s.chunks)-1]
	n := len(c.rows)
	if n == cap(c.rows) {
		room := min(max(16, 2*n), chunkRows)
		c.codes = append(make([]uint64, 0, room*s.words), c.codes...)
		c.scales = append(make([]float32, 0, room), c.scales...)
		c.rows = append(make([]int64, 0, room), c.rows...)
	}
	c.codes = c.codes[:(n+1)*s.words]
	c.scales = c.scales[:n+1]
	c.rows = append(c.rows, row)
}

// remove gives the slot of row, which must have one, to the last row.
func (s *slots) remove(row int64) {
	last := len(s.chunks) - 1
	from := s.chunks[last]
	n := len(from.rows) - 1
	to, i := s.at(s.of[row])
	copy(to.codes[i*s.words:][:s.words], from.codes[n*s.words:])
	to.scales[i] = from.scales[n]
	to.rows[i] = from.rows[n]
	s.of[to.rows[i]] = s.of[row]
	delete(s.of, row)

	from.codes, from.scales, from.rows = from.codes[:n*s.words], from.scales[:n], from.rows[:n]
	if n == 0 {
		s.chunks[last] = nil
		s.chunks = s.chunks[:last]
	}
}

func (s *slots) bytes() int64 {
	total := int64(len(s.of)) * slotBytes
	for _, c := range s.chunks {
		total += int64(cap(c.codes)*8 + cap(c.scales)*4 + cap(c.rows)*8)
	}
	return total
}

// scan returns the limit allowed rows with the best rough scores, best first.
func (s *slots) scan(ctx context.Context, dot kernel, q *query, limit int, allow []uint64) ([]hit, error) {
	sc := scanner{slots: s, dot: dot, q: q, allow: allow, best: newTop(limit), out: make([]int32, block)}
	for i, c := range s.chunks {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		for lo := 0; lo < len(c.rows); lo += block {
			sc.block(c, i*chunkRows, lo, min(lo+block, len(c.rows)))
		}
	}
	return sc.best.sorted(), nil
}

// scanner is the state of one scan.
type scanner struct {
	*slots
	dot   kernel
	q     *query
	allow []uint64
	best  *top
	out   []int32
}

// block scores the allowed rows among lo to hi of c, whose first slot is base.
// Where a quarter of the rows is allowed it is cheaper to score all of them
// than to pick.
func (sc *scanner) block(c *chunk, base, lo, hi int) {
	if sc.allow == nil {
		sc.score(c, base, lo, hi, true)
		return
	}
	allowed := 0
	for _, row := range c.rows[lo:hi] {
		allowed += sc.allows(row)
	}
	if 4*allowed >= hi-lo {
		sc.score(c, base, lo, hi, false)
		return
	}
	for i := lo; i < hi && allowed > 0; i++ {
		if sc.allows(c.rows[i]) == 1 {
			sc.score(c, base, i, i+1, true)
			allowed--
		}
	}
}

// allows returns 1 if the filter admits row and 0 otherwise.
func (sc *scanner) allows(row int64) int {
	word := row / 64
	if word >= int64(len(sc.allow)) {
		return 0
	}
	return int(sc.allow[word] >> (row % 64) & 1)
}

// score offers the rows lo to hi of c, all of them if all is set, else those
// that are allowed.
func (sc *scanner) score(c *chunk, base, lo, hi int, all bool) {
	out := sc.out[:hi-lo]
	sc.dot(sc.q, c.codes[lo*sc.words:hi*sc.words], out)
	for i, sum := range out {
		score := float32(sum-sc.q.bias) * (c.scales[lo+i] * sc.q.scale)
		if sc.best.full() && score < sc.best.hits[0].score {
			continue
		}
		if row := c.rows[lo+i]; all || sc.allows(row) == 1 {
			sc.best.offer(hit{score: score, row: row, slot: base + lo + i})
		}
	}
}

package vector

import (
	"context"
	_ "embed"
	"encoding/binary"
	"math"
	"math/bits"
	"sync"
)

//go:embed table/words.bin
var embeddedTable []byte

// Static embeds text without a model, a network or a download: it adds up the
// rows of a word table that is part of the binary, each by the weight of its
// word, and scales the sum to unit length. table/NOTICE.md says where the table
// comes from and DISTILL.md what it is worth.
//
// The same text gives the same bits on every machine, since sums are taken over
// integers. The rows stay as they are in the binary; only a map from words to
// rows is built, when it is first needed. A Static is safe for concurrent use.
type Static struct {
	table *table
	load  func() (*contents, error)
}

// NewStatic opens the embedded word table. It looks at no more than the header,
// so it costs next to nothing; Embed and Lookup do the rest when first called.
func NewStatic() (*Static, error) { return newStatic(embeddedTable) }

func newStatic(file []byte) (*Static, error) {
	t, err := openTable(file)
	if err != nil {
		return nil, err
	}
	return &Static{table: t, load: sync.OnceValues(t.read)}, nil
}

// ID names the table, its version and its dimensions. Vectors of two IDs are not comparable.
func (s *Static) ID() string { return s.table.id }

// Dim is the length of every vector.
func (s *Static) Dim() int { return s.table.dim }

// Embed returns one vector of length 1 for each text, in order. The vectors
// belong to the caller. A text without a single word, number or emoji gets the
// table's common direction, so that no vector is zero.
//
// Words that the table does not know, and scripts it has no words of, are placed
// by their spelling: near what is spelled alike, and near nothing else.
// It fails only if ctx is done or the embedded table is damaged.
func (s *Static) Embed(ctx context.Context, texts []string) ([][]float32, error) {
	contents, err := s.load()
	if err != nil {
		return nil, err
	}
	vectors := make([][]float32, len(texts))
	for i, text := range texts {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		sum := sum{table: s.table, rows: contents.rows}
		w := split(text)
		for w.next() {
			sum.word(w.word(), w.class)
		}
		vectors[i] = sum.unit()
	}
	return vectors, nil
}

// Lookup returns the row of a lower-case word as it is written, not stemmed, or
// -1 if the table has none.
func (s *Static) Lookup(word string) int32 {
	contents, err := s.load()
	if err != nil {
		return -1
	}
	if row, ok := contents.rows[word]; ok {
		return row
	}
	return -1
}

// Cosine returns how alike the words of two rows are, -1 to 1; 1 is the same
// word, and two words taken at random are near 0. A row that Lookup never gives
// is like nothing: 0.
func (s *Static) Cosine(a, b int32) float32 {
	contents, err := s.load()
	if err != nil || uint32(a) >= uint32(len(contents.sums)) || uint32(b) >= uint32(len(contents.sums)) {
		return 0
	}
	t := s.table
	dot := dotCodes(t.row(a), t.row(b)) - zero*(contents.sums[a]+contents.sums[b]) + zero*zero*int32(t.dim)
	return float32(float64(dot) * float64(t.scale(a)) * float64(t.scale(b)))
}

// even picks every second byte of eight.
const even = 0x00ff00ff00ff00ff

// dotCodes is the inner product of two rows of codes below 128, whose length is a
// multiple of 16.
//
// It takes four products from one multiplication: of two numbers made of four
// 16-bit digits, the second in reverse, the highest digit of the product is the
// inner product, and codes of 7 bits carry nothing into it (4 * 127 * 127 < 1<<16).
func dotCodes(a, b []uint8) int32 {
	var s0, s1, s2, s3 uint64
	for len(a) >= 16 && len(b) >= 16 {
		x, y := binary.LittleEndian.Uint64(a), bits.ReverseBytes64(binary.LittleEndian.Uint64(b))
		s0 += (x & even) * (y >> 8 & even) >> 48
		s1 += (x >> 8 & even) * (y & even) >> 48
		x, y = binary.LittleEndian.Uint64(a[8:]), bits.ReverseBytes64(binary.LittleEndian.Uint64(b[8:]))
		s2 += (x & even) * (y >> 8 & even) >> 48
		s3 += (x >> 8 & even) * (y & even) >> 48
		a, b = a[16:], b[16:]
	}
	return int32(s0 + s1 + s2 + s3)
}

// fraction is the fixed point of the sums: a weight of 1 is 1<<fraction before a
// row's scale. Values have magnitudes below 2^6, so sums of 2^30 words are exact.
const fraction = 24

func fixed(x float64) int64 { return int64(math.Round(x * (1 << fraction))) }

// sum is the weighted sum of a text's rows.
type sum struct {
	table  *table
	rows   map[string]int32
	values [maxDim]int64
}

// word adds one word by its row, or else by its spelling.
func (s *sum) word(word []byte, class class) {
	if row, ok := find(s.rows, word, class); ok {
		weight := float64(s.table.weight(row))
		s.add(s.table.row(row), fixed(weight*float64(s.table.scale(row))))
		s.addCommon(weight)
		return
	}
	s.addSpelling(word, class)
	s.addCommon(1)
}

func (s *sum) add(codes []uint8, by int64) {
	values := s.values[:len(codes)]
	for i, code := range codes {
		values[i] += (int64(code) - zero) * by
	}
}

// addCommon puts every text a step along the direction that only texts use, and
// rows do not. A text of many unlike words then ends nearer to it, and so further
// from any one of them: this is what keeps long texts from matching everything.
func (s *sum) addCommon(weight float64) { s.values[0] += fixed(weight * s.table.common) }

// addSpelling adds a direction made from the character n-grams of a word: each
// sets a few dimensions that its hash chooses to +1 or -1.
func (s *sum) addSpelling(word []byte, class class) {
	var marks [maxDim]int32
	values := s.values[:s.table.dim]
	eachGram(word, class, func(hash uint64) {
		for range marksPerGram {
			hash = mix(hash)
			marks[1+(hash>>32)%uint64(len(values)-1)] += int32(hash&1)*2 - 1
		}
	})
	var square int64
	for _, mark := range marks {
		square += int64(mark) * int64(mark)
	}
	if square == 0 {
		return
	}
	by := fixed(1 / math.Sqrt(float64(square)))
	for i := range values {
		values[i] += int64(marks[i]) * by
	}
}

// unit returns the sum at length 1. Squares are summed as integers, shifted so
// that they cannot overflow, because a sum of floats depends on the processor.
func (s *sum) unit() []float32 {
	values := s.values[:s.table.dim]
	shift, square := squaredLength(values)
	if square == 0 {
		values[0], square = 1, 1
	}
	scale := 1 / math.Sqrt(float64(square))
	vector := make([]float32, len(values))
	for i, v := range values {
		vector[i] = float32(float64(v>>shift) * scale)
	}
	return vector
}

// squaredLength returns the squared length of v after all its values are shifted right
// so far that each fits in 26 bits.
func squaredLength(v []int64) (shift uint, square uint64) {
	var most int64
	for _, x := range v {
		most = max(most, x, -x)
	}
	for most>>shift >= 1<<26 {
		shift++
	}
	for _, x := range v {
		x >>= shift
		square += uint64(x * x)
	}
	return shift, square
}

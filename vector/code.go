package vector

import "math"

const (
	// level is the largest absolute value of a code. It is seven bits and no
	// more because dotGo needs sums of four products, and the AVX2 kernel sums
	// of two, to fit 16 signed bits: 4 * (2*level) * level < 1<<15.
	level = 63

	// lane is the number of codes that the AVX2 kernel takes at a time; rows of
	// codes are padded to a multiple of it.
	lane = 32
)

// stride returns the number of codes that a vector of dim components takes.
func stride(dim int) int { return (dim + lane - 1) &^ (lane - 1) }

// length returns the Euclidean length of v: 0 for the zero vector, NaN or +Inf
// if any component is not finite. Squares of float32 values neither overflow
// nor vanish in float64.
func length(v []float32) float64 {
	var sum float64
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	return math.Sqrt(sum)
}

// usable says whether a vector of this length has a direction.
func usable(length float64) bool {
	return length > 0 && !math.IsInf(length, 1)
}

// unit returns a copy of v, whose length is given, with length one. A vector
// that already has length one keeps its exact bits, so that what was stored
// normalised scores the same after every reload.
func unit(v []float32, length float64) []float32 {
	u := make([]float32, len(v))
	if math.Abs(length-1) < 1e-6 {
		copy(u, v)
		return u
	}
	for i, x := range v {
		u[i] = float32(float64(x) / length)
	}
	return u
}

// quantize writes the codes round(v[i] / scale), each raised by level so that it
// is unsigned, to codes and returns the scale, which maps the largest component
// onto level. Adding 1.5 * 2^23 leaves a small number, rounded to even, in the
// lowest bits of a float32; the conversion forbids a fused multiply-add, so that
// codes are the same on every machine.
func quantize(v []float32, codes []byte) (scale float32) {
	const sign = 1 << 31
	var peakBits uint32 // without their sign, floats order as their bits do
	for _, x := range v {
		peakBits = max(peakBits, math.Float32bits(x)&^sign)
	}
	peak := math.Float32frombits(peakBits)
	inverse := level / peak
	codes = codes[:len(v)]
	for i, x := range v {
		codes[i] = byte(math.Float32bits(float32(x*inverse)+3<<22)) + level
	}
	return peak / level
}

// query is a vector prepared for both kernels.
type query struct {
	codes     []int8
	even, odd []int64 // the codes once more, as dotGo wants them
	bias      int32   // what raising every code of a row adds to its dot product
	scale     float32
}

// newQuery prepares v, a unit vector.
func newQuery(v []float32) *query {
	n := stride(len(v))
	q := &query{codes: make([]int8, n), even: make([]int64, n/8), odd: make([]int64, n/8)}
	raised := make([]byte, len(v))
	q.scale = quantize(v, raised)
	for i, c := range raised {
		code := int8(c) - level
		q.codes[i] = code
		q.bias += level * int32(code)
		word, shift := i/8, 48-16*(i%8/2)
		if i%2 == 0 {
			q.even[word] += int64(code) << shift
		} else {
			q.odd[word] += int64(code) << shift
		}
	}
	return q
}

// A kernel writes to out the dot products of q with the len(out) packed rows
// that fill rows, each raised by q.bias.
type kernel func(q *query, rows []uint64, out []int32)

// dotGo is the kernel for machines without AVX2: eight components at a time in
// two 64-bit multiplications.
//
// With X = 1<<16, four codes of a row are the polynomial a0 + a1 X + a2 X² +
// a3 X³, and those of the query, in reverse, b3 + b2 X + b1 X² + b0 X³. The
// coefficient of X³ in their product is a0 b0 + a1 b1 + a2 b2 + a3 b3. Higher
// powers fall off the 64 bits; lower ones, less than half of X³ in sum, are
// rounded away. level keeps every coefficient within 16 signed bits.
func dotGo(q *query, rows []uint64, out []int32) {
	const fields, half = 0x00ff00ff00ff00ff, 1 << 47
	n := len(q.even)
	odd := q.odd[:n]
	for r := range out {
		row := rows[r*n:][:n]
		var sum0, sum1 int64
		for i, even := range q.even {
			sum0 += (int64(row[i]&fields)*even + half) >> 48
			sum1 += (int64(row[i]>>8&fields)*odd[i] + half) >> 48
		}
		out[r] = int32(sum0 + sum1)
	}
}

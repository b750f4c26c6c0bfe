package vector

import (
	"encoding/binary"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// codeVector returns a vector whose codes are those given, each taken modulo
// the range of codes, but for the first, which sets the scale to one.
func codeVector(raw []byte) []float32 {
	v := make([]float32, len(raw))
	for i, b := range raw {
		v[i] = float32(int(b)%(2*level+1) - level)
	}
	v[0] = level
	return v
}

// packed returns the codes of v as an index holds them.
func packed(v []float32) []uint64 {
	codes := make([]byte, stride(len(v)))
	quantize(v, codes)
	words := make([]uint64, len(codes)/8)
	for i := range words {
		words[i] = binary.LittleEndian.Uint64(codes[i*8:])
	}
	return words
}

// checkKernels compares both kernels with the definition of a dot product.
func checkKernels(t testing.TB, q []float32, rows [][]float32) {
	t.Helper()
	var codes []uint64
	want := make([]int32, len(rows))
	for r, row := range rows {
		codes = append(codes, packed(row)...)
		for i, x := range row {
			want[r] += int32(x) * int32(q[i])
		}
	}
	prepared := newQuery(q)
	for name, dot := range map[string]kernel{"fastest": fastest(), "portable": dotGo} {
		// Guards on both sides show a kernel that writes past its rows.
		out := make([]int32, len(rows)+2)
		out[0], out[len(rows)+1] = math.MinInt32, math.MinInt32
		dot(prepared, codes, out[1:len(rows)+1])
		if out[0] != math.MinInt32 || out[len(rows)+1] != math.MinInt32 {
			t.Fatalf("%s: wrote outside of its %d results", name, len(rows))
		}
		for r := range rows {
			if got := out[r+1] - prepared.bias; got != want[r] {
				t.Fatalf("%s: dimension %d, row %d of %d: got %d, want %d", name, len(q), r, len(rows), got, want[r])
			}
		}
	}
}

func TestKernelsAreExactAtTheirLimits(t *testing.T) {
	low, high := byte(0), byte(2*level)
	for _, dim := range []int{1, 2, 7, 8, 9, 31, 32, 33, 64, 255, 256, 1024, MaxDim} {
		for _, q := range []byte{low, high} {
			for _, row := range []byte{low, high} {
				for count := range 10 {
					rows := make([][]float32, count)
					for i := range rows {
						rows[i] = codeVector(slices.Repeat([]byte{row}, dim))
					}
					checkKernels(t, codeVector(slices.Repeat([]byte{q}, dim)), rows)
				}
			}
		}
	}
}

// FuzzKernels takes the dimension from its first argument and query and rows
// from the second.
func FuzzKernels(f *testing.F) {
	f.Add(uint16(3), []byte("a query and a row"))
	f.Add(uint16(32), slices.Repeat([]byte{0, 126}, 500))
	f.Add(uint16(256), slices.Repeat([]byte{1, 63, 200}, 1000))
	f.Fuzz(func(t *testing.T, d uint16, raw []byte) {
		dim := int(d)%MaxDim + 1
		if len(raw) < dim {
			t.Skip("too short for a query")
		}
		var rows [][]float32
		for rest := raw[dim:]; len(rest) >= dim; rest = rest[dim:] {
			rows = append(rows, codeVector(rest[:dim]))
		}
		checkKernels(t, codeVector(raw[:dim]), rows)
	})
}

func TestCodesAreWithinHalfAStep(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.SliceOfN(rapid.Float32Range(-1, 1), 1, 100).Draw(t, "v")
		n := length(v)
		if n == 0 {
			t.Skip("the zero vector has no codes")
		}
		v = unit(v, n)
		codes := make([]byte, len(v))
		scale := quantize(v, codes)
		for i, c := range codes {
			code := int(c) - level
			if code < -level || code > level {
				t.Fatalf("code %d is out of range", code)
			}
			if off := math.Abs(float64(v[i]) - float64(code)*float64(scale)); off > float64(scale)*.5001 {
				t.Fatalf("component %v became %d * %v", v[i], code, scale)
			}
		}
	})
}

func TestUnitVectors(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.SliceOfN(rapid.Float32(), 1, 50).Draw(t, "v")
		n := length(v)
		if !usable(n) {
			t.Skip("no direction")
		}
		u := unit(v, n)
		if off := math.Abs(length(u) - 1); off > 1e-6 {
			t.Fatalf("length is off by %v", off)
		}
		if again := unit(u, length(u)); !slices.Equal(again, u) {
			t.Fatalf("normalising twice changed %v to %v", u, again)
		}
	})
}

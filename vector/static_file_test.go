package vector

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
	"testing"

	"pgregory.net/rapid"
)

// smallTable is a whole table file of three words.
func smallTable() []byte {
	const dim = 16
	metadata, words := `{"id":"small/1","common":0.5}`, "cat\ndog\nsun\n"
	var body bytes.Buffer
	body.WriteString(metadata + words)
	for _, x := range []float32{1. / 50, 1. / 50, 1. / 63, 1, 0.5, 0.25} {
		binary.Write(&body, binary.LittleEndian, x)
	}
	for _, row := range [][dim]int{{1: 50}, {1: 30, 2: -40}, {15: 63}} {
		for _, x := range row {
			body.WriteByte(byte(x + zero))
		}
	}
	file := bytes.NewBufferString(tableMagic)
	sum := crc32.ChecksumIEEE(body.Bytes())
	for _, x := range []int{tableVersion, dim, 3, len(metadata), len(words), int(sum)} {
		binary.Write(file, binary.LittleEndian, uint32(x))
	}
	return append(file.Bytes(), body.Bytes()...)
}

func TestTableReadsWhatWasWritten(t *testing.T) {
	s, err := newStatic(smallTable())
	if err != nil {
		t.Fatal(err)
	}
	if s.ID() != "small/1" || s.Dim() != 16 {
		t.Errorf("id %q, dim %d", s.ID(), s.Dim())
	}
	cat, dog, sun := s.Lookup("cat"), s.Lookup("dog"), s.Lookup("sun")
	if cat != 0 || dog != 1 || sun != 2 {
		t.Errorf("rows %d, %d, %d", cat, dog, sun)
	}
	if got := s.Cosine(cat, dog); math.Abs(float64(got)-0.6) > 1e-6 {
		t.Errorf("cat is %v like dog, want 0.6", got)
	}
	// cat + dog/2 = (1.3, -0.4) beside a common share of 0.5 * 1.5.
	length := math.Sqrt(1.3*1.3 + 0.4*0.4 + 0.75*0.75)
	for i, want := range [16]float64{0.75, 1.3, -0.4} {
		if got := embed(t, s, "Cat, dogs!")[0][i]; math.Abs(float64(got)-want/length) > 1e-6 {
			t.Errorf("value %d is %v, want %v", i, got, want/length)
		}
	}
}

// openWhole opens a table and uses it, as the first call of an embedder does.
func openWhole(file []byte) (*Static, error) {
	s, err := newStatic(file)
	if err != nil {
		return nil, err
	}
	if _, err := s.load(); err != nil {
		return nil, err
	}
	return s, nil
}

func TestTableRefusesDamage(t *testing.T) {
	whole := smallTable()
	for n := range whole {
		if _, err := openWhole(whole[:n]); !errors.Is(err, ErrTable) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
		altered := bytes.Clone(whole)
		altered[n] ^= 0x20
		if _, err := openWhole(altered); !errors.Is(err, ErrTable) {
			t.Fatalf("byte %d altered: %v", n, err)
		}
	}
	if _, err := openWhole(append(bytes.Clone(whole), 0)); !errors.Is(err, ErrTable) {
		t.Errorf("one byte more: %v", err)
	}
}

// The arithmetic that works on many codes at once agrees with the plain one, at
// the largest codes too.
func TestCodes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := 16 * rapid.IntRange(1, maxDim/16).Draw(t, "sixteenths")
		codes := rapid.SliceOfN(rapid.OneOf(rapid.Uint8Max(127), rapid.Just(uint8(127))), n, n)
		a, b := codes.Draw(t, "a"), codes.Draw(t, "b")
		var dot, sum int32
		for i := range a {
			dot += int32(a[i]) * int32(b[i])
			sum += int32(a[i])
		}
		if got := dotCodes(a, b); got != dot {
			t.Fatalf("dot %d, want %d", got, dot)
		}
		if got, ok := sumCodes(a); got != sum || !ok {
			t.Fatalf("sum %d, %v, want %d", got, ok, sum)
		}
		a[rapid.IntRange(0, n-1).Draw(t, "at")] |= 128
		if _, ok := sumCodes(a); ok {
			t.Fatal("a code above 127 went unseen")
		}
	})
}

func FuzzTable(f *testing.F) {
	whole := smallTable()
	f.Add(whole)
	f.Add(whole[:headerSize])
	f.Add([]byte(tableMagic))
	f.Fuzz(func(t *testing.T, file []byte) {
		if len(file) >= headerSize { // else the checksum keeps the fuzzer out
			file = bytes.Clone(file)
			binary.LittleEndian.PutUint32(file[headerSize-4:], crc32.ChecksumIEEE(file[headerSize:]))
		}
		s, err := openWhole(file)
		if err != nil {
			if !errors.Is(err, ErrTable) {
				t.Fatal(err)
			}
			return
		}
		checkUnit(t, "cat dog", embed(t, s, "cat dog")[0])
		for row := range min(int32(s.table.rows), 4) {
			if got := s.Cosine(row, 0); math.IsNaN(float64(got)) {
				t.Fatalf("row %d is %v like the first", row, got)
			}
		}
	})
}

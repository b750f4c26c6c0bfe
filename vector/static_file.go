package vector

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"unsafe"
)

// ErrTable is returned for a word table that cannot be read: cut short, altered,
// or of a version this program does not know.
var ErrTable = errors.New("vector: unreadable word table")

// A table file is little-endian and made of
//
//	magic "wordrows", version, dim, rows, bytes of metadata, bytes of vocabulary,
//	CRC-32 (IEEE) of everything after the header       8 bytes, then 6 uint32
//	metadata      a JSON object: id, common, and where the table comes from
//	vocabulary    the words of the rows in ascending order of bytes, one a line
//	scales        float32 a row; a row times its scale has length 1
//	weights       float32 a row: how much its word counts in a text
//	codes         uint8, dim a row: the values, from -63 to 63, plus 64
//
// The first value of every row is 0: that dimension belongs to texts, which move
// along it by common times the weight of each of their words.
const (
	tableMagic   = "wordrows"
	tableVersion = 1
	headerSize   = len(tableMagic) + 6*4
	maxDim       = 512
	maxRows      = 1 << 20
	zero         = 64 // the code of 0
)

// table is a view of a table file; it copies nothing.
type table struct {
	id        string
	dim, rows int
	common    float64
	sum       uint32
	body      []byte // what the checksum covers
	words     []byte
	scales    []byte
	weights   []byte
	codes     []uint8
}

// openTable checks a file's header and sizes. What lies in it is checked by read.
func openTable(file []byte) (*table, error) {
	if len(file) < headerSize || string(file[:len(tableMagic)]) != tableMagic {
		return nil, fmt.Errorf("%w: not a word table", ErrTable)
	}
	var head [6]uint32
	for i := range head {
		head[i] = binary.LittleEndian.Uint32(file[len(tableMagic)+4*i:])
	}
	version, dim, rows, sum := head[0], uint64(head[1]), uint64(head[2]), head[5]
	if version != tableVersion {
		return nil, fmt.Errorf("%w: version %d, want %d", ErrTable, version, tableVersion)
	}
	if dim == 0 || dim > maxDim || dim%16 != 0 || rows == 0 || rows > maxRows {
		return nil, fmt.Errorf("%w: %d rows of %d values", ErrTable, rows, dim)
	}
	t := &table{dim: int(dim), rows: int(rows), sum: sum, body: file[headerSize:]}
	parts := []uint64{uint64(head[3]), uint64(head[4]), 4 * rows, 4 * rows, dim * rows}
	var size uint64
	for _, n := range parts {
		size += n
	}
	if size != uint64(len(t.body)) {
		return nil, fmt.Errorf("%w: %d bytes, want %d", ErrTable, len(t.body), size)
	}
	rest := t.body
	take := func(n uint64) []byte {
		part := rest[:n:n]
		rest = rest[n:]
		return part
	}
	metadata := take(parts[0])
	t.words, t.scales, t.weights, t.codes = take(parts[1]), take(parts[2]), take(parts[3]), rest
	var about struct {
		ID     string
		Common float64
	}
	if err := json.Unmarshal(metadata, &about); err != nil || about.ID == "" || !(about.Common >= 0 && about.Common <= 1) {
		return nil, fmt.Errorf("%w: no id or common share in its metadata", ErrTable)
	}
	t.id, t.common = about.ID, about.Common
	return t, nil
}

// contents is what is derived from a table when it is first used.
type contents struct {
	rows map[string]int32 // of each word
	sums []int32          // of each row's codes
}

// read checks the content of a table and derives what its use needs.
func (t *table) read() (*contents, error) {
	if got := crc32.ChecksumIEEE(t.body); got != t.sum {
		return nil, fmt.Errorf("%w: checksum %08x, want %08x", ErrTable, got, t.sum)
	}
	c := &contents{rows: make(map[string]int32, t.rows), sums: make([]int32, t.rows)}
	rest, last := t.words, ""
	for row := range int32(t.rows) {
		end := bytes.IndexByte(rest, '\n')
		if end < 0 {
			return nil, fmt.Errorf("%w: %d words for %d rows", ErrTable, row, t.rows)
		}
		word := unsafe.String(unsafe.SliceData(rest), end)
		if word <= last {
			return nil, fmt.Errorf("%w: word %d is out of order", ErrTable, row)
		}
		sum, ok := sumCodes(t.row(row))
		if !ok || !withinOne(t.scale(row)) || !withinOne(t.weight(row)) {
			return nil, fmt.Errorf("%w: no numbers for word %d", ErrTable, row)
		}
		c.rows[word], c.sums[row] = row, sum
		last, rest = word, rest[end+1:]
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("%w: more words than rows", ErrTable)
	}
	return c, nil
}

// sumCodes adds up a row's codes, eight at a time, and tells whether all are below
// 128. The four sums that it keeps in one number have room for maxDim codes.
func sumCodes(row []uint8) (sum int32, ok bool) {
	var sums, all uint64
	for ; len(row) >= 8; row = row[8:] {
		x := binary.LittleEndian.Uint64(row)
		sums += x&even + x>>8&even
		all |= x
	}
	return int32(sums * 0x0001000100010001 >> 48), all&0x8080808080808080 == 0
}

// withinOne tells a scale or weight from what would spoil a sum. Both are at most 1
// by their meaning, and a scale of 0 belongs to a row of zeros.
func withinOne(x float32) bool { return x >= 0 && x <= 1 }

func (t *table) row(i int32) []uint8    { return t.codes[int(i)*t.dim:][:t.dim:t.dim] }
func (t *table) scale(i int32) float32  { return float32At(t.scales, i) }
func (t *table) weight(i int32) float32 { return float32At(t.weights, i) }

func float32At(b []byte, i int32) float32 {
	return math.Float32frombits(binary.LittleEndian.Uint32(b[4*int(i):]))
}

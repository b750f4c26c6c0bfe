package meter

import "unicode/utf8"

// reader decodes the primitive forms of the binary format. It faults on any
// violation, so that callers read straight on.
type reader struct {
	b    []byte
	pos  int
	base int // offset of b in the module, for messages
}

func (r *reader) done() bool  { return r.pos >= len(r.b) }
func (r *reader) offset() int { return r.base + r.pos }

func (r *reader) malformed(format string, args ...any) {
	fail(ErrMalformed, r.offset(), hintRebuild, format, args...)
}

func (r *reader) byte() byte {
	if r.done() {
		r.malformed("unexpected end")
	}
	c := r.b[r.pos]
	r.pos++
	return c
}

// peek returns the next byte without reading it, or 0 at the end.
func (r *reader) peek() byte {
	if r.done() {
		return 0
	}
	return r.b[r.pos]
}

func (r *reader) bytes(n uint32) []byte {
	if uint64(n) > uint64(len(r.b)-r.pos) {
		r.malformed("%d bytes announced, %d left", n, len(r.b)-r.pos)
	}
	b := r.b[r.pos : r.pos+int(n) : r.pos+int(n)]
	r.pos += int(n)
	return b
}

// sub returns a reader of the next n bytes and skips them.
func (r *reader) sub(n uint32) *reader {
	base := r.offset()
	return &reader{b: r.bytes(n), base: base}
}

// u32 reads an unsigned LEB128 number. Padded forms are legal and common:
// linkers leave room for relocations.
func (r *reader) u32() uint32 {
	var v uint32
	for shift := 0; ; shift += 7 {
		c := r.byte()
		if shift == 28 && c > 0x0f {
			r.malformed("number over 32 bits")
		}
		v |= uint32(c&0x7f) << shift
		if c < 0x80 {
			return v
		}
	}
}

// signed reads a signed LEB128 number of the given width (32, 33 or 64 bits).
func (r *reader) signed(bits int) int64 {
	var v int64
	for shift := 0; ; shift += 7 {
		c := r.byte()
		v |= int64(c&0x7f) << shift
		last := bits - shift // bits of this byte that count
		if last <= 7 {
			top := int8(c<<1) >> last // the sign bit and the unused bits above it
			if c >= 0x80 || top != 0 && top != -1 {
				r.malformed("number over %d bits", bits)
			}
		}
		if c < 0x80 {
			if shift += 7; shift < 64 && c&0x40 != 0 {
				v |= -1 << shift
			}
			return v
		}
	}
}

// count reads the length of a vector whose entries take at least one byte
// each, so that no announced length can make the decoder reserve more than
// the file is long.
func (r *reader) count(what string, limit int) int {
	at := r.offset()
	n := r.u32()
	if uint64(n) > uint64(len(r.b)-r.pos) {
		fail(ErrMalformed, at, hintRebuild, "%d %s announced, %d bytes left", n, what, len(r.b)-r.pos)
	}
	if int(n) > limit {
		overLimit(at, what, int(n), limit)
	}
	return int(n)
}

func (r *reader) name() string {
	b := r.bytes(r.u32())
	if !utf8.Valid(b) {
		r.malformed("name is not UTF-8")
	}
	return string(b)
}

func overLimit(at int, what string, n, limit int) {
	fail(ErrLimit, at, "Make the module smaller, or raise the limit if you trust its author.", "%s: %d, limit %d", what, n, limit)
}

func appendU32(b []byte, v uint32) []byte {
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

func appendSigned(b []byte, v int64) []byte {
	for {
		c := byte(v & 0x7f)
		v >>= 7
		if v == 0 && c&0x40 == 0 || v == -1 && c&0x40 != 0 {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}

func appendName(b []byte, s string) []byte {
	return append(appendU32(b, uint32(len(s))), s...)
}

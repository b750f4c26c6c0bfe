package meter_test

import (
	"bytes"
	"encoding/binary"
)

// A small assembler for modules that no tool would make: bombs, damaged
// files, instructions in forms that no compiler emits.

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func uleb(v uint64) []byte { return binary.AppendUvarint(nil, v) }

func sleb(v int64) []byte {
	var b []byte
	for {
		c := byte(v & 0x7f)
		v >>= 7
		if v == 0 && c&0x40 == 0 || v == -1 && c&0x40 != 0 {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}

// sized puts the length before the bytes.
func sized(parts ...[]byte) []byte {
	b := join(parts...)
	return join(uleb(uint64(len(b))), b)
}

// vec puts the number of items before them.
func vec(items ...[]byte) []byte { return join(uleb(uint64(len(items))), join(items...)) }

func str(s string) []byte { return sized([]byte(s)) }

func sec(id byte, parts ...[]byte) []byte { return join([]byte{id}, sized(parts...)) }

func module(sections ...[]byte) []byte {
	return join([]byte("\x00asm\x01\x00\x00\x00"), join(sections...))
}

// Types of the modules below.
const (
	typeNone   = 0 // () -> ()
	typeUnary  = 1 // (i32) -> (i32)
	typeResult = 2 // () -> (i32)
	typeUnary8 = 3 // (i32 x 8) -> (i32)
	typeSink   = 4 // (i32) -> ()
)

var types = sec(1, vec(
	[]byte{0x60, 0, 0},
	[]byte{0x60, 1, 0x7f, 1, 0x7f},
	[]byte{0x60, 0, 1, 0x7f},
	join([]byte{0x60, 8}, bytes.Repeat([]byte{0x7f}, 8), []byte{1, 0x7f}),
	[]byte{0x60, 1, 0x7f, 0},
))

// function is a type index and a body without its length: locals and code.
type function struct {
	typ  byte
	body []byte
}

// simple makes a module of the standard types and the functions, with an
// exported memory of one page that may grow; function 0 is exported as "run".
func simple(fns ...function) []byte {
	return withSections(fns, sec(5, []byte{1, 0, 1}))
}

// withSections puts further sections (ids 4 to 6) between functions and
// exports.
func withSections(fns []function, between ...[]byte) []byte {
	var typ, bodies [][]byte
	for _, f := range fns {
		typ = append(typ, []byte{f.typ})
		bodies = append(bodies, sized(f.body))
	}
	return module(types, sec(3, vec(typ...)), join(between...), sec(7, vec(join(str("run"), []byte{0, 0}))), sec(10, vec(bodies...)))
}

// code is a body without locals.
func code(parts ...[]byte) []byte { return join([]byte{0}, join(parts...), []byte{0x0b}) }

func ops(b ...byte) []byte { return b }

func i32c(v int64) []byte { return join(ops(0x41), sleb(v)) }

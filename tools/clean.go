package tools

import (
	"bytes"
	"encoding/hex"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// clean removes from the strings of a JSON text the characters that a reader
// cannot see and that can make a terminal, a page or a model see something
// else than what is there: control characters other than white space, direction
// overrides, characters of no width, invisible tags. The memory keeps what it was
// given; an export has it all.
func clean(raw []byte) []byte {
	if !suspect(raw) {
		return raw
	}
	out := make([]byte, 0, len(raw))
	var now sight
	for i := 0; i < len(raw); {
		if raw[i] == '\\' && i+1 < len(raw) {
			r, n := unescape(raw[i:])
			if now.shows(r) {
				out = append(out, raw[i:i+n]...)
			}
			i += n
			continue
		}
		r, n := utf8.DecodeRune(raw[i:])
		if now.shows(r) {
			out = append(out, raw[i:i+n]...)
		}
		i += n
	}
	return out
}

// suspect reports whether raw can hold anything that clean removes; almost
// all answers do not.
func suspect(raw []byte) bool {
	if bytes.Contains(raw, []byte(`\u`)) || bytes.Contains(raw, []byte(`\b`)) || bytes.Contains(raw, []byte(`\f`)) {
		return true
	}
	return bytes.ContainsFunc(raw, func(r rune) bool { return invisible(r) || hiddenKind(r) != nothing })
}

// unescape decodes the escape at the start of raw and returns its length. A
// pair of surrogates is one escape.
func unescape(raw []byte) (rune, int) {
	switch raw[1] {
	case 'b', 'f':
		return 0, 2
	case 'u':
		high, ok := hexRune(raw)
		if !ok {
			return ' ', min(2, len(raw))
		}
		if utf16.IsSurrogate(high) && len(raw) >= 12 && raw[6] == '\\' && raw[7] == 'u' {
			if low, ok := hexRune(raw[6:]); ok && utf16.DecodeRune(high, low) != utf8.RuneError {
				return utf16.DecodeRune(high, low), 12
			}
		}
		return high, 6
	}
	return ' ', 2
}

func hexRune(raw []byte) (rune, bool) {
	var b [2]byte
	if len(raw) < 6 {
		return 0, false
	}
	if _, err := hex.Decode(b[:], raw[2:6]); err != nil {
		return 0, false
	}
	return rune(b[0])<<8 | rune(b[1]), true
}

// A sight tells, rune by rune of a text, which a reader is shown. The zero value
// is at the beginning of one.
type sight struct{ hidden hidden } // what the runes since the latest visible one are

// hidden is a rune that is not seen and yet has a meaning: a selector chooses the
// form of the rune before it, and a joiner ties the runes around it together, as
// emoji, Persian and the scripts of India need. One of each is kept after a
// visible rune; more of them can only carry what nobody is meant to see.
type hidden int

const (
	nothing hidden = iota
	selector
	joiner
)

func (s *sight) shows(r rune) bool {
	if invisible(r) {
		return false
	}
	kind := hiddenKind(r)
	if kind != nothing && kind <= s.hidden {
		return false
	}
	s.hidden = kind
	return true
}

func hiddenKind(r rune) hidden {
	switch {
	case r == 0x200c || r == 0x200d:
		return joiner
	case r >= 0xfe00 && r <= 0xfe0f, r >= 0xe0100 && r <= 0xe01ef, r >= 0x180b && r <= 0x180d, r == 0x180f:
		return selector
	}
	return nothing
}

// seen is s without what clean removes.
func seen(s string) string {
	var now sight
	return strings.Map(func(r rune) rune {
		if now.shows(r) {
			return r
		}
		return -1
	}, s)
}

// invisible reports whether r is one of the characters that are always removed.
// They are those that Unicode says to show nothing for, other than the hidden
// ones, and controls.
func invisible(r rune) bool {
	switch {
	case r < 0xa0:
		return r < ' ' && r != '\t' && r != '\n' && r != '\r' || r >= 0x7f // C0, delete, C1
	case r < 0x2000:
		return r == 0xad || r == 0x34f || r == 0x61c || r == 0x115f || r == 0x1160 || r == 0x17b4 || r == 0x17b5 || r == 0x180e
	case r < 0x2100: // no width, directions and their overrides
		return r == 0x200b || r == 0x200e || r == 0x200f || r >= 0x202a && r <= 0x202e || r >= 0x2060 && r <= 0x206f
	case r < 0x10000: // fillers, marks of byte order and of annotations
		return r == 0x3164 || r == 0xfeff || r == 0xffa0 || r >= 0xfff0 && r <= 0xfffb
	case r < 0xe0000: // controls of shorthand and of musical notes
		return r >= 0x1bca0 && r <= 0x1bca3 || r >= 0x1d173 && r <= 0x1d17a
	}
	return r <= 0xe0fff && hiddenKind(r) == nothing // tags, an invisible copy of ASCII, and what is reserved beside them
}

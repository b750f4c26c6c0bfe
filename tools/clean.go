package tools

import (
	"bytes"
	"encoding/hex"
	"unicode/utf16"
	"unicode/utf8"
)

// clean removes from the strings of a JSON text the characters that a reader
// cannot see and that can make a terminal, a page or a model see something
// else than what is there: control characters other than white space,
// direction overrides and invisible tags. The memory keeps what it was given;
// an export has it all.
func clean(raw []byte) []byte {
	if !suspect(raw) {
		return raw
	}
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); {
		if raw[i] == '\\' && i+1 < len(raw) {
			r, n := unescape(raw[i:])
			if !invisible(r) {
				out = append(out, raw[i:i+n]...)
			}
			i += n
			continue
		}
		r, n := utf8.DecodeRune(raw[i:])
		if !invisible(r) || r == utf8.RuneError {
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
	for _, b := range raw {
		// 7F is delete; C2 leads U+0080 to U+00BF, E2 U+2000 to U+2FFF, EF
		// U+F000 to U+FFFF and F3 the tags.
		if b == 0x7f || b == 0xc2 || b == 0xe2 || b == 0xef || b == 0xf3 {
			return true
		}
	}
	return false
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

// invisible reports whether r is one of the characters that clean removes.
func invisible(r rune) bool {
	switch {
	case r == '\t' || r == '\n' || r == '\r':
		return false
	case r < ' ', r >= 0x7f && r < 0xa0: // C0, delete, C1
		return true
	case r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069: // direction overrides
		return true
	case r >= 0x2060 && r <= 0x2064, r == 0xfeff: // no width
		return true
	case r >= 0xfff9 && r <= 0xfffb: // interlinear annotation
		return true
	}
	return r >= 0xe0000 && r <= 0xe007f // tags, an invisible copy of ASCII
}

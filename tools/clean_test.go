package tools

import (
	"encoding/json"
	"testing"
	"unicode"

	"pgregory.net/rapid"
)

func TestClean(t *testing.T) {
	tests := []struct{ in, want string }{
		{`{"a":"plain, ünï, 日本, 👩‍👩‍👧, עברית"}`, `{"a":"plain, ünï, 日本, 👩‍👩‍👧, עברית"}`},
		{`{"a":"tab\tnew\nline\r\n"}`, `{"a":"tab\tnew\nline\r\n"}`},
		{`{"a":"bell\u0007 escape\u001b[31m back\b feed\f"}`, `{"a":"bell escape[31m back feed"}`},
		{"{\"a\":\"del\x7f c1\u0085 bom\ufeff\"}", `{"a":"del c1 bom"}`},
		{"{\"a\":\"over\u202eride\u2066 iso\u2069\"}", `{"a":"override iso"}`},
		{`{"a":"over\u202eride \u2066"}`, `{"a":"override "}`},
		{"{\"a\":\"tag\U000e0041\U000e0042\"}", `{"a":"tag"}`},
		{`{"a":"tag\udb40\udc41 smile\ud83d\ude00"}`, `{"a":"tag smile\ud83d\ude00"}`},
		{`{"a":"kept \\u202e \\b \" \/"}`, `{"a":"kept \\u202e \\b \" \/"}`},
		{`{"a":"lone \ud83d and \ud83dx"}`, `{"a":"lone \ud83d and \ud83dx"}`},
		{`{"k\u0000ey":1}`, `{"key":1}`},
		{"{\"a\":\"zero\u200bwidth l\u200er\u200f soft\u00adhyphen a\u061clm\"}", `{"a":"zerowidth lr softhyphen alm"}`},
		{"{\"a\":\"می\u200cخواهم ❤\ufe0f\u200d🔥 葛\U000e0100\"}", "{\"a\":\"می\u200cخواهم ❤\ufe0f\u200d🔥 葛\U000e0100\"}"},
		{"{\"a\":\"smile 😀\ufe01\ufe02\U000e0101\u200d\u200c\u200d\ufe00 end\"}", "{\"a\":\"smile 😀\ufe01\u200d end\"}"},
		{`{"a":"x\u200d\u200d\ufe0f\udb40\udd00y"}`, `{"a":"x\u200dy"}`},
	}
	for _, tt := range tests {
		if got := string(clean([]byte(tt.in))); got != tt.want {
			t.Errorf("clean(%s) = %s, want %s", tt.in, got, tt.want)
		}
	}
}

// clean does to JSON what dropping the runes from the decoded strings does.
func TestClean_IsDroppingRunes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "s")
		raw, err := json.Marshal(map[string]string{"a": s})
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]string
		if err := json.Unmarshal(clean(raw), &got); err != nil {
			t.Fatalf("%s is not JSON any more: %v", raw, err)
		}
		if want := seen(s); got["a"] != want {
			t.Fatalf("%q became %q, want %q", s, got["a"], want)
		}
	})
}

// Whatever Unicode says to show nothing for is dropped, or kept once where it
// means something.
func TestClean_NothingIsHidden(t *testing.T) {
	for r := range rune(unicode.MaxRune) {
		shapes := r >= 0x13430 && r <= 0x1343f || unicode.Is(unicode.Prepended_Concatenation_Mark, r) // these are seen
		hides := unicode.In(r, unicode.Cc, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector, unicode.Bidi_Control)
		if hides && !shapes && r != '\t' && r != '\n' && r != '\r' && !invisible(r) && hiddenKind(r) == nothing {
			t.Errorf("%U is neither dropped nor counted", r)
		}
		if !hides && unicode.IsGraphic(r) && (invisible(r) || hiddenKind(r) != nothing) {
			t.Errorf("%U (%c) is dropped", r, r)
		}
	}
}

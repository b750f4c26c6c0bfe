package tools

import (
	"encoding/json"
	"strings"
	"testing"

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
		if want := strings.Map(visible, s); got["a"] != want {
			t.Fatalf("%q became %q, want %q", s, got["a"], want)
		}
	})
}

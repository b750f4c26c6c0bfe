package vector

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func wordsOf(text string) []string {
	var found []string
	w := split(text)
	for w.next() {
		found = append(found, string(w.word()))
	}
	return found
}

func TestSplit(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"lower case, punctuation left out", "Anna: We MET at noon!", []string{"anna", "we", "met", "at", "noon"}},
		{"letters and digits are apart", "v2 at 3pm, 10,000", []string{"v", "2", "at", "3", "pm", "10", "000"}},
		{"apostrophes inside a word stay", "don't say 'no' to Anna’s", []string{"don't", "say", "no", "to", "anna's"}},
		{"compatibility forms fold", "ﬁne Ｗｉｄｅ", []string{"fine", "wide"}},
		{"marks belong to their letter", "cafe\u0301 हिन्दी", []string{"café", "हिन्दी"}},
		{"scripts without spaces give pairs", "我喜欢猫", []string{"我喜", "喜欢", "欢猫", "猫"}},
		{"Thai too, marks and all", "แมว", []string{"แม", "มว", "ว"}},
		{"emoji are words", "ok👍🏽 🐈", []string{"ok", "👍", "🐈"}},
		{"invalid UTF-8 separates", "a\xffb", []string{"a", "b"}},
		{"nothing", " ,.!\n", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, wordsOf(c.text)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestEachWindow(t *testing.T) {
	var got, want []uint64
	eachWindow([]byte("<кот>"), 3, func(h uint64) { got = append(got, h) })
	for _, gram := range []string{"<ко", "кот", "от>"} {
		want = append(want, hash([]byte(gram)))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestFind(t *testing.T) {
	rows := map[string]int32{}
	for i, word := range []string{"cat", "berry", "tape", "vlog", "cafe", "brien", "don't", "👍"} {
		rows[word] = int32(i + 1)
	}
	for word, want := range map[string]string{
		"cat": "cat", "cat's": "cat", "cats": "cat", "berries": "berry", "taping": "tape", "taped": "tape",
		"vlogging": "vlog", "café": "cafe", "cafés": "cafe", "o'brien": "brien", "don't": "don't", "dog": "", "as": "",
	} {
		row, ok := find(rows, []byte(word), letters)
		if ok != (want != "") || row != rows[want] {
			t.Errorf("find(%q) = %d, %v, want the row of %q", word, row, ok, want)
		}
	}
}

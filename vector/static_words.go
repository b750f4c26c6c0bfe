package vector

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// class is how a word is written, which decides what it is spelled of.
type class uint8

const (
	none     class = iota
	letters        // a run of letters of a script that puts spaces between words
	digits         // a run of digits
	unspaced       // one or two neighbouring characters of a script without spaces
	symbol         // one emoji or other pictograph
)

// maxWord is the longest word in bytes; longer runs are cut into several.
const maxWord = 64

// words goes through the words of a text in order, in lower case and Unicode's
// compatibility form (NFKC):
//
//	w := split(text)
//	for w.next() {
//		use(w.word(), w.class)
//	}
type words struct {
	text  string
	at    int // where the rest of text starts
	class class
	size  int
	buf   [maxWord]byte
}

func split(text string) words {
	if !ascii(text) {
		text = strings.ToLower(norm.NFKC.String(text))
	}
	return words{text: text}
}

// word is the current word, valid until next is called.
func (w *words) word() []byte { return w.buf[:w.size] }

// next moves on to the next word and tells whether there is one.
func (w *words) next() bool {
	w.class, w.size = none, 0
	for w.at < len(w.text) {
		r, size := rune(w.text[w.at]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRuneInString(w.text[w.at:])
		}
		class, rest := classOf(r), w.text[w.at+size:]
		if w.class == letters && continues(r, rest) {
			class = letters
		}
		if w.class != none && (class != w.class || w.size+utf8.UTFMax > maxWord) {
			return true // the character belongs to what follows
		}
		w.at += size
		w.class = class
		switch class {
		case letters, digits:
			w.add(r)
		case unspaced:
			w.add(r)
			if next, _ := utf8.DecodeRuneInString(rest); classOf(next) == unspaced {
				w.add(next)
			}
			return true
		case symbol:
			w.add(r)
			return true
		}
	}
	return w.class != none
}

// add appends a character. Only ASCII is still to be lowered, and typographic
// apostrophes to be made plain.
func (w *words) add(r rune) {
	switch {
	case 'A' <= r && r <= 'Z':
		r += 'a' - 'A'
	case r == '’':
		r = '\''
	}
	w.size += utf8.EncodeRune(w.buf[w.size:], r)
}

// continues tells whether a word goes on with r though it is no letter: with a
// combining mark, or with an apostrophe that a letter follows.
func continues(r rune, rest string) bool {
	if r == '\'' || r == '’' {
		next, _ := utf8.DecodeRuneInString(rest)
		return classOf(next) == letters
	}
	return r >= utf8.RuneSelf && unicode.Is(unicode.M, r)
}

func ascii[T string | []byte](s T) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

func classOf(r rune) class {
	switch {
	case r < utf8.RuneSelf:
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z':
			return letters
		case '0' <= r && r <= '9':
			return digits
		}
		return none
	case unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar):
		return unspaced
	case unicode.IsLetter(r):
		return letters
	case unicode.IsNumber(r):
		return digits
	case unicode.Is(unicode.So, r) && r != utf8.RuneError:
		return symbol
	}
	return none
}

// find returns the row of a word, or that of the nearest form which has one:
// without what follows an apostrophe, without accents, without an ending.
func find(rows map[string]int32, word []byte, class class) (int32, bool) {
	if row, ok := rows[string(word)]; ok || class != letters {
		return row, ok
	}
	word = bare(word)
	if row, ok := rows[string(word)]; ok {
		return row, true
	}
	if !ascii(word) {
		word = unaccented(word)
		if row, ok := rows[string(word)]; ok {
			return row, true
		}
	}
	return findStem(rows, word)
}

// bare is a word without a clitic: "anna's" is anna, "l'amour" amour.
func bare(word []byte) []byte {
	before, after, ok := bytes.Cut(word, []byte("'"))
	if ok && len(before) < 2 {
		return after
	}
	return before
}

func unaccented(word []byte) []byte {
	var plain []byte
	for _, r := range norm.NFD.String(string(word)) {
		if r < 0x300 || r > 0x36f {
			plain = utf8.AppendRune(plain, r)
		}
	}
	return norm.NFC.Bytes(plain)
}

// endings are English inflections and what may stand in their place, most likely
// first: "hoodies" hoodie, "berries" berry, "taped" tape, "vlogging" vlog.
var endings = []struct{ cut, add string }{
	{"s", ""}, {"es", ""}, {"ies", "y"},
	{"ing", ""}, {"ing", "e"}, {"ed", ""}, {"d", ""}, {"ied", "y"},
	{"ly", ""}, {"er", ""}, {"r", ""}, {"ness", ""}, {"iness", "y"},
}

func findStem(rows map[string]int32, word []byte) (int32, bool) {
	var buf [maxWord + 1]byte
	for _, e := range endings {
		stem, ok := bytes.CutSuffix(word, []byte(e.cut))
		if !ok || len(stem) < 3 {
			continue
		}
		if row, ok := rows[string(append(append(buf[:0], stem...), e.add...))]; ok {
			return row, true
		}
		if n := len(stem); stem[n-1] == stem[n-2] && len(e.cut) > 1 {
			if row, ok := rows[string(stem[:n-1])]; ok {
				return row, true
			}
		}
	}
	return 0, false
}

// marksPerGram is how many dimensions an n-gram touches: enough that two words
// which share none are nearly at right angles.
const marksPerGram = 8

// eachGram yields the hashes of what a word is spelled of. A run of letters gives
// its 3- and 4-grams, ends marked, and, twice, itself, so that other words are
// never closer than the word; two characters of an unspaced script give each and
// the pair; anything else gives itself.
func eachGram(word []byte, class class, yield func(hash uint64)) {
	yield(hash(word))
	switch class {
	case letters:
		yield(hash(word))
		var buf [maxWord + 2]byte
		marked := append(append(append(buf[:0], '<'), bare(word)...), '>')
		for n := 3; n <= 4; n++ {
			eachWindow(marked, n, yield)
		}
	case unspaced:
		if _, size := utf8.DecodeRune(word); size < len(word) {
			yield(hash(word[:size]))
			yield(hash(word[size:]))
		}
	}
}

// eachWindow yields the hashes of all runs of n characters.
func eachWindow(word []byte, n int, yield func(hash uint64)) {
	start, count := 0, 0
	for end := range len(word) + 1 {
		if end < len(word) && !utf8.RuneStart(word[end]) {
			continue
		}
		if count > n {
			_, size := utf8.DecodeRune(word[start:])
			start += size
			count--
		}
		if count == n {
			yield(hash(word[start:end]))
		}
		count++
	}
}

// hash is 64-bit FNV-1a.
func hash(b []byte) uint64 {
	h := uint64(14695981039346656037)
	for _, c := range b {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return h
}

// mix is the step of splitmix64, which turns a hash into the next of a row of
// well-mixed numbers.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

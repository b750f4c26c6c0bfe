package memory

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Limits of text preparation. Texts and queries beyond them are cut, silently
// and at a rune: the start of a text says most of what it is about.
const (
	maxTextBytes      = 256 << 10 // of one text, as long as an engram's content may be
	maxIndexBytes     = 1 << 20   // of what is indexed of all parts together
	maxQueryBytes     = 4 << 10
	maxQueryTerms     = 64
	maxWordRunes      = 40 // of a word; what follows is ignored
	maxCompoundParts  = 6  // of a compound that is also indexed in one word
	maxNormaliseBytes = 64 << 10
)

// A token is one indexable piece of a text.
type token struct {
	word   string // folded: what a Lexicon knows
	stem   string // what the index holds
	kind   tokenKind
	stop   bool   // says nothing beside other words
	joined string // of a part: the stem of its whole compound
}

type tokenKind uint8

const (
	tokenWord   tokenKind = iota
	tokenPart             // of a compound: the "mail" of "e-mail"
	tokenJoined           // a compound in one word, after its parts: "email"
	tokenRune             // one character of a script written without spaces
	tokenPair             // two neighbours of such a script
	tokenEmoji
)

// A queryTerm is one word of a query.
type queryTerm struct {
	stem   string
	word   string   // lower case, unstemmed
	stop   bool     // counts only in a query of nothing else
	joined []string // stems of the compounds it is part of: each is as good as the stem itself
}

// indexText returns the words of the parts as the full-text index wants them:
// separated by single spaces, folded and stemmed, made of ASCII letters and
// digits and of characters outside ASCII only, so that FTS5's ascii tokenizer
// takes them apart exactly as they were put together.
func indexText(parts ...string) string {
	var b strings.Builder
	for _, part := range parts {
		for _, t := range tokenise(cutBytes(part, maxTextBytes)) {
			if b.Len()+len(t.stem)+1 > maxIndexBytes {
				return b.String()
			}
			if b.Len() > 0 {
				b.WriteByte(' ')
			}
			b.WriteString(t.stem)
		}
	}
	return b.String()
}

// queryTerms returns the different words of q in the order of their first
// use, at most maxQueryTerms of them.
func queryTerms(q string) []queryTerm {
	tokens := tokenise(cutBytes(q, maxQueryBytes))
	terms := make([]queryTerm, 0, min(len(tokens), maxQueryTerms))
	at := map[string]int{}
	for i, t := range tokens {
		if t.kind == tokenJoined && !compoundOfStops(tokens[:i]) {
			continue // stands in the joined forms of its parts
		}
		if t.kind == tokenRune && inPair(tokens, i) {
			continue
		}
		k, seen := at[t.stem]
		if !seen {
			if len(terms) == maxQueryTerms {
				break
			}
			k = len(terms)
			at[t.stem] = k
			terms = append(terms, queryTerm{stem: t.stem, word: t.word, stop: true})
		}
		term := &terms[k]
		term.stop = term.stop && (t.stop || questionWords[t.word])
		if t.joined != "" && t.joined != t.stem && !slices.Contains(term.joined, t.joined) {
			term.joined = append(term.joined, t.joined)
		}
	}
	return terms
}

// matchExpr returns the FTS5 expression that finds every text with at least
// one of the terms: the stop words are left out unless there is nothing else.
// It is empty when there is no term.
func matchExpr(terms []queryTerm) string {
	var b strings.Builder
	write := func(stem string) {
		if b.Len() > 0 {
			b.WriteString(" OR ")
		}
		b.WriteByte('"')
		b.WriteString(stem)
		b.WriteByte('"')
	}
	written := map[string]bool{}
	for _, t := range meaningful(terms) {
		for _, stem := range append([]string{t.stem}, t.joined...) {
			if !written[stem] {
				written[stem] = true
				write(stem)
			}
		}
	}
	return b.String()
}

// meaningful returns the terms that are not stop words, or all when there is
// no other.
func meaningful(terms []queryTerm) []queryTerm {
	var kept []queryTerm
	for _, t := range terms {
		if !t.stop {
			kept = append(kept, t)
		}
	}
	if kept == nil {
		return terms
	}
	return kept
}

// tokenise takes text apart. It is the only place that decides what a word
// is, for what is stored and for what is asked.
func tokenise(text string) []token {
	s := scanner{}
	for text != "" {
		// Normalising piece by piece keeps a large text from being held in
		// several normal forms at once.
		piece := cutAtSpace(text, maxNormaliseBytes)
		text = text[len(piece):]
		s.scan(foldText(piece))
	}
	markMonths(s.tokens)
	return s.tokens
}

// A scanner collects the tokens of folded text.
type scanner struct {
	tokens []token
	parts  []string // words of the compound being read
	marks  []rune   // the marks between them
}

func (s *scanner) scan(text string) {
	for text != "" {
		r, n := utf8.DecodeRuneInString(text)
		switch classOf(r) {
		case classWord:
			word := takeRun(text, classWord)
			text = text[len(word):]
			s.parts = append(s.parts, word)
			if mark, size := compoundMark(text, word); size > 0 {
				s.marks = append(s.marks, mark)
				text = text[size:]
				continue
			}
			s.endCompound()
		case classDense:
			run := takeRun(text, classDense)
			text = text[len(run):]
			s.dense(run)
		case classEmoji:
			size := emojiLen(text)
			name := emojiName(text[:size])
			s.tokens = append(s.tokens, token{word: name, stem: name, kind: tokenEmoji})
			text = text[size:]
		default:
			text = text[n:]
		}
	}
}

// endCompound emits the words collected since the last one: a single word as
// it is, several as parts followed by the joined form.
func (s *scanner) endCompound() {
	parts, marks := s.parts, s.marks
	s.parts, s.marks = s.parts[:0], s.marks[:0]
	parts, marks = withoutClitic(parts, marks)
	if len(parts) == 1 {
		s.tokens = append(s.tokens, newToken(parts[0], tokenWord))
		return
	}
	if len(parts) > maxCompoundParts {
		for _, p := range parts {
			s.tokens = append(s.tokens, newToken(p, tokenWord))
		}
		return
	}
	joined := newToken(strings.Join(parts, ""), tokenJoined)
	if isApostrophe(marks[0]) && joined.stop {
		joined.kind = tokenWord // don't: its parts mean nothing
		s.tokens = append(s.tokens, joined)
		return
	}
	repeated := false
	for _, p := range parts {
		t := newToken(p, tokenPart)
		t.joined = joined.stem
		repeated = repeated || t.stem == joined.stem
		s.tokens = append(s.tokens, t)
	}
	if !repeated {
		s.tokens = append(s.tokens, joined)
	}
}

// withoutClitic drops the ending of Caroline's, I'm, you're, we've, he'll and
// they'd, which would otherwise make words of their own or, joined, wrong
// ones (hell, were).
func withoutClitic(parts []string, marks []rune) ([]string, []rune) {
	n := len(parts)
	if n < 2 || !isApostrophe(marks[n-2]) {
		return parts, marks
	}
	switch parts[n-1] {
	case "s", "m", "re", "ve", "ll", "d":
		return parts[:n-1], marks[:n-2]
	}
	return parts, marks
}

// dense emits a run of a script that is written without spaces: every letter,
// so that one alone can be found inside a longer run, and every pair of
// neighbours, which stands for the words that nobody has marked. A mark says
// nothing without a letter, and cannot be asked for: it stands in pairs with one.
func (s *scanner) dense(run string) {
	previous, marked := "", false
	for len(run) > 0 {
		r, n := utf8.DecodeRuneInString(run)
		char, mark := run[:n], unicode.Is(unicode.M, r)
		run = run[n:]
		if previous != "" && !(marked && mark) {
			pair := previous + char
			s.tokens = append(s.tokens, token{word: pair, stem: pair, kind: tokenPair})
		}
		if !mark {
			s.tokens = append(s.tokens, token{word: char, stem: char, kind: tokenRune})
		}
		previous, marked = char, mark
	}
}

// inPair reports whether the character at i belongs to a run of several: a
// pair then stands right before or right after it.
func inPair(tokens []token, i int) bool {
	return i > 0 && tokens[i-1].kind == tokenPair && strings.HasSuffix(tokens[i-1].stem, tokens[i].stem) ||
		i+1 < len(tokens) && tokens[i+1].kind == tokenPair && strings.HasPrefix(tokens[i+1].stem, tokens[i].stem)
}

// compoundOfStops reports whether the last parts are all stop words, as in
// "to-do": only the joined form of such a compound says anything.
func compoundOfStops(tokens []token) bool {
	for i := len(tokens) - 1; i >= 0 && tokens[i].kind == tokenPart && tokens[i].joined == tokens[len(tokens)-1].joined; i-- {
		if !tokens[i].stop {
			return false
		}
	}
	return true
}

func newToken(word string, kind tokenKind) token {
	word = cutRunes(word, maxWordRunes)
	return token{word: word, stem: stemEnglish(word), kind: kind, stop: stopWords[word]}
}

// markMonths takes "may" from the stop words where it is the month: beside a
// number, or after a word like "in".
func markMonths(tokens []token) {
	for i := range tokens {
		if tokens[i].word != "may" {
			continue
		}
		month := i > 0 && (startsWithDigit(tokens[i-1].word) || monthLead[tokens[i-1].word])
		month = month || i+1 < len(tokens) && startsWithDigit(tokens[i+1].word)
		tokens[i].stop = !month
	}
}

// runeClass says what a folded rune does in a text.
type runeClass uint8

const (
	classBreak runeClass = iota // separates words
	classWord                   // letters and digits of scripts written with spaces
	classMark                   // changes the letter before it: part of a word, but not its start
	classDense                  // letters of scripts written without
	classEmoji                  // a word by itself
)

// denseScripts are written without spaces between words. Hangul is not, but
// fuses particles with its words, and pairs find the word inside.
var denseScripts = []*unicode.RangeTable{
	unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul, unicode.Bopomofo,
	unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar,
}

func classOf(r rune) runeClass {
	switch {
	case r < utf8.RuneSelf:
		if 'a' <= r && r <= 'z' || '0' <= r && r <= '9' {
			return classWord
		}
		return classBreak
	case r == 'ー' || unicode.In(r, denseScripts...) && unicode.In(r, unicode.L, unicode.M):
		return classDense
	case unicode.In(r, unicode.L, unicode.N):
		return classWord
	case unicode.Is(unicode.M, r):
		return classMark
	case isEmoji(r):
		return classEmoji
	}
	return classBreak
}

// isEmoji reports whether r is a pictograph: the symbols of the blocks that
// hold them, without arrows, box drawing and bullets.
func isEmoji(r rune) bool {
	switch {
	case 0x2300 <= r && r <= 0x23FF, 0x2600 <= r && r <= 0x27BF, 0x2B00 <= r && r <= 0x2BFF, 0x1F000 <= r && r <= 0x1FAFF:
		return unicode.Is(unicode.So, r)
	}
	return false
}

// emojiLen returns the length of the emoji at the start of s: one rune, or
// the two letters of a flag.
func emojiLen(s string) int {
	first, n := utf8.DecodeRuneInString(s)
	if second, m := utf8.DecodeRuneInString(s[n:]); isFlagLetter(first) && isFlagLetter(second) {
		return n + m
	}
	return n
}

func isFlagLetter(r rune) bool { return 0x1F1E6 <= r && r <= 0x1F1FF }

// emojiName spells an emoji in letters and digits, because FTS5's ascii
// tokenizer is the only one that keeps every other token whole.
func emojiName(s string) string {
	const digits = "0123456789abcdef"
	var name []byte
	for _, r := range s {
		name = append(name, 'u')
		for shift := 16; shift >= 0; shift -= 4 {
			name = append(name, digits[r>>shift&15])
		}
	}
	return string(name)
}

// takeRun returns the longest start of s of one class; marks stay with the
// letters of a word.
func takeRun(s string, class runeClass) string {
	for i, r := range s {
		if c := classOf(r); c != class && !(c == classMark && class == classWord) {
			return s[:i]
		}
	}
	return s
}

// compoundMark returns the mark at the start of s that ties the word before
// it to a word after it, and its size: a hyphen, an apostrophe or an
// underscore, a point or comma inside a number, a point between initials.
func compoundMark(s, before string) (mark rune, size int) {
	mark, size = utf8.DecodeRuneInString(s)
	after, _ := utf8.DecodeRuneInString(s[size:])
	if classOf(after) != classWord {
		return 0, 0
	}
	switch {
	case mark == '-' || mark == '_' || unicode.Is(unicode.Hyphen, mark) || isApostrophe(mark):
		return mark, size
	case (mark == '.' || mark == ',') && endsInDigit(before) && isDigit(after):
		return mark, size
	case mark == '.' && utf8.RuneCountInString(before) == 1 && len(takeRun(s[size:], classWord)) == utf8.RuneLen(after):
		return mark, size
	}
	return 0, 0
}

func isApostrophe(r rune) bool { return r == '\'' || r == '’' || r == '‘' }

func isDigit(r rune) bool { return '0' <= r && r <= '9' }

func startsWithDigit(s string) bool { return s != "" && isDigit(rune(s[0])) }

func endsInDigit(s string) bool { return s != "" && isDigit(rune(s[len(s)-1])) }

// foldText brings text into the one form in which words are compared:
// compatibility forms resolved, case folded, accents removed from the
// alphabets where they are optional in practice, invalid bytes made spaces.
func foldText(text string) string {
	if isASCII(text) {
		return strings.ToLower(text)
	}
	text = strings.ToValidUTF8(text, " ")
	// Folding maps Cherokee letters to and fro; lower case settles them.
	text = strings.ToLower(cases.Fold().String(norm.NFKC.String(text)))
	text = removeAccents(norm.NFKD.String(text))
	return norm.NFC.String(text)
}

// accentedScripts are those whose marks people leave out when they type. In
// others (Devanagari, Thai, Japanese) a mark makes another letter.
var accentedScripts = []*unicode.RangeTable{unicode.Latin, unicode.Greek, unicode.Cyrillic, unicode.Hebrew, unicode.Arabic}

// letterForms are Latin letters with a stroke or ligature, which Unicode does
// not take apart, and an apostrophe that it counts as a letter.
var letterForms = map[rune]string{'ʼ': "'", 'ø': "o", 'ł': "l", 'đ': "d", 'ð': "d", 'ħ': "h", 'ı': "i", 'ŧ': "t", 'æ': "ae", 'œ': "oe", 'þ': "th"}

func removeAccents(decomposed string) string {
	var b strings.Builder
	b.Grow(len(decomposed))
	accented := true // a mark without a letter is nothing
	for _, r := range decomposed {
		if isSilent(r) {
			continue
		}
		if unicode.Is(unicode.Mn, r) {
			if !accented {
				b.WriteRune(r)
			}
			continue
		}
		accented = r < utf8.RuneSelf || !unicode.Is(unicode.L, r) || unicode.In(r, accentedScripts...)
		if form, ok := letterForms[r]; ok {
			b.WriteString(form)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// isSilent reports whether r is seen by nobody or only dresses what stands
// before it: soft hyphens, joiners, direction marks, emoji variants, skin tones.
func isSilent(r rune) bool {
	return unicode.In(r, unicode.Cf, unicode.Me, unicode.Variation_Selector) || 0x1F3FB <= r && r <= 0x1F3FF
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// cutBytes returns the longest start of s of at most n bytes that does not
// cut a rune.
func cutBytes(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// cutAtSpace is cutBytes, but prefers to cut after white space.
func cutAtSpace(s string, n int) string {
	if len(s) <= n {
		return s
	}
	head := cutBytes(s, n)
	if i := strings.LastIndexAny(head, " \n\t"); i > 0 {
		return head[:i+1]
	}
	if head == "" {
		return s[:n]
	}
	return head
}

func cutRunes(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for i := range s {
		if n == 0 {
			return s[:i]
		}
		n--
	}
	return s
}

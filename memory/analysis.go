package memory

import (
	"cmp"
	"encoding/binary"
	"errors"
	"hash/fnv"
	"math"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// A Lexicon knows how near words are to each other in meaning. It is read by
// several goroutines at once.
type Lexicon interface {
	// ID names the table; it changes whenever the meaning of a row does, so
	// that rows remembered from another table are never compared.
	ID() string
	// Lookup returns the row of a lower-case word, or -1 if it has none.
	Lookup(word string) int32
	// Cosine returns the similarity of two rows, from -1 to 1.
	Cosine(a, b int32) float32
}

// The most that is remembered of one engram. What exceeds it is found by full
// text and weighed by what was remembered.
const (
	maxTerms = 8192 // different words
	maxRows  = 512  // different words compared by meaning
	maxPairs = 4096 // different neighbouring words
	maxNames = 8    // different capitalised words
)

// analysisInput is what an engram is weighed by.
type analysisInput struct {
	Content string
	Tags    []string
	Source  string
	When    time.Time // valid_from, or created_at without one
}

// indexText returns what the full-text index holds of the engram.
func (in analysisInput) indexText() string {
	return indexText(in.Content, strings.Join(in.Tags, "\n"), in.Source, spokenDate(in.When))
}

// spokenDate returns the day of t as people write it in a sentence, so that a
// query that names the day, the month or the year finds what happened then.
func spokenDate(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2 January 2006")
}

// An analysis is everything that scoring needs to know of one engram and that
// does not depend on the query. It is computed when the engram is written.
type analysis struct {
	ownLen     int // words, without stop words: content, tags, source, date
	contentLen int // of content and tags alone, which is what neighbours see
	terms      []termCount
	pairs      []uint32 // hashes of neighbouring content words, ascending
	names      []uint32 // hashes of capitalised words inside sentences, ascending
	lexicon    uint32   // hash of the ID of the lexicon the rows belong to; 0 without one
	rows       []int32  // of the content's words, ascending
	flags      analysisFlags
}

// A termCount says how often a word occurs.
type termCount struct {
	term    uint32 // hash of the stem
	own     uint16 // in everything
	content uint16 // in content and tags
}

type analysisFlags uint8

const (
	flagAsks    analysisFlags = 1 << iota // contains a question mark
	flagEndsAsk                           // ends with one
	flagTime                              // contains an expression of time
)

// hashTerm returns the number by which a stem is remembered. A collision, one
// in four billion, costs a little precision of one score.
func hashTerm(stem string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(stem))
	return h.Sum32()
}

// hashPair returns the number of two neighbouring stems.
func hashPair(first, second string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(first))
	h.Write([]byte{' '})
	h.Write([]byte(second))
	return h.Sum32()
}

// lexiconHash returns the number by which an analysis remembers its lexicon.
func lexiconHash(lex Lexicon) uint32 {
	if lex == nil {
		return 0
	}
	return max(1, hashTerm(lex.ID()))
}

// analyse computes the analysis of an engram. A nil lexicon leaves meaning out.
func analyse(in analysisInput, lex Lexicon) *analysis {
	content := tokenise(cutBytes(in.Content, maxTextBytes))
	tags := tokenise(strings.Join(in.Tags, "\n"))
	label := tokenise(in.Source + "\n" + spokenDate(in.When))

	a := &analysis{lexicon: lexiconHash(lex)}
	counts := termCounter{}
	a.contentLen = counts.add(content, true) + counts.add(tags, true)
	a.ownLen = a.contentLen + counts.add(label, false)
	a.terms = counts.sorted()
	a.pairs = pairsOf(content)
	a.names = namesIn(in.Content)
	a.rows = rowsOf(lex, content, tags)
	a.flags = flagsOf(in.Content, content)
	return a
}

// A termCounter counts words by the hash of their stems.
type termCounter map[uint32]termCount

// add counts tokens and returns their length in words. Compounds and pairs
// are counted but lengthen nothing: their parts do.
func (c termCounter) add(tokens []token, content bool) (length int) {
	for _, t := range tokens {
		if !t.stop && t.kind != tokenJoined && t.kind != tokenPair {
			length++
		}
		term := hashTerm(t.stem)
		n, known := c[term]
		if !known && len(c) == maxTerms {
			continue
		}
		n.term = term
		n.own = min(n.own, math.MaxUint16-1) + 1
		if content {
			n.content = min(n.content, math.MaxUint16-1) + 1
		}
		c[term] = n
	}
	return length
}

func (c termCounter) sorted() []termCount {
	terms := make([]termCount, 0, len(c))
	for _, n := range c {
		terms = append(terms, n)
	}
	slices.SortFunc(terms, func(x, y termCount) int { return cmp.Compare(x.term, y.term) })
	return terms
}

// find returns how often a word occurs.
func (a *analysis) find(term uint32) termCount {
	i, found := slices.BinarySearchFunc(a.terms, term, func(n termCount, term uint32) int { return cmp.Compare(n.term, term) })
	if !found {
		return termCount{}
	}
	return a.terms[i]
}

// contentStems returns the stems of the words that say something, in their
// order and in one reading: a compound by its parts, dense scripts by pairs.
func contentStems(tokens []token) []string {
	var stems []string
	for i, t := range tokens {
		if t.stop || t.kind == tokenJoined || t.kind == tokenRune && inPair(tokens, i) {
			continue
		}
		stems = append(stems, t.stem)
	}
	return stems
}

func pairsOf(tokens []token) []uint32 {
	stems := contentStems(tokens)
	var pairs []uint32
	for i := 1; i < len(stems) && len(pairs) < maxPairs; i++ {
		pairs = append(pairs, hashPair(stems[i-1], stems[i]))
	}
	return sortedSet(pairs)
}

func rowsOf(lex Lexicon, lists ...[]token) []int32 {
	if lex == nil {
		return nil
	}
	seen := map[int32]bool{}
	for _, tokens := range lists {
		for _, t := range tokens {
			if t.stop || len(seen) == maxRows {
				continue
			}
			if row := lex.Lookup(t.word); row >= 0 {
				seen[row] = true
			}
		}
	}
	rows := make([]int32, 0, len(seen))
	for row := range seen {
		rows = append(rows, row)
	}
	slices.Sort(rows)
	return rows
}

// namesIn returns the capitalised words that do not start a sentence.
func namesIn(content string) []uint32 {
	var names []uint32
	starts := true // at the start of a sentence
	for field := range strings.FieldsSeq(cutBytes(content, maxNormaliseBytes)) {
		word := strings.TrimFunc(field, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
		first, _ := utf8.DecodeRuneInString(word)
		if !starts && unicode.IsUpper(first) {
			if t := tokenise(word); len(t) > 0 && !t[0].stop && len(names) < maxNames {
				names = append(names, hashTerm(t[0].stem))
			}
		}
		starts = strings.HasSuffix(strings.TrimRight(field, `"')]”’`), ".") || strings.ContainsAny(field, "!?:…[")
	}
	return sortedSet(names)
}

func flagsOf(content string, tokens []token) (f analysisFlags) {
	body := strings.TrimSpace(content)
	if i := strings.LastIndexByte(body, '['); i > 0 && strings.HasSuffix(body, "]") {
		body = strings.TrimSpace(body[:i]) // what is attached, such as the caption of an image
	}
	if strings.ContainsAny(body, "?？؟") {
		f |= flagAsks
	}
	if last, _ := utf8.DecodeLastRuneInString(body); last == '?' || last == '？' || last == '؟' {
		f |= flagEndsAsk
	}
	if mentionsTime(tokens) {
		f |= flagTime
	}
	return f
}

func sortedSet(s []uint32) []uint32 {
	slices.Sort(s)
	return slices.Compact(s)
}

// analysisVersion is the first byte of an encoded analysis. It changes with
// the encoding and with everything that an analysis depends on: how text is
// taken apart, stop words, flags.
const analysisVersion = 1

// errAnalysis says that stored bytes are not an analysis of this version: the
// engram has to be analysed again.
var errAnalysis = errors.New("not an analysis of this version")

// appendTo appends the encoding of a to b: the version, then unsigned
// varints, ascending lists by their differences.
func (a *analysis) appendTo(b []byte) []byte {
	b = append(b, analysisVersion, byte(a.flags))
	b = binary.AppendUvarint(b, uint64(a.ownLen))
	b = binary.AppendUvarint(b, uint64(a.contentLen))
	b = binary.AppendUvarint(b, uint64(a.lexicon))
	b = binary.AppendUvarint(b, uint64(len(a.terms)))
	previous := uint32(0)
	for _, t := range a.terms {
		b = binary.AppendUvarint(b, uint64(t.term-previous))
		b = binary.AppendUvarint(b, uint64(t.content))
		b = binary.AppendUvarint(b, uint64(t.own-t.content))
		previous = t.term
	}
	b = appendAscending(b, a.rows)
	b = appendAscending(b, a.pairs)
	return appendAscending(b, a.names)
}

func appendAscending[T int32 | uint32](b []byte, list []T) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	previous := T(0)
	for _, v := range list {
		b = binary.AppendUvarint(b, uint64(v-previous))
		previous = v
	}
	return b
}

// decodeAnalysis reads what appendTo wrote. Damaged bytes give errAnalysis and
// never more than their own size in memory times a small factor.
func decodeAnalysis(b []byte) (*analysis, error) {
	if len(b) < 2 || b[0] != analysisVersion {
		return nil, errAnalysis
	}
	d := varintReader{rest: b[2:]}
	a := &analysis{flags: analysisFlags(b[1])}
	a.ownLen = int(d.next(math.MaxInt32))
	a.contentLen = int(d.next(math.MaxInt32))
	a.lexicon = uint32(d.next(math.MaxUint32))
	a.terms = make([]termCount, d.length(maxTerms))
	previous := uint64(0)
	for i := range a.terms {
		previous += d.next(math.MaxUint32 - previous)
		content := d.next(math.MaxUint16)
		label := d.next(math.MaxUint16 - content)
		a.terms[i] = termCount{term: uint32(previous), own: uint16(content + label), content: uint16(content)}
	}
	a.rows = readAscending[int32](&d, maxRows, math.MaxInt32)
	a.pairs = readAscending[uint32](&d, maxPairs, math.MaxUint32)
	a.names = readAscending[uint32](&d, maxNames, math.MaxUint32)
	if d.bad || len(d.rest) > 0 {
		return nil, errAnalysis
	}
	return a, nil
}

func readAscending[T int32 | uint32](d *varintReader, most int, limit uint64) []T {
	list := make([]T, d.length(most))
	previous := uint64(0)
	for i := range list {
		previous += d.next(limit - previous)
		list[i] = T(previous)
	}
	return list
}

// A varintReader reads unsigned varints; after the first that is cut off or
// too large it is bad and reads zeros.
type varintReader struct {
	rest []byte
	bad  bool
}

func (d *varintReader) next(limit uint64) uint64 {
	v, n := binary.Uvarint(d.rest)
	if d.bad || n <= 0 || v > limit {
		d.bad = true
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

// length reads the length of a list, each element of which takes a byte or more.
func (d *varintReader) length(most int) int {
	return int(d.next(uint64(min(most, len(d.rest)))))
}

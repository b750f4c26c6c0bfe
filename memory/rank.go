package memory

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"
)

// A rankPart is one reason for which an engram scores.
type rankPart int

// The parts of a score, in the order in which they are explained.
const (
	partWords      rankPart = iota // the query's words in the engram and close around it
	partAround                     // the same, seen wider
	partContext                    // the query's words anywhere in its context
	partMeaning                    // other words that mean something like the query's
	partNearby                     // the query's words and similar ones in it and close around it
	partCosine                     // likeness of the texts by their vectors, close around it too
	partSource                     // the query names its source
	partSpecific                   // it is made of rare words
	partTime                       // it says when
	partWhen                       // and the query asks when
	partNames                      // it names people, places or things
	partDate                       // it is of the time that the query names
	partPhrase                     // two of the query's words side by side
	partQuestion                   // it ends with a question
	partImportance                 // as set by its author
	partConfidence                 // likewise
	partRecency                    // written lately, counted from the newest write
	partLinks                      // linked with other good answers
	partSuperseded                 // superseded by another engram
	numParts
)

// rankPartNames are the keys under which parts are shown.
var rankPartNames = [numParts]string{
	"words", "around", "context", "meaning", "nearby", "cosine", "source", "specific", "time", "when",
	"names", "date", "phrase", "question", "importance", "confidence", "recency", "links", "superseded",
}

// partWeights says what a full part is worth. Parts of the query's words are
// divided by the most that the query could get, so a weight holds for short
// and long queries and for small and large stores.
type partWeights [numParts]float64

// rankWeights were found on annotated conversations; DESIGN-rank.md tells how,
// what each is worth, and how little the exact figures matter.
var rankWeights = partWeights{
	partWords:      2,
	partAround:     2,
	partContext:    4,
	partMeaning:    4,
	partNearby:     8,
	partCosine:     10,
	partSource:     1.75,
	partSpecific:   2,
	partTime:       .4,
	partWhen:       1.4,
	partNames:      1,
	partDate:       6,
	partPhrase:     .5,
	partQuestion:   -.3,
	partImportance: .3,
	partConfidence: -.6,
	partRecency:    .2,
	partLinks:      .5,
	partSuperseded: -2,
}

// Constants of the parts.
const (
	countSaturation = 0.9 // k1 of BM25: how soon a repeated word adds no more
	lengthWeight    = 0.4 // b of BM25: how much a long text is held against it

	maxNeighbours = 5   // on either side; more than these say nothing
	answerWeight  = 1.0 // of the question of another source right before an engram: it is about that
	askWeight     = 0.1 // of what follows an engram that asks: it is about the answer
	similarMost   = 0.9 // of a word that is as similar as can be without being the same
	similarLeast  = 0.2 // similarity below this is chance

	fullNames     = 3       // names for the full part
	recencyHalf   = 30 * 24 // hours after which recency is worth half
	maxRankSample = 256     // words of one engram that the rarity of words is counted on
)

// Weights of neighbours, nearest first.
var (
	wordsBefore  = []float64{.3, .2, .15}
	wordsAfter   = []float64{.5, .2, .15}
	aroundBefore = []float64{.6, .4, .3, .2, .15}
	aroundAfter  = []float64{.5, .35, .25, .15, .1}
	vectorBefore = []float64{.3, .15}
	vectorAfter  = []float64{.3, .15}
)

// A rankItem is an engram as scoring sees it.
type rankItem struct {
	id         string
	analysis   *analysis
	source     string
	context    string    // "" for an engram outside all contexts
	at         time.Time // valid_from, or created_at without one
	written    time.Time
	importance float64   // 0..1
	confidence float64   // 0..1
	vector     []float32 // of the content, of length 1; nil without
	candidate  bool      // wanted in the result; others only lend their words to neighbours
}

// A strand is a run of engrams that follow each other in one context without
// a gap, as far as the caller may read; an engram without neighbours is a
// strand of its own.
type strand []rankItem

// A rankLink ties two engrams, named by their ids.
type rankLink struct {
	from, to string
	relation string
	weight   float64 // 0..1
}

// relationSupersedes is the relation of an engram to the older one it replaces.
const relationSupersedes = "supersedes"

// A rankInput is a query with everything needed to rank its candidates.
type rankInput struct {
	query   string
	now     time.Time // what "yesterday" is counted from
	newest  time.Time // the newest write of the space
	engrams int       // in the space
	df      func(stem string) int
	lexicon Lexicon   // nil compares no meanings of words
	vector  []float32 // of the query, of length 1; nil compares no texts
	strands []strand
	links   []rankLink // both ends readable, one or both among the candidates
}

// A ranked engram is a candidate with its score and the parts that add up to
// it, both in ten-thousandths.
type ranked struct {
	item  *rankItem
	score int64
	parts [numParts]int64
}

// scoreUnit is the worth of one in a score or part. Rounding every part and
// adding whole numbers makes the sum exact and the order the same everywhere.
const scoreUnit = 1e-4

// rank returns the candidates, best first, equal scores by id.
func rank(in rankInput) []ranked {
	r := newRanker(in)
	found := make([]ranked, 0, len(r.items))
	for i := range r.items {
		if r.items[i].candidate {
			found = append(found, ranked{item: r.items[i].rankItem, parts: weigh(r.features(i), &rankWeights)})
		}
	}
	addLinks(found, in.links)
	for i := range found {
		for _, p := range found[i].parts {
			found[i].score += p
		}
	}
	slices.SortFunc(found, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(b.score, a.score), strings.Compare(a.item.id, b.item.id))
	})
	return found
}

func weigh(features [numParts]float64, w *partWeights) (parts [numParts]int64) {
	for p, f := range features {
		parts[p] = int64(math.Round(f * w[p] / scoreUnit))
	}
	return parts
}

// addLinks adds the parts that depend on other candidates: an engram gains by
// its best link to another good one, and loses when it is superseded.
func addLinks(found []ranked, links []rankLink) {
	if len(links) == 0 {
		return
	}
	at, base, best := map[string]int{}, make([]float64, len(found)), 0.0
	for i := range found {
		at[found[i].item.id] = i
		for _, p := range found[i].parts {
			base[i] += float64(p)
		}
		best = max(best, base[i])
	}
	for _, l := range links {
		from, fromFound := at[l.from]
		to, toFound := at[l.to]
		if l.relation == relationSupersedes {
			if toFound {
				found[to].parts[partSuperseded] = min(found[to].parts[partSuperseded], linkPart(partSuperseded, l.weight))
			}
			continue
		}
		if fromFound && toFound && best > 0 {
			gain := func(i, other int) {
				found[i].parts[partLinks] = max(found[i].parts[partLinks], linkPart(partLinks, l.weight*base[other]/best))
			}
			gain(from, to)
			gain(to, from)
		}
	}
}

func linkPart(p rankPart, f float64) int64 { return int64(math.Round(f * rankWeights[p] / scoreUnit)) }

// A ranker holds what the parts of all candidates are computed from.
type ranker struct {
	rankInput
	tokens []token // of the query
	terms  []rankTerm
	pairs  map[uint32]float64 // neighbouring words of the query, with the sum of their idf
	when   bool
	date   dateTarget
	ideal  float64 // sum of idf over the terms
	topic  float64 // the same without the names of sources

	items       []rankedItem
	named       map[string]bool // sources that the query names
	sourceStems map[uint32]bool // words of all sources
	rarity      map[uint32]float64
	groups      map[string]*contextWords
	ownMean     float64 // words of an engram
	contentMean float64
}

// A rankTerm is a word of the query.
type rankTerm struct {
	queryTerm
	hash   uint32
	joined []uint32
	idf    float64
	name   bool  // of a source
	row    int32 // in the lexicon, -1 without
}

// A rankedItem is an item with, for every term of the query, how often it
// occurs and how well the nearest word matches it (1 for the word itself).
type rankedItem struct {
	*rankItem
	strand       int
	own, content []float64
	match        []float64
}

// contextWords are the words of a context, as far as its engrams are at hand.
type contextWords struct {
	counts []float64
	length float64
	score  float64
}

func newRanker(in rankInput) *ranker {
	r := &ranker{rankInput: in, tokens: tokenise(cutBytes(in.query, maxQueryBytes))}
	r.when = asksWhen(r.tokens)
	r.date = queryDate(r.tokens, in.now)
	for s, st := range in.strands {
		for i := range st {
			r.items = append(r.items, rankedItem{rankItem: &st[i], strand: s})
		}
	}
	r.findSources()
	r.findTerms()
	r.findPairs()
	r.countWords()
	r.scoreContexts()
	r.matchWords()
	r.countRarity()
	return r
}

// inverseFrequency is how much a word tells that occurs in df of n texts.
func inverseFrequency(n, df float64) float64 { return math.Log(1 + (max(n, df)-df+.5)/(df+.5)) }

// findSources finds which sources of the items the query names: those whose
// words all stand in it.
func (r *ranker) findSources() {
	asked := map[uint32]bool{}
	for _, t := range r.tokens {
		asked[hashTerm(t.stem)] = !t.stop
	}
	r.named, r.sourceStems = map[string]bool{}, map[uint32]bool{}
	seen := map[string]bool{}
	for _, it := range r.items {
		if seen[it.source] {
			continue
		}
		seen[it.source] = true
		words := tokenise(it.source)
		named := len(words) > 0
		for _, t := range words {
			stem := hashTerm(t.stem)
			r.sourceStems[stem] = true
			named = named && asked[stem]
		}
		if named {
			r.named[it.source] = true
		}
	}
}

func (r *ranker) findTerms() {
	names := map[string]bool{}
	for source := range r.named {
		for _, t := range tokenise(source) {
			names[t.stem] = true
		}
	}
	for _, q := range meaningful(queryTerms(r.query)) {
		t := rankTerm{queryTerm: q, hash: hashTerm(q.stem), name: names[q.stem], row: -1}
		t.idf = inverseFrequency(float64(r.engrams), float64(r.df(q.stem)))
		for _, j := range q.joined {
			t.joined = append(t.joined, hashTerm(j))
		}
		r.ideal += t.idf
		if !t.name {
			r.topic += t.idf
			if r.lexicon != nil {
				t.row = r.lexicon.Lookup(q.word)
			}
		}
		r.terms = append(r.terms, t)
	}
}

func (r *ranker) findPairs() {
	byStem := map[string]*rankTerm{}
	for k := range r.terms {
		byStem[r.terms[k].stem] = &r.terms[k]
	}
	asked := slices.DeleteFunc(slices.Clone(r.tokens), func(t token) bool { return questionWords[t.word] })
	r.pairs = map[uint32]float64{}
	var previous *rankTerm
	for _, stem := range contentStems(asked) {
		this := byStem[stem]
		if this != nil && this.name {
			this = nil
		}
		if previous != nil && this != nil {
			r.pairs[hashPair(previous.stem, this.stem)] = previous.idf + this.idf
		}
		previous = this
	}
}

// countWords counts the query's words in every item and in every context.
func (r *ranker) countWords() {
	n := len(r.terms)
	counts := make([]float64, 3*n*len(r.items))
	r.groups = map[string]*contextWords{}
	for i := range r.items {
		it := &r.items[i]
		it.own, it.content, it.match, counts = counts[:n:n], counts[n:2*n:2*n], counts[2*n:3*n:3*n], counts[3*n:]
		group := r.group(it.context)
		group.length += float64(it.analysis.contentLen)
		r.ownMean += float64(it.analysis.ownLen)
		r.contentMean += float64(it.analysis.contentLen)
		for k := range r.terms {
			c := it.analysis.find(r.terms[k].hash)
			for _, joined := range r.terms[k].joined {
				if alt := it.analysis.find(joined); alt.own > c.own {
					c = alt
				}
			}
			it.own[k], it.content[k] = float64(c.own), float64(c.content)
			group.counts[k] += it.content[k]
		}
	}
	r.ownMean = max(1, r.ownMean/float64(max(1, len(r.items))))
	r.contentMean = max(1, r.contentMean/float64(max(1, len(r.items))))
}

// group returns the words of a context. Engrams outside all contexts have
// none in common.
func (r *ranker) group(context string) *contextWords {
	group := r.groups[context]
	if group == nil {
		group = &contextWords{counts: make([]float64, len(r.terms))}
		if context != "" {
			r.groups[context] = group
		}
	}
	return group
}

// matchWords finds for every item how well its nearest word matches each term.
func (r *ranker) matchWords() {
	for i := range r.items {
		for k, count := range r.items[i].content {
			if count > 0 {
				r.items[i].match[k] = 1
			}
		}
	}
	if r.lexicon == nil {
		return
	}
	lexicon := lexiconHash(r.lexicon)
	for k, t := range r.terms {
		if t.row < 0 {
			continue
		}
		similar := map[int32]float64{}
		for i := range r.items {
			it := &r.items[i]
			if it.match[k] == 1 || it.analysis.lexicon != lexicon {
				continue
			}
			best := 0.0
			for _, row := range it.analysis.rows {
				s, known := similar[row]
				if !known {
					s = float64(r.lexicon.Cosine(t.row, row))
					similar[row] = s
				}
				best = max(best, s)
			}
			it.match[k] = similarMost * best
		}
	}
}

// countRarity finds how rare the words of the items are among them. A sample
// by hash, the same words in every engram, bounds the work for long texts.
func (r *ranker) countRarity() {
	df := map[uint32]float64{}
	for i := range r.items {
		for _, t := range r.items[i].analysis.sample() {
			df[t.term]++
		}
	}
	n := float64(len(r.items))
	r.rarity = df
	for term, count := range df {
		df[term] = inverseFrequency(n, count) / inverseFrequency(n, 1)
	}
}

// features returns the parts of one candidate before they are weighed.
func (r *ranker) features(i int) (f [numParts]float64) {
	it := &r.items[i]
	r.wordFeatures(i, &f)
	r.meaningFeatures(i, &f)
	f[partContext] = r.group(it.context).score
	f[partCosine] = r.likeness(i)
	if len(r.named) == 1 && r.named[it.source] {
		f[partSource] = 1
	}
	f[partSpecific] = r.specificity(it.analysis)
	if it.analysis.flags&flagTime != 0 {
		f[partTime] = 1
		if r.when {
			f[partWhen] = 1
		}
	}
	f[partNames] = r.namesShare(it.analysis)
	f[partDate] = r.date.nearness(it.at)
	if it.analysis.flags&flagEndsAsk != 0 {
		f[partQuestion] = 1
	}
	f[partImportance] = 2*it.importance - 1
	f[partConfidence] = 1 - it.confidence
	if age := r.newest.Sub(it.written).Hours(); !it.written.IsZero() {
		f[partRecency] = math.Exp2(-max(0, age) / recencyHalf)
	}
	return f
}

// wordFeatures counts the query's words in the engram and its neighbours.
func (r *ranker) wordFeatures(i int, f *[numParts]float64) {
	w := r.windowAt(i)
	r.answering(i, wordsBefore, wordsAfter, w.add)
	f[partWords] = w.score()

	w = r.windowAt(i)
	r.around(i, aroundBefore, aroundAfter, w.add)
	f[partAround] = w.score()
}

// around calls add for every neighbour that has a weight.
func (r *ranker) around(i int, before, after []float64, add func(n *rankedItem, weight float64)) {
	for d := range before {
		if n := r.neighbour(i, -d-1); n != nil {
			add(n, before[d])
		}
		if n := r.neighbour(i, d+1); n != nil {
			add(n, after[d])
		}
	}
}

// answering is around with regard to questions: an answer is about what the
// question before it asks, and an engram that asks is not about the answer.
func (r *ranker) answering(i int, before, after []float64, add func(n *rankedItem, weight float64)) {
	asks := r.items[i].analysis.flags&flagAsks != 0
	previous, next := r.neighbour(i, -1), r.neighbour(i, 1)
	r.around(i, before, after, func(n *rankedItem, weight float64) {
		switch {
		case n == previous && n.analysis.flags&flagAsks != 0 && n.source != r.items[i].source:
			weight = answerWeight
		case n == next && asks:
			weight = askWeight
		}
		add(n, weight)
	})
}

// A window adds up the words of an item and its neighbours. It is scored as
// one text, so that a word counts once for all of them, and its length is
// compared with what as many average texts would have.
type window struct {
	r                *ranker
	counts           []float64
	length, expected float64
}

func (r *ranker) windowAt(i int) window {
	it := &r.items[i]
	return window{r: r, counts: slices.Clone(it.own), length: float64(it.analysis.ownLen), expected: r.ownMean}
}

func (w *window) add(n *rankedItem, weight float64) {
	w.length += weight * float64(n.analysis.contentLen)
	w.expected += weight * w.r.contentMean
	for k, c := range n.content {
		w.counts[k] += weight * c
	}
}

func (w *window) score() float64 {
	sum := 0.0
	for k, count := range w.counts {
		sum += w.r.terms[k].idf * saturate(count, w.length/w.expected)
	}
	return share(sum, w.r.ideal)
}

// saturate is the term of BM25: it grows with the count, ever more slowly.
func saturate(count, length float64) float64 {
	return count * (1 + countSaturation) / (count + countSaturation*(1-lengthWeight+lengthWeight*length))
}

func share(part, whole float64) float64 {
	if whole == 0 {
		return 0
	}
	return part / whole
}

// neighbour returns the item d places from i in its strand, or nil.
func (r *ranker) neighbour(i, d int) *rankedItem {
	if j := i + d; j >= 0 && j < len(r.items) && r.items[j].strand == r.items[i].strand {
		return &r.items[j]
	}
	return nil
}

// scoreContexts gives every context its BM25 as one text among the others.
func (r *ranker) scoreContexts() {
	n, total := float64(len(r.groups)), 0.0
	df := make([]float64, len(r.terms))
	for _, g := range r.groups {
		total += g.length // of whole numbers: exact in any order
		for k, c := range g.counts {
			if c > 0 {
				df[k]++
			}
		}
	}
	for _, g := range r.groups {
		sum := 0.0
		for k, c := range g.counts {
			sum += inverseFrequency(n, df[k]) * saturate(c, g.length/max(1, total/n))
		}
		g.score = share(sum, r.ideal)
	}
}

// meaningFeatures compares words by meaning. Names of sources are left out:
// one name is as near to another as can be, and means somebody else.
func (r *ranker) meaningFeatures(i int, f *[numParts]float64) {
	it := &r.items[i]
	nearby := make([]float64, len(r.terms))
	add := func(n *rankedItem, weight float64) {
		for k, m := range n.match {
			nearby[k] += weight * m * m // squared: a few good matches, not many faint ones
		}
	}
	add(it, 1)
	r.answering(i, wordsBefore, wordsAfter, add)
	for k := range r.terms {
		t := &r.terms[k]
		if t.name {
			continue
		}
		f[partNearby] += share(t.idf*nearby[k]/(nearby[k]+countSaturation), r.topic)
		if it.match[k] < 1 {
			f[partMeaning] += share(t.idf*max(0, it.match[k]-similarLeast), r.topic)
		}
	}
	for _, p := range it.analysis.pairs {
		f[partPhrase] += share(r.pairs[p], r.topic)
	}
}

// likeness is the cosine of the query's vector and that of the engram with
// some of its neighbours' added, because a turn of a conversation is about
// what was said around it.
func (r *ranker) likeness(i int) float64 {
	own := r.items[i].vector
	if len(r.vector) == 0 || len(own) != len(r.vector) {
		return 0
	}
	sum := make([]float64, len(own))
	add := func(n *rankedItem, weight float64) {
		if len(n.vector) == len(sum) {
			for d, v := range n.vector {
				sum[d] += weight * float64(v)
			}
		}
	}
	add(&r.items[i], 1)
	r.answering(i, vectorBefore, vectorAfter, add)
	dot, square := 0.0, 0.0
	for d, v := range sum {
		dot += v * float64(r.vector[d])
		square += v * v
	}
	return share(dot, math.Sqrt(square))
}

// sample returns the words of the content with the lowest hashes, all of them
// unless the text is long.
func (a *analysis) sample() []termCount {
	return a.terms[:min(len(a.terms), maxRankSample)]
}

// specificity is the mean rarity of the words: small talk is made of words
// that are everywhere.
func (r *ranker) specificity(a *analysis) float64 {
	sum, n := 0.0, 0.0
	for _, t := range a.sample() {
		if t.content > 0 && !stopHashes[t.term] {
			sum += r.rarity[t.term] * float64(t.content)
			n += float64(t.content)
		}
	}
	return share(sum, n)
}

// stopHashes are the hashes of the stop words.
var stopHashes = func() map[uint32]bool {
	set := map[uint32]bool{}
	for word := range stopWords {
		set[hashTerm(stemEnglish(word))] = true
	}
	return set
}()

func (r *ranker) namesShare(a *analysis) float64 {
	names := 0
	for _, n := range a.names {
		if !r.sourceStems[n] {
			names++
		}
	}
	return float64(min(fullNames, names)) / fullNames
}

package quality

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// bm25 is what any full-text index does out of the box: the formula and
// constants of FTS5 over content, source and date, stop words left out of the
// query, common endings cut off.
type bm25 struct {
	keys     []string
	postings map[string][]posting
	length   []float64
	mean     float64
}

type posting struct {
	doc   int
	count float64
}

const k1, b = 1.2, .75

func newBM25(engrams []engram) *bm25 {
	x := &bm25{postings: map[string][]posting{}}
	for i, e := range engrams {
		words := words(e.Source + " " + e.Content + " " + spoken(e.ValidFrom))
		x.keys, x.length = append(x.keys, e.Key), append(x.length, float64(len(words)))
		x.mean += float64(len(words)) / float64(len(engrams))
		for _, w := range words {
			list := x.postings[w]
			if len(list) == 0 || list[len(list)-1].doc != i {
				list = append(list, posting{doc: i})
			}
			list[len(list)-1].count++
			x.postings[w] = list
		}
	}
	return x
}

// search returns the keys of the best engrams, equal ones in their order.
func (x *bm25) search(query string, limit int) []string {
	score := x.scores(query)
	docs := make([]int, 0, len(score))
	for doc := range score {
		docs = append(docs, doc)
	}
	slices.SortFunc(docs, func(i, j int) int { return cmp.Or(cmp.Compare(score[j], score[i]), cmp.Compare(i, j)) })
	var found []string
	for _, doc := range docs[:min(limit, len(docs))] {
		found = append(found, x.keys[doc])
	}
	return found
}

// scores are those of the engrams that have a word of the query.
func (x *bm25) scores(query string) map[int]float64 {
	score := map[int]float64{}
	seen := map[string]bool{}
	for _, w := range words(query) {
		if seen[w] || stop[w] {
			continue
		}
		seen[w] = true
		list := x.postings[w]
		n, df := float64(len(x.keys)), float64(len(list))
		idf := max(1e-6, math.Log((n-df+.5)/(df+.5)))
		for _, p := range list {
			score[p.doc] += idf * p.count * (k1 + 1) / (p.count + k1*(1-b+b*x.length[p.doc]/x.mean))
		}
	}
	return score
}

// answer asks all questions of a set.
func (x *bm25) answer(questions []question, limit int) []asked {
	out := make([]asked, len(questions))
	for i, q := range questions {
		found := x.search(q.Question, limit)
		out[i] = asked{Type: q.Type, Question: q.Question, Gold: q.Gold}
		for _, key := range q.Gold {
			out[i].Ranks = append(out[i].Ranks, slices.Index(found, key)+1)
		}
	}
	return out
}

// words are the words of a text in lower case, without common endings.
func words(text string) []string {
	list := strings.FieldsFunc(strings.ToLower(strings.ReplaceAll(text, "'s", "")), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	for i, w := range list {
		list[i] = cut(w)
	}
	return list
}

// cut takes the endings of plurals and verbs off a word that is not short.
func cut(w string) string {
	if stop[w] {
		return w
	}
	for _, ending := range []struct{ cut, put string }{
		{"sses", "ss"}, {"ies", "i"}, {"ss", "ss"}, {"s", ""},
	} {
		if rest, ok := strings.CutSuffix(w, ending.cut); ok && len(rest) > 1 {
			w = rest + ending.put
			break
		}
	}
	for _, ending := range []string{"ing", "ed"} {
		if rest, ok := strings.CutSuffix(w, ending); ok && len(rest) > 2 && strings.ContainsAny(rest, "aeiouy") {
			w = rest
			if n := len(w); w[n-1] == w[n-2] && !strings.ContainsRune("lsz", rune(w[n-1])) {
				w = w[:n-1]
			}
			break
		}
	}
	if rest, ok := strings.CutSuffix(w, "e"); ok && len(rest) > 2 {
		w = rest
	}
	if rest, ok := strings.CutSuffix(w, "y"); ok && len(rest) > 2 {
		w = rest + "i"
	}
	return w
}

var stop = func() map[string]bool {
	set := map[string]bool{}
	for _, w := range strings.Fields(`a about after again all an and any are as at be because been before being but by can could did do does doing for from
		had has have having he her hers him his how i if in into is it its me more most my no nor not of off on once only or other our out over own
		she should so some such than that the their them then there these they this those through to too under until up us very was we were what when
		where which while who whom whose why will with would you your`) {
		set[w] = true
	}
	return set
}()

func TestBM25FollowsItsFormula(t *testing.T) {
	x := newBM25([]engram{{Key: "a", Content: "red red apple"}, {Key: "b", Content: "green apples"}, {Key: "c", Content: "a walk", Source: "Ada", ValidFrom: "2024-05-07"}, {Key: "d", Content: "nothing here"}})
	for query, want := range map[string]string{
		"which are red": "a", "walking in May 2024": "c", "what did Ada do": "c", "the": "", "apple": "b a",
	} {
		if got := strings.Join(x.search(query, 2), " "); got != want {
			t.Errorf("%q found %q, want %q", query, got, want)
		}
	}
	// By hand: n = 4, df = 1, tf = 2; the lengths are 3, 2, 6, 2.
	idf, norm := math.Log(3.5/1.5), k1*(1-b+b*3/3.25)
	want := idf * 2 * (k1 + 1) / (2 + norm)
	if x.length[0] != 3 || x.mean != 3.25 {
		t.Fatalf("lengths %v, mean %v", x.length, x.mean)
	}
	if got := x.scores("red")[0]; math.Abs(got-want) > 1e-12 {
		t.Errorf("score %v, want %v", got, want)
	}
}

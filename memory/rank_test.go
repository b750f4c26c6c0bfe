package memory

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"engram-mcp/vector"
	"github.com/google/go-cmp/cmp"

	"pgregory.net/rapid"
)

var rankNow = time.Date(2024, 1, 15, 12, 0, 0, 0, time.UTC)

// say is a candidate for ranking; its id is its content.
func say(source, content string) rankItem {
	return rankItem{
		id: content, source: source, at: rankNow, written: rankNow, importance: .5, confidence: 1, candidate: true,
		analysis: analyse(analysisInput{Content: content, Source: source, When: rankNow}, petLexicon),
	}
}

// talk is a strand of candidates in one context.
func talk(context string, items ...rankItem) strand {
	for i := range items {
		items[i].context = context
		items[i].at = rankNow.Add(time.Duration(i) * time.Second)
	}
	return items
}

// rankOf ranks strands that are the whole space.
func rankOf(query string, strands ...strand) []ranked {
	return rank(inputOf(query, strands...))
}

func inputOf(query string, strands ...strand) rankInput {
	in := rankInput{query: query, now: rankNow, newest: rankNow, lexicon: petLexicon, strands: strands}
	for _, s := range strands {
		in.engrams += len(s)
	}
	in.df = func(stem string) (n int) {
		for _, s := range strands {
			for _, it := range s {
				if it.analysis.find(hashTerm(stem)).own > 0 {
					n++
				}
			}
		}
		return n
	}
	return in
}

func idsOf(found []ranked) []string {
	var ids []string
	for _, f := range found {
		ids = append(ids, f.item.id)
	}
	return ids
}

// partOf returns a part of the engram with the id.
func partOf(t *testing.T, found []ranked, id string, p rankPart) int64 {
	t.Helper()
	for _, f := range found {
		if f.item.id == id {
			return f.parts[p]
		}
	}
	t.Fatalf("%q was not ranked", id)
	return 0
}

func TestRankPrefers(t *testing.T) {
	for _, c := range []struct {
		name, query string
		strands     []strand
		best        string
	}{
		{"the words asked for", "What does Ada drink?", []strand{
			{say("Ada", "I drink tea")}, {say("Ada", "I drive to work")}, {say("Bob", "I swim")},
		}, "I drink tea"},
		{"the rare word", "dog in the garden", []strand{
			{say("", "the garden is green")}, {say("", "a garden with roses")}, {say("", "our garden at night")}, {say("", "the dog sleeps")},
		}, "the dog sleeps"},
		{"a word of the same meaning", "Who has a dog?", []strand{
			{say("", "her puppy is cute")}, {say("", "her vehicle is fast")}, {say("", "her house is large")},
		}, "her puppy is cute"},
		{"the source that is named", "What did Bob say about tea?", []strand{
			{say("Ada", "tea is fine")}, {say("Bob", "tea is bitter")},
		}, "tea is bitter"},
		{"a source of two words", "What did Code Review say about tea?", []strand{
			{say("code-reader", "tea is fine")}, {say("code-review", "tea is bitter")},
		}, "tea is bitter"},
		{"what says when, if asked when", "When did the ship sail?", []strand{
			{say("", "the ship did sail well")}, {say("", "the ship did sail yesterday")},
		}, "the ship did sail yesterday"},
		{"words side by side", "green tea", []strand{
			{say("", "green cups for black tea")}, {say("", "black cups for green tea")},
		}, "black cups for green tea"},
		{"any spelling of a compound", "e-mail", []strand{
			{say("", "an email came")}, {say("", "a letter came")},
		}, "an email came"},
	} {
		t.Run(c.name, func(t *testing.T) {
			found := rankOf(c.query, c.strands...)
			if found[0].item.id != c.best {
				t.Errorf("best is %q with %v, want %q", found[0].item.id, found[0].parts, c.best)
			}
		})
	}
}

func TestRankTellsTheDate(t *testing.T) {
	in := func(day time.Time, id string) rankItem {
		it := say("", "we met again")
		it.id, it.at = id, day
		return it
	}
	day := func(s string) time.Time {
		d, err := time.Parse(time.DateOnly, s)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	items := strand{in(day("2023-05-08"), "8 May"), in(day("2023-05-20"), "20 May"), in(day("2023-08-01"), "August"), in(day("2022-05-08"), "2022"), in(rankNow.AddDate(0, 0, -1), "yesterday")}
	for query, want := range map[string]string{
		"Whom did we meet on 8 May 2023?":  "8 May",
		"Whom did we meet on May 19th":     "20 May",
		"met 2023-05-19":                   "20 May",
		"met in August":                    "August",
		"met in 2022":                      "2022",
		"Whom did we meet yesterday?":      "yesterday",
		"Whom did we meet two days ago?":   "yesterday",
		"Whom did we meet 20 months ago?":  "2022",
		"Whom did we meet the 20th of May": "20 May",
	} {
		var strands []strand
		for _, it := range items {
			strands = append(strands, strand{it})
		}
		if found := rankOf(query, strands...); found[0].item.id != want || found[0].parts[partDate] <= 0 {
			t.Errorf("%q: best is %q (%v), want %q", query, found[0].item.id, found[0].parts, want)
		}
	}
}

func TestRankWeighsWhatItsAuthorSet(t *testing.T) {
	plain, important, doubtful, old := say("", "tea cup"), say("", "tea pot"), say("", "tea bag"), say("", "tea set")
	important.importance = 1
	doubtful.confidence = .2
	old.written = rankNow.AddDate(-1, 0, 0)
	got := idsOf(rankOf("tea", strand{plain}, strand{important}, strand{doubtful}, strand{old}))
	if want := []string{"tea pot", "tea cup", "tea set", "tea bag"}; !slices.Equal(got, want) {
		t.Errorf("order %q, want %q", got, want)
	}
}

func TestRankFollowsLinks(t *testing.T) {
	in := inputOf("Where does Ada live?", strand{say("Ada", "I live in Paris")}, strand{say("Ada", "I live in Rome")},
		strand{say("Ada", "The flat is small")}, strand{say("Ada", "The soup is hot")})
	in.links = []rankLink{
		{from: "I live in Rome", to: "I live in Paris", relation: "supersedes", weight: 1},
		{from: "The flat is small", to: "I live in Rome", relation: "about", weight: .8},
		{from: "The soup is hot", to: "somewhere else", relation: "about", weight: 1},
	}
	found := rank(in)
	if got, want := idsOf(found), []string{"I live in Rome", "I live in Paris", "The flat is small", "The soup is hot"}; !slices.Equal(got, want) {
		t.Errorf("order %q, want %q", got, want)
	}
	if p := partOf(t, found, "I live in Paris", partSuperseded); p >= 0 {
		t.Errorf("the superseded engram loses %d", p)
	}
	if p := partOf(t, found, "The soup is hot", partLinks); p != 0 {
		t.Errorf("a link that leads nowhere is worth %d", p)
	}
}

func TestAnAnswerTakesTheWordsOfItsQuestion(t *testing.T) {
	ask := func(asker string) []ranked {
		return rankOf("kayak", talk("a", say(asker, "Where did you buy the kayak?"), say("Bob", "In a shop"), say(asker, "Nice")))
	}
	answer, monologue := ask("Ada"), ask("Bob")
	if a, m := partOf(t, answer, "In a shop", partWords), partOf(t, monologue, "In a shop", partWords); a <= m {
		t.Errorf("an answer gets %d of the question before it, one's own next words %d", a, m)
	}
	if a, n := partOf(t, answer, "In a shop", partWords), partOf(t, answer, "Nice", partWords); a <= n {
		t.Errorf("the answer gets %d, what follows it %d", a, n)
	}
}

func TestRankReturnsCandidatesOnly(t *testing.T) {
	lender := say("Ada", "Where did you buy the kayak?")
	lender.candidate = false
	found := rankOf("kayak", talk("a", lender, say("Bob", "In a shop")))
	if diff := cmp.Diff([]string{"In a shop"}, idsOf(found)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if found[0].parts[partWords] == 0 {
		t.Error("a neighbour that is no candidate lends no words")
	}
}

func TestNeighboursEndWithTheStrand(t *testing.T) {
	near := rankOf("kayak", talk("a", say("Ada", "The kayak?"), say("Bob", "In a shop")))
	apart := rankOf("kayak", talk("a", say("Ada", "The kayak?")), talk("a", say("Bob", "In a shop")))
	if partOf(t, near, "In a shop", partWords) == 0 || partOf(t, apart, "In a shop", partWords) != 0 {
		t.Error("words must come from the same strand, and only from there")
	}
}

func TestRankOfNothingToAsk(t *testing.T) {
	for _, query := range []string{"", "?!", "\xff\x00", "the", "Ada"} {
		for _, f := range rankOf(query, talk("a", say("Ada", "tea"), say("", "?"), say("Ada", "\x00")), strand{}) {
			if f.score < -100e4 || f.score > 100e4 {
				t.Errorf("query %q scores %q %d", query, f.item.id, f.score)
			}
		}
	}
	if found := rank(rankInput{query: "tea", df: func(string) int { return 0 }}); len(found) != 0 {
		t.Errorf("nothing to rank gives %v", found)
	}
}

// anySpace draws a small space with conversations and single engrams.
func anySpace() *rapid.Generator[rankInput] {
	words := rapid.SampledFrom(strings.Fields("tea dog puppy car May 2023 yesterday the where? Ada Bob Paris e-mail 東京 🎉 run running"))
	return rapid.Custom(func(t *rapid.T) rankInput {
		var strands []strand
		n := 0
		for s := range rapid.IntRange(0, 4).Draw(t, "strands") {
			var items strand
			for range rapid.IntRange(1, 6).Draw(t, "length") {
				n++
				it := say(rapid.SampledFrom([]string{"Ada", "Bob", ""}).Draw(t, "source"), strings.Join(rapid.SliceOfN(words, 0, 8).Draw(t, "words"), " "))
				it.id = fmt.Sprintf("%03d", n)
				it.candidate = rapid.Bool().Draw(t, "candidate")
				it.importance = rapid.Float64Range(0, 1).Draw(t, "importance")
				items = append(items, it)
			}
			strands = append(strands, talk(fmt.Sprint(s), items...))
		}
		in := inputOf(strings.Join(rapid.SliceOfN(words, 0, 6).Draw(t, "query"), " "), strands...)
		if rapid.Bool().Draw(t, "without meaning") {
			in.lexicon = nil
		}
		for range rapid.IntRange(0, 3).Draw(t, "links") {
			in.links = append(in.links, rankLink{
				from: fmt.Sprintf("%03d", rapid.IntRange(1, 12).Draw(t, "from")), to: fmt.Sprintf("%03d", rapid.IntRange(1, 12).Draw(t, "to")),
				relation: rapid.SampledFrom([]string{relationSupersedes, "about"}).Draw(t, "relation"), weight: rapid.Float64Range(0, 1).Draw(t, "weight"),
			})
		}
		return in
	})
}

func TestPartsAddUpToTheScore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		found := rank(anySpace().Draw(t, "space"))
		for i, f := range found {
			sum := int64(0)
			for _, p := range f.parts {
				sum += p
			}
			if sum != f.score || math.Abs(float64(sum)) > 100/scoreUnit {
				t.Fatalf("parts %v add up to %d, score is %d", f.parts, sum, f.score)
			}
			if i > 0 && (found[i-1].score < f.score || found[i-1].score == f.score && found[i-1].item.id >= f.item.id) {
				t.Fatalf("%s with %d stands after %s with %d", f.item.id, f.score, found[i-1].item.id, found[i-1].score)
			}
		}
	})
}

func TestRankDoesNotDependOnTheOrderOfItsInput(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := anySpace().Draw(t, "space")
		first := rank(in)
		in.strands = rapid.Permutation(in.strands).Draw(t, "strands")
		in.links = rapid.Permutation(in.links).Draw(t, "links")
		second := rank(in)
		for i := range first {
			if first[i].item.id != second[i].item.id || first[i].parts != second[i].parts {
				t.Fatalf("at %d: %s %v, then %s %v", i, first[i].item.id, first[i].parts, second[i].item.id, second[i].parts)
			}
		}
	})
}

func TestEveryPartHasANameOfItsOwn(t *testing.T) {
	seen := map[string]bool{}
	for _, name := range rankPartNames {
		if name == "" || seen[name] {
			t.Errorf("name %q is empty or used twice", name)
		}
		seen[name] = true
	}
}

func TestVectorsOfNeighboursCount(t *testing.T) {
	items := func() []rankItem { return []rankItem{say("Ada", "one"), say("Bob", "two"), say("Ada", "three")} }
	east, north := []float32{1, 0}, []float32{0, 1}
	space := talk("a", items()...)
	space[0].vector, space[1].vector = east, north
	in := inputOf("something else", space)
	in.vector = east
	found := rank(in)
	own, near, none := partOf(t, found, "one", partCosine), partOf(t, found, "two", partCosine), partOf(t, found, "three", partCosine)
	if own <= near || near <= 0 || none != 0 {
		t.Errorf("own vector %d, the neighbour's %d, without a vector %d", own, near, none)
	}
	in.vector = []float32{1, 0, 0}
	if p := partOf(t, rank(in), "one", partCosine); p != 0 {
		t.Errorf("vectors of two lengths are compared: %d", p)
	}
}

func TestRowsOfAnotherLexiconAreNotCompared(t *testing.T) {
	in := inputOf("Who has a dog?", strand{say("", "her puppy is cute")})
	if p := partOf(t, rank(in), "her puppy is cute", partMeaning); p <= 0 {
		t.Fatalf("the part is %d with the lexicon of the analysis", p)
	}
	in.lexicon = fakeLexicon{groups: [][]string{{"puppy", "dog"}}}
	if p := partOf(t, rank(in), "her puppy is cute", partMeaning); p != 0 {
		t.Errorf("the part is %d with another lexicon", p)
	}
}

func FuzzRank(f *testing.F) {
	for _, q := range []string{"", "When did Bob buy tea in May?", "2023-99-99 days ago", "last month", "0 days ago", "May 31 2023 Feb 30", "一年前に", "9999-12-31"} {
		f.Add(q, int64(1.7e9))
	}
	f.Fuzz(func(t *testing.T, query string, now int64) {
		in := inputOf(query, talk("a", say("Ada", "Did you buy tea?"), say("Bob", "Yes, in May 2023, with a puppy")), strand{say("", query)})
		in.now = time.Unix(now%253402300800, 0)
		first, second := rank(in), rank(in)
		if diff := cmp.Diff(idsOf(first), idsOf(second)); diff != "" {
			t.Fatalf("two rankings differ:\n%s", diff)
		}
		for i := range first {
			if math.Abs(float64(first[i].score)) > 100/scoreUnit || first[i].parts != second[i].parts {
				t.Fatalf("query %q scores %v, then %v", query, first[i].parts, second[i].parts)
			}
		}
	})
}

// BenchmarkRank ranks as many candidates as a search of a large space has: 480
// of 600 engrams, in strands of 20.
func BenchmarkRank(b *testing.B) {
	table, err := vector.NewStatic()
	if err != nil {
		b.Fatal(err)
	}
	file, err := os.ReadFile("../vector/testdata/reworded-distractors.txt")
	if err != nil {
		b.Fatal(err)
	}
	query := "What musical instruments did Ada play at the concert last summer with her family?"
	texts := append(strings.SplitN(string(file), "\n", 601)[:600], query)
	vectors, err := table.Embed(b.Context(), texts)
	if err != nil {
		b.Fatal(err)
	}
	in := rankInput{query: query, now: rankNow, newest: rankNow, engrams: 100_000, df: func(stem string) int { return 100 * len(stem) }}
	for s := range 30 {
		var items []rankItem
		for i := range 20 {
			it := say([]string{"Ada", "Bob"}[i%2], texts[20*s+i])
			it.analysis = analyse(analysisInput{Content: texts[20*s+i], Source: it.source, When: rankNow}, table)
			it.vector, it.candidate = vectors[20*s+i], i >= 2 && i < 18
			items = append(items, it)
		}
		in.strands = append(in.strands, talk(fmt.Sprint(s), items...))
	}
	for _, c := range []struct {
		name    string
		lexicon Lexicon
		vector  []float32
	}{{"words", nil, nil}, {"words and meaning", table, nil}, {"words and meaning and vectors", table, vectors[600]}} {
		b.Run(c.name, func(b *testing.B) {
			in.lexicon, in.vector = c.lexicon, c.vector
			b.ReportAllocs()
			for b.Loop() {
				rank(in)
			}
		})
	}
}

package memory

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// fakeLexicon knows a few words; words of one group mean nearly the same.
type fakeLexicon struct{ groups [][]string }

func (l fakeLexicon) ID() string { return fmt.Sprint("fake ", l.groups) }

func (l fakeLexicon) Lookup(word string) int32 {
	for g, group := range l.groups {
		if i := slices.Index(group, word); i >= 0 {
			return int32(100*g + i)
		}
	}
	return -1
}

func (l fakeLexicon) Cosine(a, b int32) float32 {
	switch {
	case a == b:
		return 1
	case a/100 == b/100:
		return .8
	}
	return -.1
}

var petLexicon = fakeLexicon{groups: [][]string{{"dog", "puppy", "hound"}, {"car", "vehicle"}, {"happy", "glad"}}}

func counts(a *analysis, stems ...string) map[string][2]int {
	found := map[string][2]int{}
	for _, stem := range stems {
		n := a.find(hashTerm(stem))
		found[stem] = [2]int{int(n.own), int(n.content)}
	}
	return found
}

func TestAnalyseCountsWords(t *testing.T) {
	a := analyse(analysisInput{
		Content: "The dog and the dogs of Maria",
		Tags:    []string{"pets", "dog-walks"},
		Source:  "Maria",
		When:    time.Date(2023, 5, 8, 23, 0, 0, 0, time.UTC),
	}, petLexicon)
	want := map[string][2]int{"dog": {3, 3}, "maria": {2, 1}, "pet": {1, 1}, "dogwalk": {1, 1}, "mai": {1, 0}, "the": {2, 2}, "cat": {0, 0}}
	if diff := cmp.Diff(want, counts(a, "dog", "maria", "pet", "dogwalk", "mai", "the", "cat")); diff != "" {
		t.Errorf("counts of own and content words (-want +got):\n%s", diff)
	}
	if a.contentLen != 6 || a.ownLen != 10 { // dog dogs maria pets dog walks, and Maria 8 May 2023
		t.Errorf("lengths %d and %d, want 6 and 10", a.contentLen, a.ownLen)
	}
	if want := []int32{petLexicon.Lookup("dog")}; !slices.Equal(a.rows, want) {
		t.Errorf("rows %v, want %v", a.rows, want)
	}
	for _, pair := range [][2]string{{"dog", "dog"}, {"dog", "maria"}} {
		if !slices.Contains(a.pairs, hashPair(pair[0], pair[1])) {
			t.Errorf("pair %v is missing", pair)
		}
	}
	if slices.Contains(a.pairs, hashPair("maria", "pet")) {
		t.Error("a pair spans content and tags")
	}
}

func TestAnalyseFlags(t *testing.T) {
	for content, want := range map[string]analysisFlags{
		"I like tea":                               0,
		"Do you like tea?":                         flagAsks | flagEndsAsk,
		"Do you? I do.":                            flagAsks,
		"See this? [image: a cup of tea]":          flagAsks | flagEndsAsk,
		"[all in brackets?]":                       flagAsks,
		"お茶が好きですか？":                                flagAsks | flagEndsAsk,
		"We met yesterday":                         flagTime,
		"We met last week":                         flagTime,
		"last but not least, a week":               0,
		"We met three days ago":                    flagTime,
		"on Friday":                                flagTime,
		"in May":                                   flagTime,
		"we may go":                                0,
		"in 2019":                                  flagTime,
		"room 2500 and 20195":                      0,
		"2023-05-08 release":                       flagTime,
		"Really? It was on March 3":                flagAsks | flagTime,
		strings.Repeat("x ", 100) + "in June 2020": flagTime,
	} {
		if got := analyse(analysisInput{Content: content}, nil).flags; got != want {
			t.Errorf("%q: flags %03b, want %03b", content, got, want)
		}
	}
}

func TestAnalyseNames(t *testing.T) {
	for content, want := range map[string][]string{
		"Today we went to Paris with Anna Smith. Then home.": {"pari", "anna", "smith"},
		"Paris is nice! London too? Rome":                    nil,
		"and I, I'm told, like “Dune”":                       {"dune"},
		"I met Caroline's Ödegård":                           {"carolin", "odegard"},
	} {
		var hashes []uint32
		for _, stem := range want {
			hashes = append(hashes, hashTerm(stem))
		}
		slices.Sort(hashes)
		if got := analyse(analysisInput{Content: content}, nil).names; !slices.Equal(got, hashes) {
			t.Errorf("%q: %d names, want %v", content, len(got), want)
		}
	}
}

func TestAnalysisOfALongTextIsBounded(t *testing.T) {
	var b strings.Builder
	for i := 0; b.Len() < maxTextBytes; i++ {
		fmt.Fprintf(&b, "Ab%x cd%x ", i, i*7919)
	}
	groups := make([][]string, 1)
	for i := range 1000 {
		groups[0] = append(groups[0], fmt.Sprintf("ab%x", i))
	}
	a := analyse(analysisInput{Content: b.String()}, fakeLexicon{groups: groups})
	if len(a.terms) != maxTerms || len(a.pairs) != maxPairs || len(a.names) != maxNames || len(a.rows) != maxRows {
		t.Errorf("%d terms, %d pairs, %d names, %d rows", len(a.terms), len(a.pairs), len(a.names), len(a.rows))
	}
	if n := len(a.appendTo(nil)); n > 128<<10 {
		t.Errorf("encoded in %d bytes", n)
	}
	same := analyse(analysisInput{Content: strings.Repeat("dog ", maxTextBytes/4)}, nil)
	if n := same.find(hashTerm("dog")); n.own != math.MaxUint16 {
		t.Errorf("a count above its bound is %d", n.own)
	}
}

func TestAnalysisSurvivesEncoding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := analysisInput{
			Content: anyText().Draw(t, "content"),
			Tags:    rapid.SliceOfN(rapid.StringMatching(`[a-z ]{0,8}`), 0, 3).Draw(t, "tags"),
			Source:  rapid.StringMatching(`[A-Z][a-z]{0,5}`).Draw(t, "source"),
			When:    time.Unix(rapid.Int64Range(0, 4e9).Draw(t, "when"), 0),
		}
		a := analyse(in, petLexicon)
		b := a.appendTo(nil)
		got, err := decodeAnalysis(b)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(a, got, cmp.AllowUnexported(analysis{}, termCount{}), cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("(-written +read):\n%s", diff)
		}
		for _, term := range strings.Fields(in.indexText()) {
			if a.find(hashTerm(term)).own == 0 {
				t.Fatalf("%q is indexed but not counted", term)
			}
		}
	})
}

func TestDecodeAnalysisRefusesDamage(t *testing.T) {
	good := analyse(analysisInput{Content: "A dog named Rex, yesterday", Source: "Ada"}, petLexicon).appendTo(nil)
	for n := range len(good) {
		if _, err := decodeAnalysis(good[:n]); !errors.Is(err, errAnalysis) {
			t.Fatalf("cut to %d of %d bytes: %v", n, len(good), err)
		}
	}
	other := slices.Clone(good)
	other[0]++
	for name, b := range map[string][]byte{"another version": other, "more bytes": append(slices.Clone(good), 0)} {
		if _, err := decodeAnalysis(b); !errors.Is(err, errAnalysis) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzDecodeAnalysis(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{analysisVersion, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Add(analyse(analysisInput{Content: "A dog named Rex, yesterday", Source: "Ada"}, petLexicon).appendTo(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := decodeAnalysis(b)
		if err != nil {
			return
		}
		again, err := decodeAnalysis(a.appendTo(nil))
		if diff := cmp.Diff(a, again, cmp.AllowUnexported(analysis{}, termCount{}), cmpopts.EquateEmpty()); err != nil || diff != "" {
			t.Fatalf("a decoded analysis does not survive encoding: %v\n%s", err, diff)
		}
	})
}

func BenchmarkAnalysis(b *testing.B) {
	in := analysisInput{Content: "We went to the LGBTQ support group in Berlin yesterday and it was so powerful for all of us", Source: "Maria", When: time.Unix(1.7e9, 0)}
	encoded := analyse(in, petLexicon).appendTo(nil)
	b.Run("analyse", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			analyse(in, petLexicon)
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := decodeAnalysis(encoded); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(len(encoded)), "bytes")
	})
}

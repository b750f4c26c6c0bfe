package memory

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestIndexText(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"nothing", "", ""},
		{"only marks", " ?! -- '…' \x00\x01", ""},
		{"folds and stems", "Researching ADOPTION agencies", "research adopt agenc"},
		{"keeps stop words", "to be or not", "to be or not"},
		{"drops accents", "Crème brûlée, Ångström, naïve Łódź, Straße", "creme brule angstrom naiv lodz strass"},
		{"drops accents typed apart", "cafe\u0301", "cafe"},
		{"Cyrillic and Greek", "Ёлка НА ОДОС ὁδός", "елка на одос οδοσ"},
		{"compatibility forms", "ﬁve ① Ⅳ ＡＢＣ", "five 1 iv abc"},
		{"numbers", "8 May 2023, 1,000 items of 3.5 kg", "8 mai 2023 1 000 1000 item of 3 5 35 kg"},
		{"compounds", "e-mail snake_case state‑of‑the‑art", "e mail email snake case snakecas state of the art stateoftheart"},
		{"initials", "the U.S. and a.b", "the u s us and a b ab"},
		{"a dash is not a hyphen", "yes -- no - maybe; end.Start", "ye no mayb end start"},
		{"clitics", "Caroline's, I'm they'd we’ll don't O'Brien", "carolin i thei we dont o brien obrien"},
		{"silent characters", "co\u00adop zero\u200bwidth \ufeffbom", "coop zerowidth bom"},
		{"Chinese", "東京都", "東 東京 京 京都 都"},
		{"one character alone", "猫 cat", "猫 cat"},
		{"Japanese", "が カー ｶﾞ", "が カ カー ー ガ"},
		{"Korean", "학교에", "학 학교 교 교에 에"},
		{"Thai", "แมว2", "แ แม ม มว ว 2"},
		{"Hindi keeps its vowel signs", "हिन्दी", "हिन्दी"},
		{"emoji", "party 🎉🎉 👍🏽 ❤️ 🇩🇪", "parti u1f389 u1f389 u1f44d u02764 u1f1e9u1f1ea"},
		{"invalid UTF-8", "a\xffb \xc3", "a b"},
		{"a long word is cut", strings.Repeat("ab", 30), strings.Repeat("ab", 20)},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, indexText(c.text)); diff != "" {
				t.Errorf("indexText(%q) (-want +got):\n%s", c.text, diff)
			}
		})
	}
}

func TestIndexTextJoinsItsParts(t *testing.T) {
	if got, want := indexText("A cat", "", "Maria", "8 May 2023"), "a cat maria 8 mai 2023"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestIndexTextIsBounded(t *testing.T) {
	for name, text := range map[string]string{
		"characters that expand": strings.Repeat("ﷺ", maxTextBytes/3),
		"dense script":           strings.Repeat("東京", maxTextBytes/6),
		"one compound":           strings.Repeat("a-", maxTextBytes/2),
		"one word":               strings.Repeat("a", 4*maxTextBytes),
		"marks without a letter": strings.Repeat("\u0301", maxTextBytes/2),
		"continuation bytes":     strings.Repeat("\x80", maxTextBytes),
	} {
		if got := indexText(text, text, text); len(got) > maxIndexBytes {
			t.Errorf("%s: %d bytes, more than %d", name, len(got), maxIndexBytes)
		}
	}
}

func TestQueryTerms(t *testing.T) {
	for _, c := range []struct {
		name, query string
		want        []queryTerm
	}{
		{"nothing", " ?", []queryTerm{}},
		{"a question", "When did Caroline go to the LGBTQ support group?", []queryTerm{
			{stem: "when", word: "when", stop: true}, {stem: "did", word: "did", stop: true}, {stem: "carolin", word: "caroline"},
			{stem: "go", word: "go"}, {stem: "to", word: "to", stop: true}, {stem: "the", word: "the", stop: true},
			{stem: "lgbtq", word: "lgbtq"}, {stem: "support", word: "support"}, {stem: "group", word: "group"},
		}},
		{"a stem once, by its first word", "painting painted", []queryTerm{{stem: "paint", word: "painting"}}},
		{"a compound", "e-mail", []queryTerm{
			{stem: "e", word: "e", joined: []string{"email"}}, {stem: "mail", word: "mail", joined: []string{"email"}},
		}},
		{"a compound of stop words", "to-do", []queryTerm{
			{stem: "to", word: "to", stop: true, joined: []string{"todo"}}, {stem: "do", word: "do", stop: true, joined: []string{"todo"}},
			{stem: "todo", word: "todo"},
		}},
		{"a contraction is one stop word", "don't", []queryTerm{{stem: "dont", word: "dont", stop: true}}},
		{"may", "may I", []queryTerm{{stem: "mai", word: "may", stop: true}, {stem: "i", word: "i", stop: true}}},
		{"the month of May", "in May", []queryTerm{{stem: "in", word: "in", stop: true}, {stem: "mai", word: "may"}}},
		{"pairs in place of characters", "東京 京", []queryTerm{{stem: "東京", word: "東京"}, {stem: "京", word: "京"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := queryTerms(c.query)
			if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(queryTerm{})); diff != "" {
				t.Errorf("queryTerms(%q) (-want +got):\n%s", c.query, diff)
			}
		})
	}
}

func TestQueryTermsAreBounded(t *testing.T) {
	var q strings.Builder
	for i := range 1000 {
		q.WriteString(strings.Repeat("x", i%30+1) + string(rune('a'+i%26)) + " ")
	}
	if n := len(queryTerms(q.String())); n != maxQueryTerms {
		t.Errorf("%d terms, want %d", n, maxQueryTerms)
	}
	late := strings.Repeat("cat ", maxQueryBytes/4) + "late"
	if terms := queryTerms(late); len(terms) != 1 {
		t.Errorf("a word after %d bytes was read: %v", maxQueryBytes, terms)
	}
}

func TestMatchExpr(t *testing.T) {
	for query, want := range map[string]string{
		"":                               ``,
		`"'*() NEAR/2 -:^`:               `"near" OR "2"`,
		"What did Caroline research?":    `"carolin" OR "research"`,
		"How many kinds of cats or dogs": `"cat" OR "dog"`,
		"when will this be":              `"when" OR "will" OR "thi" OR "be"`,
		"e-mail AND x":                   `"e" OR "email" OR "mail" OR "x"`,
		"🎉 東京":                           `"u1f389" OR "東京"`,
	} {
		if got := matchExpr(queryTerms(query)); got != want {
			t.Errorf("matchExpr(%q) = %s, want %s", query, got, want)
		}
	}
}

// matches does what FTS5 does with a prepared text and an expression of
// quoted words tied by OR.
func matches(indexed, expr string) bool {
	words := strings.Fields(indexed)
	for _, q := range strings.Split(expr, " OR ") {
		if slices.Contains(words, strings.Trim(q, `"`)) {
			return true
		}
	}
	return false
}

func TestSpellingsOfACompoundFindEachOther(t *testing.T) {
	for _, c := range []struct {
		query string
		texts []string
	}{
		{"e-mail", []string{"e-mail", "E-Mail", "email", "e mail", "e‑mail", "emails"}},
		{"email", []string{"e-mail", "e_mail"}},
		{"to-do", []string{"todo", "to-do"}},
		{"O’Brien", []string{"O'Brien", "obrien", "o brien", "Brien"}},
		{"1000", []string{"1,000", "1000"}},
		{"dont", []string{"don't", "don’t"}},
		{"京", []string{"東京", "東京都", "京都", "京"}},
		{"wi-fi", []string{"wifi", "WiFi", "wi fi"}},
	} {
		for _, text := range c.texts {
			if expr := matchExpr(queryTerms(c.query)); !matches(indexText(text), expr) {
				t.Errorf("query %q (%s) does not find %q (%s)", c.query, expr, text, indexText(text))
			}
		}
	}
}

// anyText draws texts that are rich in what a tokeniser has to tell apart.
func anyText() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(rapid.OneOf(
			rapid.StringMatching(`[A-Za-z]{1,9}`),
			rapid.SampledFrom([]string{" ", " ", "-", "'", ".", ",", "_", "8", "2023", "May", "’", "é", "İ", "ß", "東", "京", "カ", "학교", "แมว",
				"🎉", "🇩", "👍🏽", "\u200d", "\u102d", "မြန်", "\u0301", "\x00", "\xff", "ﷺ", "हि", "\"", "*", "AND", "don't", "e-mail", "U.S."}),
			rapid.String(),
		), 0, 12).Draw(t, "pieces"), "")
	})
}

func TestATextIsFoundByEachOfItsWords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := anyText().Draw(t, "text")
		checkFoundByItsWords(t, text)
	})
}

func FuzzTokenise(f *testing.F) {
	for _, s := range []string{"", "What's e-mail?", "東京都 cat", "🎉🇩🇪\u200d", "a\xff\x00b", "May 8", "a.b.c-d'e_f", "ﷺ\u0301", "東\u102d", "हि\u102d", "မြန်မာ"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) { checkFoundByItsWords(t, cutBytes(text, 1<<10)) })
}

// checkFoundByItsWords holds a text against what its tokens promise: FTS5 can
// take the index text apart again, and each of its words, and all together,
// is a query that finds it.
func checkFoundByItsWords(t interface{ Fatalf(string, ...any) }, text string) {
	indexed := indexText(text)
	if !utf8.ValidString(indexed) {
		t.Fatalf("index text of %q is not UTF-8: %q", text, indexed)
	}
	var stems []string
	for _, token := range tokenise(text) {
		if stemEnglish(token.word) != token.stem {
			t.Fatalf("token %+v of %q is not the stem of its word", token, text)
		}
		stems = append(stems, token.stem)
		if expr := matchExpr(queryTerms(token.word)); !matches(indexed, expr) {
			t.Fatalf("%q is not found by its word %q: index %q, query %s", text, token.word, indexed, expr)
		}
	}
	if got := strings.FieldsFunc(indexed, func(r rune) bool {
		return r < utf8.RuneSelf && !('a' <= r && r <= 'z') && !('0' <= r && r <= '9')
	}); !slices.Equal(got, stems) {
		t.Fatalf("FTS5 reads %q from %q, the tokeniser %q", got, text, stems)
	}
	if expr := matchExpr(queryTerms(text)); (expr == "") != (indexed == "") || expr != "" && !matches(indexed, expr) {
		t.Fatalf("%q is not found by itself: index %q, query %s", text, indexed, expr)
	}
}

func BenchmarkIndexText(b *testing.B) {
	for name, text := range map[string]string{
		"english":  strings.Repeat("What did Caroline research last summer about adoption agencies? ", 8),
		"accents":  strings.Repeat("Où est la crème brûlée de l'été dernier à Orléans ? ", 10),
		"japanese": strings.Repeat("東京都に住んでいる猫の写真を見ました。", 10),
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				indexText(text)
			}
		})
	}
}

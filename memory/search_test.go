package memory_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"engram-mcp/memory"
)

// Any text is a legal query, and never comes back empty when a word matches.
func TestAnyTextIsALegalQuery(t *testing.T) {
	ctx, s := open(t, memory.Options{Durability: memory.Normal})
	texts := []string{"Send the e-mail to O'Brien AND Sons", "她住在北京", "กรุงเทพมหานคร", "party 🎉 time", "near the river", "Mind the gap", "to be or not to be"}
	ids := map[string]string{}
	for _, text := range texts {
		ids[text] = create(t, ctx, s, memory.Create{Content: text})
	}
	for query, want := range map[string]string{
		"e-mail":                           texts[0],
		"email":                            texts[0],
		"e mail":                           texts[0],
		"AND":                              texts[0],
		"O'Brien":                          texts[0],
		`"O'Brien" OR NOT (x`:              texts[0],
		"北京":                               texts[1],
		"京":                                texts[1],
		"กรุงเทพ":                          texts[2],
		"🎉":                                texts[3],
		"NEAR(":                            texts[4],
		"near(river, 5)":                   texts[4],
		"content:river":                    texts[4],
		"riv\x00er river":                  texts[4],
		`Mind"?`:                           texts[5],
		"to be":                            texts[6],
		"gap*":                             texts[5],
		"^gap":                             texts[5],
		"-gap":                             texts[5],
		strings.Repeat("y ", 2040) + "":    "",
		"gap " + strings.Repeat("z", 4092): texts[5],
	} {
		for _, mode := range []memory.Mode{memory.Hybrid, memory.Text} {
			f, err := s.Search(ctx, memory.Query{Text: query, Mode: mode})
			if err != nil {
				t.Errorf("%q: %v", query, err)
				continue
			}
			if want != "" && (len(f.Hits) == 0 || !slices.ContainsFunc(f.Hits, func(h memory.Hit) bool { return h.ID == ids[want] })) {
				t.Errorf("%q does not find %q", query, want)
			}
		}
	}
	for _, query := range []string{"", "?", "'", `"`, "*", "...", "\x00"} { // no word: the newest first
		f, err := s.Search(ctx, memory.Query{Text: query, Limit: 2})
		if err != nil || len(f.Hits) != 2 || f.Hits[0].Content != texts[len(texts)-1] {
			t.Errorf("%q: %d hits, %v", query, len(f.Hits), err)
		}
	}
}

// Who reads the newest page by page sees each once, whatever is written and
// forgotten meanwhile.
func TestPagesOfTheNewestStandStill(t *testing.T) {
	ctx, s := open(t, memory.Options{Durability: memory.Normal})
	var want, got []string
	for i := range 25 {
		want = append(want, create(t, ctx, s, memory.Create{Content: fmt.Sprintf("apple %d", i)}))
	}
	slices.Reverse(want)
	for q := (memory.Query{Limit: 4}); ; {
		f, err := s.Search(ctx, q)
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range f.Hits {
			got = append(got, h.ID)
		}
		if q.Cursor = f.Cursor; q.Cursor == "" {
			break
		}
		create(t, ctx, s, memory.Create{Content: "pear of page " + q.Cursor})
		do(t, ctx, s, memory.Forget{ID: got[len(got)-1]})
	}
	if !slices.Equal(got, want) {
		t.Errorf("the pages hold %v, want %v", got, want)
	}
}

func TestPagesOfASearch(t *testing.T) {
	ctx, s := open(t, memory.Options{Durability: memory.Normal})
	for i := range 35 {
		create(t, ctx, s, memory.Create{Content: fmt.Sprintf("apple %s %d", strings.Repeat("filler ", i), i)})
	}
	for _, text := range []string{"apple", ""} {
		var got []string
		q := memory.Query{Text: text, Limit: 10}
		for {
			f, err := s.Search(ctx, q)
			if err != nil {
				t.Fatal(err)
			}
			for _, h := range f.Hits {
				got = append(got, h.ID)
			}
			if q.Cursor = f.Cursor; q.Cursor == "" {
				break
			}
		}
		slices.Sort(got)
		if n := len(slices.Compact(got)); n != 35 {
			t.Errorf("%q: the pages hold %d different engrams, want 35", text, n)
		}
	}
	f, err := s.Search(ctx, memory.Query{Text: "apple", Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Search(ctx, memory.Query{Text: "pear", Limit: 10, Cursor: f.Cursor})
	wantHint(t, err, memory.ErrInvalid, "start again")
	for _, q := range []memory.Query{{Cursor: "nonsense"}, {Limit: -1}, {Limit: 201}, {Mode: "psychic"}} {
		if _, err := s.Search(ctx, q); err == nil {
			t.Errorf("%+v was accepted", q)
		}
	}
}

func TestFilters(t *testing.T) {
	ctx, s := open(t, memory.Options{Durability: memory.Normal})
	day := func(n int) time.Time { return time.Date(2026, 1, n, 0, 0, 0, 0, time.UTC) }
	for _, c := range []memory.Create{
		{Content: "apple a", Context: "x", Source: "ada", Kind: "note", Tags: []string{"red", "big"}, ValidFrom: day(1), ValidTo: day(5)},
		{Content: "apple b", Context: "y", Source: "bob", Collections: []string{"fruit"}, Tags: []string{"red"}, ValidFrom: day(10), Confidence: ptr(.3)},
		{Content: "apple c", Collections: []string{"fruit", "food"}, ValidFrom: day(20)},
	} {
		create(t, ctx, s, c)
	}
	for name, c := range map[string]struct {
		f    memory.Filter
		want string
	}{
		"none":          {memory.Filter{}, "abc"},
		"context":       {memory.Filter{Context: "x"}, "a"},
		"no context":    {memory.Filter{Context: "none such"}, ""},
		"collection":    {memory.Filter{Collections: []string{"food"}}, "c"},
		"either":        {memory.Filter{Collections: []string{"food", "fruit"}}, "bc"},
		"tag":           {memory.Filter{Tags: []string{"red"}}, "ab"},
		"both tags":     {memory.Filter{Tags: []string{"red", "big"}}, "a"},
		"kind":          {memory.Filter{Kind: "note"}, "a"},
		"source":        {memory.Filter{Source: "bob"}, "b"},
		"after":         {memory.Filter{After: day(10)}, "bc"},
		"before":        {memory.Filter{Before: day(10)}, "a"},
		"valid at":      {memory.Filter{ValidAt: day(3)}, "a"},
		"valid at end":  {memory.Filter{ValidAt: day(5)}, ""},
		"still valid":   {memory.Filter{ValidAt: day(15)}, "b"},
		"confidence":    {memory.Filter{MinConfidence: .5}, "ac"},
		"two of them":   {memory.Filter{Tags: []string{"red"}, Source: "ada"}, "a"},
		"contradiction": {memory.Filter{Kind: "note", Source: "bob"}, ""},
	} {
		for _, text := range []string{"apple", ""} {
			f, err := s.Search(ctx, memory.Query{Text: text, Filter: c.f})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, h := range f.Hits {
				got = append(got, strings.TrimPrefix(h.Content, "apple "))
			}
			slices.Sort(got)
			if strings.Join(got, "") != c.want {
				t.Errorf("%s, query %q: got %v, want %s", name, text, got, c.want)
			}
		}
	}
}

func FuzzSearch(f *testing.F) {
	ctx, s := open(f, memory.Options{Durability: memory.Normal})
	create(f, ctx, s, memory.Create{Content: "seed apple"})
	for _, q := range []string{"apple", `"`, "NEAR(a b)", "a OR", "北京", "\x00\xff", "-a*", "{a b}:c", "🎉🎉"} {
		f.Add(q)
	}
	f.Fuzz(func(t *testing.T, q string) {
		if _, err := s.Search(ctx, memory.Query{Text: q}); err != nil {
			t.Errorf("%q: %v", q, err)
		}
		if found, err := s.Search(ctx, memory.Query{Text: q + " apple"}); err != nil || len(q) < 1000 && len(strings.Fields(q)) < 50 && len(found.Hits) == 0 && !strings.ContainsFunc(q, func(r rune) bool { return r > 0x7f }) {
			t.Errorf("%q apple: %d hits, %v", q, len(found.Hits), err)
		}
	})
}

// Words that are everywhere are left out of a query only if others remain:
// alone they find, however large the space.
func TestCommonWordsAloneStillFind(t *testing.T) {
	ctx, s := open(t, memory.Options{Durability: memory.Normal})
	for batch := range 2 {
		var m []memory.Change
		for i := range 600 {
			m = append(m, memory.Create{Content: fmt.Sprintf("to be or not to be apple %d", batch*600+i)})
		}
		do(t, ctx, s, m...)
	}
	for _, query := range []string{"to be", "to be or", "apple", "to be apple"} {
		if got := search(t, ctx, s, query); len(got) != 10 {
			t.Errorf("%q finds %d", query, len(got))
		}
	}
}

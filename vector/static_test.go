package vector

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"
)

func openStatic(t testing.TB) *Static {
	t.Helper()
	s, err := NewStatic()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func embed(t testing.TB, s *Static, texts ...string) [][]float32 {
	t.Helper()
	vectors, err := s.Embed(context.Background(), texts)
	if err != nil {
		t.Fatal(err)
	}
	return vectors
}

func alike(a, b []float32) float64 {
	var dot float64
	for i := range a {
		dot += float64(a[i]) * float64(b[i])
	}
	return dot
}

// checkUnit fails unless v has length 1, which no NaN, infinity or zero vector has.
func checkUnit(t testing.TB, text string, v []float32) {
	t.Helper()
	if length := math.Sqrt(alike(v, v)); !(math.Abs(length-1) < 1e-5) {
		t.Fatalf("the vector of %q has length %v", text, length)
	}
}

func TestStaticEmbedsAnyText(t *testing.T) {
	s := openStatic(t)
	texts := []string{
		"", " \n", "?!", "\xff\xfe", "a", "the", "zzzzqqqq", "2024", "Anna likes pottery.",
		"Привет, мир", "我喜欢猫", "ฉันชอบแมว", "👍🏽", "नमस्ते", "مرحبا", strings.Repeat("word ", 50_000),
	}
	for i, v := range embed(t, s, texts...) {
		if len(v) != s.Dim() {
			t.Fatalf("%d values, want %d", len(v), s.Dim())
		}
		checkUnit(t, texts[i], v)
	}
	empty := embed(t, s, "", "...")
	if !slices.Equal(empty[0], empty[1]) {
		t.Error("two texts without words differ")
	}
}

// Nearer pairs on the left than on the right, within one script and one kind of knowledge.
func TestStaticKnowsWhatIsNear(t *testing.T) {
	s := openStatic(t)
	for _, c := range []struct{ what, text, near, far string }{
		{"words of like meaning", "The physician examined the child", "a doctor looked at a kid", "the train leaves at noon"},
		{"inflections", "They were kayaking", "she kayaks", "he was reading"},
		{"accents", "my resumé", "my resume", "my garden"},
		{"unknown words by spelling", "Zyxwanovich", "Zyxwanovichs house", "Qumbolterra house"},
		{"Cyrillic by spelling", "люблю кошек", "кошка", "собака"},
		{"Chinese by character", "我喜欢猫", "猫", "狗"},
		{"Thai by character", "ฉันชอบแมว", "แมว", "หมา"},
		{"emoji", "great 🐈", "🐈", "🚗"},
	} {
		v := embed(t, s, c.text, c.near, c.far)
		if near, far := alike(v[0], v[1]), alike(v[0], v[2]); near <= far {
			t.Errorf("%s: %q is %.3f from %q but %.3f from %q", c.what, c.text, near, c.near, far, c.far)
		}
	}
}

func TestStaticWords(t *testing.T) {
	s := openStatic(t)
	rows := map[string]int32{}
	for _, word := range []string{"doctor", "physician", "train", "don't"} {
		if rows[word] = s.Lookup(word); rows[word] < 0 {
			t.Fatalf("no row for %q", word)
		}
	}
	for _, word := range []string{"", "Doctor", "zzzzqqqq", "two words", "\x00"} {
		if row := s.Lookup(word); row != -1 {
			t.Errorf("Lookup(%q) = %d, want -1", word, row)
		}
	}
	if got := s.Cosine(rows["doctor"], rows["doctor"]); math.Abs(float64(got)-1) > 1e-6 {
		t.Errorf("a word is %v like itself", got)
	}
	near, far := s.Cosine(rows["doctor"], rows["physician"]), s.Cosine(rows["doctor"], rows["train"])
	if near < 0.5 || far > 0.3 || near != s.Cosine(rows["physician"], rows["doctor"]) {
		t.Errorf("doctor is %v like physician and %v like train", near, far)
	}
	for _, row := range []int32{-1, math.MinInt32, math.MaxInt32, int32(s.table.rows)} {
		if got := s.Cosine(rows["doctor"], row) + s.Cosine(row, rows["doctor"]); got != 0 {
			t.Errorf("row %d is %v like doctor", row, got)
		}
	}
}

func TestStaticIsSafeForConcurrentUse(t *testing.T) {
	s := openStatic(t)
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			if v, err := s.Embed(context.Background(), []string{"a cat"}); err != nil || s.Lookup("cat") < 0 {
				t.Error(v, err)
			}
		})
	}
	wait.Wait()
}

func TestStaticStopsWhenCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := openStatic(t).Embed(ctx, []string{"a"}); err != context.Canceled {
		t.Errorf("err = %v", err)
	}
}

// The bits of vectors are promised to be the same on every machine, since stores
// are copied between machines. This fails too when the table or the way words are
// taken apart changes; then the table's id must change with it.
func TestStaticBits(t *testing.T) {
	s := openStatic(t)
	h := fnv.New64a()
	for _, v := range embed(t, s, "Anna met Zyxwanovich’s 3 cats at Café Noir", "我喜欢猫 👍", "Привет") {
		for _, x := range v {
			fmt.Fprintf(h, "%08x", math.Float32bits(x))
		}
	}
	const want = "static-words-256/1 547198faf0eca938"
	if got := fmt.Sprintf("%s %016x", s.ID(), h.Sum64()); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func FuzzEmbed(f *testing.F) {
	for _, text := range []string{"", "don't", "Анна", "ก็", "e\u0301\u0301", "\u200d👍", strings.Repeat("x", 200), "ﷺ", "l'"} {
		f.Add(text)
	}
	s := openStatic(f)
	f.Fuzz(func(t *testing.T, text string) {
		w := split(text)
		for w.next() {
			if word := w.word(); len(word) == 0 || !utf8.Valid(word) {
				t.Fatalf("word %q of %q", word, text)
			}
		}
		v := embed(t, s, text, text)
		checkUnit(t, text, v[0])
		if !slices.Equal(v[0], v[1]) {
			t.Fatalf("two vectors for %q", text)
		}
	})
}

// best returns the indexes of the k targets nearest to a query, best first.
func best(query []float32, targets [][]float32, k int) []int {
	order := make([]int, len(targets))
	scores := make([]float64, len(targets))
	for i, v := range targets {
		order[i], scores[i] = i, alike(query, v)
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case scores[a] > scores[b]:
			return -1
		case scores[a] < scores[b]:
			return 1
		}
		return 0
	})
	return order[:min(k, len(order))]
}

func readLines(t testing.TB, name string) []string {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(b)), "\n")
}

// TestStaticFindsMeaning measures how often a text finds the one that means the
// same among 5,000 others, though the two share no content word.
func TestStaticFindsMeaning(t *testing.T) {
	s := openStatic(t)
	for _, c := range []struct {
		name string
		want float64
	}{
		{"reworded", 0.6},
		{"definitions", 0.35},
	} {
		t.Run(c.name, func(t *testing.T) {
			var queries, targets []string
			for _, line := range readLines(t, c.name+".tsv")[1:] {
				field := strings.Split(line, "\t")
				queries, targets = append(queries, field[1]), append(targets, field[2])
			}
			texts := embed(t, s, append(targets, readLines(t, c.name+"-distractors.txt")...)...)
			hits := 0
			for i, query := range embed(t, s, queries...) {
				if slices.Contains(best(query, texts, 10), i) {
					hits++
				}
			}
			share := float64(hits) / float64(len(queries))
			t.Logf("hit@10 %.1f %% of %d pairs among %d texts", 100*share, len(queries), len(texts))
			if share < c.want {
				t.Errorf("hit@10 is %.3f, want at least %.2f", share, c.want)
			}
		})
	}
}

// TestStaticRecallsConversations measures recall of the turns that answer a
// question among all turns of its conversation. The data may not be passed on, so
// it is read from where ENGRAM_LOCOMO says.
func TestStaticRecallsConversations(t *testing.T) {
	name := os.Getenv("ENGRAM_LOCOMO")
	if name == "" {
		t.Skip("ENGRAM_LOCOMO does not name a LoCoMo file")
	}
	s := openStatic(t)
	var total, count float64
	for _, c := range readConversations(t, name) {
		turns := embed(t, s, c.turns...)
		for i, query := range embed(t, s, c.questions...) {
			found := 0
			for _, turn := range best(query, turns, 10) {
				if c.evidence[i][turn] {
					found++
				}
			}
			total += float64(found) / float64(len(c.evidence[i]))
			count++
		}
	}
	recall := total / count
	t.Logf("recall@10 %.1f %% over %.0f questions", 100*recall, count)
	if want := 0.55; recall < want {
		t.Errorf("recall@10 is %.3f, want at least %.2f", recall, want)
	}
}

type conversation struct {
	turns     []string
	questions []string
	evidence  []map[int]bool // of each question: indexes of turns
}

func readConversations(t testing.TB, name string) []conversation {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var files []struct {
		QA []struct {
			Question string
			Evidence []string
			Category int
		}
		Conversation map[string]json.RawMessage
	}
	if err := json.Unmarshal(b, &files); err != nil {
		t.Fatal(err)
	}
	turnID := regexp.MustCompile(`D\d+:\d+`)
	var all []conversation
	for _, file := range files {
		var c conversation
		at := map[string]int{}
		for n := 1; file.Conversation[fmt.Sprintf("session_%d", n)] != nil; n++ {
			var turns []struct {
				Speaker, Text string
				ID            string `json:"dia_id"`
				Caption       string `json:"blip_caption"`
			}
			if err := json.Unmarshal(file.Conversation[fmt.Sprintf("session_%d", n)], &turns); err != nil {
				t.Fatal(err)
			}
			for _, turn := range turns {
				text := turn.Speaker + ": " + turn.Text
				if turn.Caption != "" {
					text += " [image: " + turn.Caption + "]"
				}
				at[turn.ID] = len(c.turns)
				c.turns = append(c.turns, text)
			}
		}
		for _, q := range file.QA {
			evidence := map[int]bool{}
			for _, id := range turnID.FindAllString(strings.Join(q.Evidence, " "), -1) {
				if turn, ok := at[id]; ok {
					evidence[turn] = true
				}
			}
			if q.Category >= 1 && q.Category <= 4 && len(evidence) > 0 {
				c.questions, c.evidence = append(c.questions, q.Question), append(c.evidence, evidence)
			}
		}
		all = append(all, c)
	}
	return all
}

var benchText = "Anna: I signed up for a pottery class yesterday, it's like therapy for me! [image: a photo of a bowl]"

func BenchmarkStaticEmbed(b *testing.B) {
	s := openStatic(b)
	for name, text := range map[string]string{
		"sentence": benchText, "unknown words": "Zyxwanovich Qumbolterra vlikhov", "Chinese": "我喜欢猫和狗", "Cyrillic": "люблю кошек и собак",
	} {
		b.Run(name, func(b *testing.B) {
			texts := []string{text}
			embed(b, s, texts...)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Embed(context.Background(), texts); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkStaticCosine goes through about as many rows as the candidates of one
// search have words.
func BenchmarkStaticCosine(b *testing.B) {
	s := openStatic(b)
	one, row := s.Lookup("doctor"), int32(0)
	for b.Loop() {
		s.Cosine(one, row)
		row = (row + 97) % 2000
	}
}

func BenchmarkStaticLookup(b *testing.B) {
	s := openStatic(b)
	s.Lookup("doctor")
	for b.Loop() {
		s.Lookup("physician")
	}
}

// BenchmarkStaticOpen is the cost of the first use: checksum and word map.
func BenchmarkStaticOpen(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		s := openStatic(b)
		if s.Lookup("doctor") < 0 {
			b.Fatal("no doctor")
		}
	}
}

package memory

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"engram-mcp/vector"
)

// Retrieval quality on annotated conversations in the shape of LoCoMo-10
// (https://github.com/snap-research/locomo). Its data may not be shared on, so
// the file is named by ENGRAM_LOCOMO and nothing of it is kept here.
//
// Every turn is an engram: its content the text and the caption of its image,
// its source the speaker, its context the session. A question counts if it
// has evidence; recall is the share of its evidence among the first hits.

type locomoTurn struct {
	Speaker string `json:"speaker"`
	ID      string `json:"dia_id"`
	Text    string `json:"text"`
	Caption string `json:"blip_caption"`
}

type locomoConversation struct {
	ID           string                     `json:"sample_id"`
	Conversation map[string]json.RawMessage `json:"conversation"`
	// Observation holds facts drawn from each session, by speaker, each with
	// the turns it was drawn from.
	Observation map[string]map[string][][2]any `json:"observation"`
	QA          []struct {
		Question string   `json:"question"`
		Category int      `json:"category"`
		Evidence []string `json:"evidence"`
	} `json:"qa"`
}

func loadLocomo(t testing.TB) []locomoConversation {
	file := os.Getenv("ENGRAM_LOCOMO")
	if file == "" {
		t.Skip("ENGRAM_LOCOMO names no file: retrieval quality is not measured")
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var list []locomoConversation
	if err := json.Unmarshal(b, &list); err != nil {
		t.Fatal(err)
	}
	return list
}

// evidenceID finds the turns in an evidence entry. Some entries hold several,
// some have a stray colon, some numbers have leading zeros.
var evidenceID = regexp.MustCompile(`D:?(\d+):(\d+)`)

func turnsNamed(text string) (ids []string) {
	for _, m := range evidenceID.FindAllStringSubmatch(text, -1) {
		ids = append(ids, "D"+strings.TrimLeft(m[1], "0")+":"+strings.TrimLeft(m[2], "0"))
	}
	return ids
}

// A trialSpace is a space to search with questions and their answers.
type trialSpace struct {
	items     []rankItem
	texts     []string // to embed
	postings  map[string][]posting
	lengths   []float64
	mean      float64
	table     *vector.Static
	questions []trialQuestion
}

type posting struct {
	item  int
	count float64
}

type trialQuestion struct {
	text     string
	category int
	evidence []int // items
}

// A trialKind says what becomes an engram.
type trialKind struct {
	facts      bool // each fact by itself, without a context, in place of turns
	oneContext bool // all sessions of a conversation in one context
}

func (s *trialSpace) add(t testing.TB, conversation locomoConversation, kind trialKind) {
	turns := map[string][]int{} // by id, the items that hold them
	for n := 1; ; n++ {
		raw, ok := conversation.Conversation[fmt.Sprintf("session_%d", n)]
		if !ok {
			break
		}
		var list []locomoTurn
		var date string
		if err := json.Unmarshal(raw, &list); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(conversation.Conversation[fmt.Sprintf("session_%d_date_time", n)], &date); err != nil {
			t.Fatal(err)
		}
		at, err := time.Parse("3:04 pm on 2 January, 2006", date)
		if err != nil {
			t.Fatal(err)
		}
		if kind.facts {
			s.addFacts(conversation, n, at, turns)
			continue
		}
		context := fmt.Sprintf("%s session %d", conversation.ID, n)
		if kind.oneContext {
			context = conversation.ID
		}
		for i, turn := range list {
			content := turn.Text
			if turn.Caption != "" {
				content += " [image: " + turn.Caption + "]"
			}
			turns[turn.ID] = append(turns[turn.ID], s.put(context, turn.Speaker, content, at.Add(time.Duration(i)*time.Second)))
		}
	}
	for _, q := range conversation.QA {
		question := trialQuestion{text: q.Question, category: q.Category}
		for _, entry := range q.Evidence {
			for _, id := range turnsNamed(entry) {
				for _, item := range turns[id] {
					if !slices.Contains(question.evidence, item) {
						question.evidence = append(question.evidence, item)
					}
				}
			}
		}
		if len(question.evidence) > 0 {
			s.questions = append(s.questions, question)
		}
	}
}

func (s *trialSpace) addFacts(conversation locomoConversation, session int, at time.Time, turns map[string][]int) {
	bySpeaker := conversation.Observation[fmt.Sprintf("session_%d_observation", session)]
	var speakers []string
	for speaker := range bySpeaker {
		speakers = append(speakers, speaker)
	}
	slices.Sort(speakers)
	for _, speaker := range speakers {
		for _, fact := range bySpeaker[speaker] {
			item := s.put("", speaker, fmt.Sprint(fact[0]), at)
			for _, id := range turnsNamed(fmt.Sprint(fact[1])) {
				turns[id] = append(turns[id], item)
			}
		}
	}
}

func (s *trialSpace) put(context, source, content string, at time.Time) (item int) {
	in := analysisInput{Content: content, Source: source, When: at}
	item = len(s.items)
	var lexicon Lexicon
	if s.table != nil {
		lexicon = s.table
	}
	s.items = append(s.items, rankItem{
		id: fmt.Sprintf("%06d", item), analysis: analyse(in, lexicon), source: source, context: context, at: at, importance: .5, confidence: 1,
	})
	s.texts = append(s.texts, source+": "+content)
	counts, words := map[string]float64{}, strings.Fields(in.indexText())
	for _, w := range words {
		counts[w]++
	}
	for w, n := range counts {
		s.postings[w] = append(s.postings[w], posting{item, n})
	}
	s.lengths = append(s.lengths, float64(len(words)))
	return item
}

func newTrialSpace(t testing.TB, conversations []locomoConversation, table *vector.Static, kind trialKind) *trialSpace {
	s := &trialSpace{postings: map[string][]posting{}, table: table}
	for _, c := range conversations {
		s.add(t, c, kind)
	}
	for _, n := range s.lengths {
		s.mean += n / float64(len(s.lengths))
	}
	if table != nil {
		vectors, err := table.Embed(t.Context(), s.texts)
		if err != nil {
			t.Fatal(err)
		}
		for i := range s.items {
			s.items[i].vector = vectors[i]
		}
	}
	return s
}

// best returns the n items of the highest score above zero, ties by item.
func best(scores []float64, n int) []int {
	var items []int
	for i, score := range scores {
		if score > 0 {
			items = append(items, i)
		}
	}
	slices.SortStableFunc(items, func(a, b int) int { return cmp.Compare(scores[b], scores[a]) })
	return items[:min(n, len(items))]
}

// byWords ranks as FTS5 does.
func (s *trialSpace) byWords(query string, n int) []int {
	scores := make([]float64, len(s.items))
	for stem := range strings.SplitSeq(matchExpr(queryTerms(query)), " OR ") {
		list := s.postings[strings.Trim(stem, `"`)]
		df, engrams := float64(len(list)), float64(len(s.items))
		idf := max(1e-6, math.Log((engrams-df+.5)/(df+.5)))
		for _, p := range list {
			scores[p.item] += idf * p.count * 2.2 / (p.count + 1.2*(.25+.75*s.lengths[p.item]/s.mean))
		}
	}
	return best(scores, n)
}

func (s *trialSpace) byMeaning(query []float32, n int) []int {
	scores := make([]float64, len(s.items))
	for i := range s.items {
		for d, v := range s.items[i].vector {
			scores[i] += float64(v) * float64(query[d])
		}
	}
	return best(scores, n)
}

// input is the ranking of a query: the best hundred by words and by meaning,
// their two neighbours on either side, and five more around these.
func (s *trialSpace) input(t testing.TB, query string) (in rankInput, items []int) {
	in = rankInput{query: query, engrams: len(s.items), df: func(stem string) int { return len(s.postings[stem]) }}
	seeds := s.byWords(query, 100)
	if s.table != nil {
		vectors, err := s.table.Embed(t.Context(), []string{query})
		if err != nil {
			t.Fatal(err)
		}
		in.lexicon, in.vector = s.table, vectors[0]
		seeds = append(seeds, s.byMeaning(in.vector, 100)...)
	}
	wanted := map[int]bool{} // item → candidate
	spread := func(from, reach int, candidate bool) {
		for i := from - reach; i <= from+reach; i++ {
			if i == from || i >= 0 && i < len(s.items) && s.items[i].context == s.items[from].context && s.items[i].context != "" {
				wanted[i] = wanted[i] || candidate
			}
		}
	}
	for _, seed := range seeds {
		spread(seed, 2, true)
		spread(seed, 2+maxNeighbours, false)
	}
	for i := range wanted {
		items = append(items, i)
	}
	slices.Sort(items)
	for k, i := range items {
		if k == 0 || items[k-1] != i-1 || s.items[i].context != s.items[i-1].context || s.items[i].context == "" {
			in.strands = append(in.strands, nil)
		}
		item := s.items[i]
		item.candidate = wanted[i]
		last := &in.strands[len(in.strands)-1]
		*last = append(*last, item)
	}
	return in, items
}

// search returns the items found, best first.
func (s *trialSpace) search(t testing.TB, query string) (items []int) {
	in, _ := s.input(t, query)
	for _, f := range rank(in) {
		item, err := strconv.Atoi(f.item.id)
		if err != nil {
			t.Fatal(err)
		}
		items = append(items, item)
	}
	return items
}

// A quality is the mean over questions, in percent, but for mrr.
type quality struct {
	questions   int
	r5, r10     float64
	r20, hit20  float64
	mrr         float64
	s5, s10     float64 // recall of sessions, in the order of their best turns
	sessionsMRR float64
}

func (s *trialSpace) judge(q trialQuestion, found []int) quality {
	context := func(i int) string { return s.items[i].context }
	var wanted, sessions []string
	for _, i := range q.evidence {
		wanted = append(wanted, context(i))
	}
	for _, i := range found {
		if !slices.Contains(sessions, context(i)) {
			sessions = append(sessions, context(i))
		}
	}
	slices.Sort(wanted)
	wanted = slices.Compact(wanted)
	one := quality{questions: 1, r5: recall(q.evidence, found, 5), r10: recall(q.evidence, found, 10), r20: recall(q.evidence, found, 20), mrr: reciprocal(q.evidence, found),
		s5: recall(wanted, sessions, 5), s10: recall(wanted, sessions, 10), sessionsMRR: reciprocal(wanted, sessions)}
	if one.r20 > 0 {
		one.hit20 = 100
	}
	return one
}

func recall[T comparable](wanted, found []T, n int) float64 {
	have := 0
	for _, w := range wanted {
		if slices.Contains(found[:min(n, len(found))], w) {
			have++
		}
	}
	return 100 * float64(have) / float64(len(wanted))
}

func reciprocal[T comparable](wanted, found []T) float64 {
	for i, f := range found {
		if slices.Contains(wanted, f) {
			return 1 / float64(i+1)
		}
	}
	return 0
}

func meanQuality(list []quality) (m quality) {
	n := float64(max(1, len(list)))
	for _, q := range list {
		m.questions++
		for _, f := range []struct{ sum, add *float64 }{{&m.r5, &q.r5}, {&m.r10, &q.r10}, {&m.r20, &q.r20}, {&m.hit20, &q.hit20}, {&m.mrr, &q.mrr},
			{&m.s5, &q.s5}, {&m.s10, &q.s10}, {&m.sessionsMRR, &q.sessionsMRR}} {
			*f.sum += *f.add / n
		}
	}
	return m
}

func (q quality) String() string {
	return fmt.Sprintf("%4d questions  R@5 %5.1f  R@10 %5.1f  R@20 %5.1f  hit@20 %5.1f  MRR %.3f", q.questions, q.r5, q.r10, q.r20, q.hit20, q.mrr)
}

// A trial is one way to store and search the conversations, with the least
// that it must reach on all questions that have an answer (categories 1 to 4)
// and on all questions.
type trial struct {
	name                string
	wordsOnly, oneSpace bool
	kind                trialKind
	search              func(s *trialSpace, t testing.TB, query string) []int
	answerable, all     quality
}

var trials = []trial{
	{name: "a space for each conversation", answerable: quality{r5: 75, r10: 82, r20: 87, mrr: .66, s5: 88, s10: 94}, all: quality{r10: 82.5, mrr: .61}},
	{name: "the same without a word table", wordsOnly: true, answerable: quality{r10: 79, mrr: .64}},
	{name: "all conversations in one space", oneSpace: true, answerable: quality{r10: 81}},
	{name: "all sessions of a conversation in one context", kind: trialKind{oneContext: true}, answerable: quality{r10: 80}},
	{name: "facts without context", kind: trialKind{facts: true}},
	{name: "facts without context or word table", kind: trialKind{facts: true}, wordsOnly: true},
	{name: "facts by BM25 alone", kind: trialKind{facts: true}, wordsOnly: true, search: bm25Alone},
	{name: "turns by BM25 alone", wordsOnly: true, search: bm25Alone},
}

func bm25Alone(s *trialSpace, _ testing.TB, query string) []int { return s.byWords(query, 100) }

func TestRankOnConversations(t *testing.T) {
	conversations := loadLocomo(t)
	for _, trial := range trials {
		t.Run(trial.name, func(t *testing.T) { trial.run(t, conversations) })
	}
}

func (tr trial) run(t *testing.T, conversations []locomoConversation) {
	var table *vector.Static
	if !tr.wordsOnly {
		var err error
		if table, err = vector.NewStatic(); err != nil {
			t.Fatal(err)
		}
	}
	groups := [][]locomoConversation{conversations}
	if !tr.oneSpace {
		groups = slices.Collect(slices.Chunk(conversations, 1))
	}
	search := tr.search
	if search == nil {
		search = (*trialSpace).search
	}
	var answerable, all []quality
	byCategory, worst := map[int][]quality{}, quality{r10: 101}
	for _, group := range groups {
		s := newTrialSpace(t, group, table, tr.kind)
		var here []quality
		for _, q := range s.questions {
			one := s.judge(q, search(s, t, q.text))
			all = append(all, one)
			byCategory[q.category] = append(byCategory[q.category], one)
			if q.category <= 4 {
				here = append(here, one)
			}
		}
		answerable = append(answerable, here...)
		if m := meanQuality(here); m.r10 < worst.r10 {
			worst = m
		}
	}
	t.Logf("answerable   %v", meanQuality(answerable))
	t.Logf("all          %v", meanQuality(all))
	for c := 1; c <= 5; c++ {
		t.Logf("category %d   %v", c, meanQuality(byCategory[c]))
	}
	t.Logf("worst space  %v", worst)
	m := meanQuality(answerable)
	t.Logf("sessions     R@5 %.1f  R@10 %.1f  MRR %.3f", m.s5, m.s10, m.sessionsMRR)
	m.mustReach(t, "answerable", tr.answerable)
	meanQuality(all).mustReach(t, "all", tr.all)
}

func (q quality) mustReach(t *testing.T, name string, floor quality) {
	t.Helper()
	for _, c := range []struct {
		name       string
		got, least float64
	}{{"R@5", q.r5, floor.r5}, {"R@10", q.r10, floor.r10}, {"R@20", q.r20, floor.r20}, {"MRR", q.mrr, floor.mrr}, {"session R@5", q.s5, floor.s5}, {"session R@10", q.s10, floor.s10}} {
		if c.got < c.least {
			t.Errorf("%s of %s questions is %.3f, less than %.3f", c.name, name, c.got, c.least)
		}
	}
}

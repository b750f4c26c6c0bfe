package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"engram-mcp/memory"
	"engram-mcp/tools"
)

func newEval(a *app) *cobra.Command {
	var how evalOptions
	cmd := &cobra.Command{
		Use:   "eval FILE",
		Short: "Measure how well questions find what answers them",
		Long: `Measure how well questions find what answers them, with the embedder that is
configured. FILE says what to remember, what to ask, and what should be found.
All of it goes into a new memory that is thrown away afterwards; your own is not
touched.

FILE is one of two formats. JSON Lines, in any order:
  {"engram": {"key": "m1", "content": "Ada moved to Ghent", "context": "chat 3"}}
  {"question": "Where does Ada live?", "gold": ["m1"], "type": "update"}
An engram takes the arguments of engram_create; its key, if it has one, is what
questions and the "to" of its links call it. A question may have a "filter", an
object of engram_search's arguments such as context or after. Types are yours.
Or the JSON of LoCoMo: a list of conversations with sessions and questions. Each
turn becomes an engram, each session a context, each conversation a space.

It tells, for each type and for all questions:
  R@k     share of the gold engrams among the first k
  hit@10  share of the questions with at least one among the first 10
  MRR     mean of 1/rank of the first gold engram, 0 if there is none
and, where gold engrams have contexts, the same of contexts, which rank in the
order in which the found engrams first name them.`,
		Example: `  engram-mcp eval questions.jsonl
  engram-mcp eval locomo10.json --mode text --json`,
		Args: exactly(1, "name one file of engrams and questions"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.eval(cmd.Context(), args[0], how) },
	}
	f := cmd.Flags()
	f.IntVarP(&how.limit, "limit", "n", 20, "look at so many hits a question, at most 200")
	f.StringVar(&how.mode, "mode", "hybrid", "hybrid, text or vector")
	f.BoolVar(&how.oneSpace, "one-space", false, "put all conversations of a LoCoMo file into one space")
	return cmd
}

type evalOptions struct {
	limit    int
	mode     string
	oneSpace bool
}

func (a *app) eval(ctx context.Context, path string, how evalOptions) error {
	switch {
	case how.limit < 1 || how.limit > memory.MaxPage:
		return usage(fmt.Sprint("the limit is ", how.limit), fmt.Sprint("it goes from 1 to ", memory.MaxPage))
	case !slices.Contains([]string{"hybrid", "text", "vector"}, how.mode):
		return usage("there is no mode "+how.mode, "use hybrid, text or vector")
	case how.mode == "vector" && a.embedder == "none":
		return usage("mode vector needs an embedder", "leave --embedder none out, or use --mode text")
	}
	set, err := readLabelled(path, how.oneSpace)
	if err != nil {
		return err
	}
	report := evalReport{File: path, Mode: how.mode, Limit: how.limit, Embedder: a.embedder}
	if err := a.tryEmbedder(ctx); err != nil {
		return err
	}
	if err := a.elsewhere(func(b *app) error { return b.ask(ctx, set, how, &report) }); err != nil {
		return err
	}
	report.sum(set)
	if set.noEvidence+set.noSuchTurn > 0 {
		a.note(fmt.Sprintf("left out: %s without evidence, %s of turns that are not in the file",
			count(int64(set.noEvidence), "question"), count(int64(set.noSuchTurn), "mention")))
	}
	if a.json {
		return a.encode(&report)
	}
	return report.print(a.printer())
}

// tryEmbedder fails at once when an embedder does not work, instead of after
// everything has been stored.
func (a *app) tryEmbedder(ctx context.Context) error {
	embedder, err := a.newEmbedder()
	if err != nil || embedder == nil {
		return err
	}
	if _, err := embedder.Embed(ctx, []string{"a first text"}); err != nil {
		return failed("the embedder does not work", "run 'engram-mcp doctor', or measure with --embedder static", err)
	}
	return nil
}

// elsewhere runs f on an empty data directory that is removed afterwards.
func (a *app) elsewhere(f func(*app) error) error {
	const hint = "check the directory for temporary files and the free space of its disk"
	dir, err := os.MkdirTemp("", "engram-eval-")
	if err != nil {
		return failed("there is no place for a temporary memory", hint, err)
	}
	b := *a
	b.data, b.readOnly, b.quota = dir, false, memory.Quota{}
	b.durability = string(memory.Normal) // nothing of it is to survive
	err = f(&b)
	if gone := os.RemoveAll(dir); err == nil && gone != nil {
		return failed("the temporary memory "+dir+" cannot be removed", "remove it by hand", gone)
	}
	return err
}

// A labelledSet is what a file says is to be remembered, asked and found.
type labelledSet struct {
	spaces   []*labelledSpace
	subtotal map[string][]string // names of subtotals → the types that they count

	noEvidence int // questions left out, because nothing of the file answers them
	noSuchTurn int // mentions of gold that the file does not have
}

// A labelledSpace holds the engrams that are searched together.
type labelledSpace struct {
	engrams   []labelledEngram
	links     []labelledLink
	questions []labelledQuestion
	session   map[string]string // key of an engram → its context
}

type labelledEngram struct {
	key     string // "" if nothing names it
	session string
	args    map[string]any
}

// A labelledLink joins two keys. What it says besides is for engram_link to check.
type labelledLink struct {
	from, to         string
	relation, weight any
}

type labelledQuestion struct {
	Question string         `json:"question"`
	Gold     []string       `json:"gold"`
	Type     string         `json:"type"`
	Filter   map[string]any `json:"filter"`
}

func (s *labelledSpace) add(key, session string, args map[string]any) {
	s.engrams = append(s.engrams, labelledEngram{key, session, args})
	if key != "" {
		s.session[key] = session
	}
}

func newLabelledSpace() *labelledSpace { return &labelledSpace{session: map[string]string{}} }

// readLabelled reads a file in the format that its first character tells.
func readLabelled(path string, oneSpace bool) (*labelledSet, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, failed(path+" cannot be read", "name a file of engrams and questions; 'engram-mcp eval --help' shows what is in one", err)
	}
	defer f.Close()
	in := bufio.NewReaderSize(f, 1<<16)
	for {
		b, err := in.ReadByte()
		if err != nil {
			return nil, failed(path+" is empty", "'engram-mcp eval --help' shows what is in such a file", nil)
		}
		if bytes.IndexByte([]byte(" \t\r\n\ufeff"), b) >= 0 {
			continue
		}
		if err := in.UnreadByte(); err != nil {
			return nil, err
		}
		var set *labelledSet
		if b == '[' {
			set, err = readLoCoMo(in, oneSpace)
		} else {
			set, err = readLines(in)
		}
		if err != nil {
			return nil, failed(path+" cannot be measured: "+err.Error(), "'engram-mcp eval --help' shows what is in such a file", nil)
		}
		return set, set.check(path)
	}
}

func (set *labelledSet) check(path string) error {
	for _, s := range set.spaces {
		if len(s.questions) > 0 {
			return nil
		}
	}
	return failed(path+" has no questions", `add lines such as {"question": "…", "gold": ["key"]}`, nil)
}

// readLines reads engrams and questions, one a line.
func readLines(in io.Reader) (*labelledSet, error) {
	space := newLabelledSpace()
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, tools.MaxArguments)
	n := 0
	asked := map[int]int{} // index of a question → its line
	for lines.Scan() {
		n++
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		asked[len(space.questions)] = n
		if err := space.line(lines.Bytes()); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("after line %d: %w", n, err)
	}
	known := func(key string) bool { _, ok := space.session[key]; return ok }
	for i, q := range space.questions {
		for _, key := range q.Gold {
			if !known(key) {
				return nil, fmt.Errorf("line %d: no engram has the key %q", asked[i], key)
			}
		}
	}
	for _, l := range space.links {
		if !known(l.to) {
			return nil, fmt.Errorf("a link of %q: no engram has the key %q", l.from, l.to)
		}
	}
	return &labelledSet{spaces: []*labelledSpace{space}}, nil
}

// line takes in one line of JSON.
func (s *labelledSpace) line(raw []byte) error {
	var line struct {
		Engram map[string]any `json:"engram"`
		labelledQuestion
	}
	if err := json.Unmarshal(raw, &line); err != nil {
		return err
	}
	q := line.labelledQuestion
	switch {
	case line.Engram != nil && q.Question == "":
		return s.engram(line.Engram)
	case line.Engram != nil || q.Question == "":
		return errors.New(`it needs either "engram" or "question"`)
	case len(q.Gold) == 0:
		return errors.New(`"gold" is missing: the keys of the engrams that answer the question`)
	}
	if q.Type == "" {
		q.Type = "other"
	}
	q.Gold = unique(q.Gold)
	s.questions = append(s.questions, q)
	return nil
}

func (s *labelledSpace) engram(args map[string]any) error {
	key, _ := args["key"].(string)
	if _, given := args["key"]; given && key == "" {
		return errors.New("the key of an engram is a text")
	}
	if _, taken := s.session[key]; taken {
		return fmt.Errorf("another engram has the key %q already", key)
	}
	links, _ := args["links"].([]any)
	for _, l := range links {
		link, _ := l.(map[string]any)
		to, ok := link["to"].(string)
		if !ok || key == "" {
			return errors.New(`an engram with links has a key, and each link the key "to"`)
		}
		s.links = append(s.links, labelledLink{key, to, link["relation"], link["weight"]})
	}
	delete(args, "key")
	delete(args, "links")
	session, _ := args["context"].(string)
	s.add(key, session, args)
	return nil
}

// unique is keys without repeats, in their order.
func unique(keys []string) []string {
	var out []string
	for _, k := range keys {
		if !slices.Contains(out, k) {
			out = append(out, k)
		}
	}
	return out
}

// A locomoConversation is an entry of a LoCoMo file: sessions are the keys
// session_N of its conversation, their dates session_N_date_time.
type locomoConversation struct {
	ID           string                     `json:"sample_id"`
	Conversation map[string]json.RawMessage `json:"conversation"`
	QA           []struct {
		Question string   `json:"question"`
		Evidence []string `json:"evidence"`
		Category int      `json:"category"`
	} `json:"qa"`
}

type locomoTurn struct {
	Speaker string `json:"speaker"`
	ID      string `json:"dia_id"`
	Text    string `json:"text"`
	Caption string `json:"blip_caption"`
}

// locomoTypes are the categories of LoCoMo as its authors number them.
var locomoTypes = []string{"0 other", "1 multi-hop", "2 temporal", "3 open-domain", "4 single-hop", "5 adversarial"}

// locomoDate is how LoCoMo writes the time of a session.
const locomoDate = "3:04 pm on 2 January, 2006"

var (
	locomoSession = regexp.MustCompile(`^session_(\d+)$`)
	locomoTurnID  = regexp.MustCompile(`^D0*(\d+):0*(\d+)$`)
)

// readLoCoMo reads conversations, each into a space of its own unless all are
// to be in one. There, what they call their sessions and turns is preceded by
// what they are called themselves.
func readLoCoMo(in io.Reader, oneSpace bool) (*labelledSet, error) {
	var conversations []locomoConversation
	if err := json.NewDecoder(in).Decode(&conversations); err != nil {
		return nil, err
	}
	set := &labelledSet{subtotal: map[string][]string{"categories 1-4": locomoTypes[1:5]}}
	for i, c := range conversations {
		if c.ID == "" {
			c.ID = strconv.Itoa(i + 1)
		}
		prefix := ""
		if oneSpace {
			prefix = c.ID + " "
		}
		if i == 0 || !oneSpace {
			set.spaces = append(set.spaces, newLabelledSpace())
		}
		space := set.spaces[len(set.spaces)-1]
		if err := space.sessions(c, prefix); err != nil {
			return nil, fmt.Errorf("conversation %s: %w", c.ID, err)
		}
		set.locomoQuestions(space, c, prefix)
	}
	return set, nil
}

func (s *labelledSpace) sessions(c locomoConversation, prefix string) error {
	var numbers []int
	for key := range c.Conversation {
		if m := locomoSession.FindStringSubmatch(key); m != nil {
			n, err := strconv.Atoi(m[1])
			if err != nil {
				return err
			}
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	for _, n := range numbers {
		key := fmt.Sprintf("session_%d", n)
		var turns []locomoTurn
		if err := json.Unmarshal(c.Conversation[key], &turns); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		var date string
		if err := json.Unmarshal(c.Conversation[key+"_date_time"], &date); err != nil {
			return fmt.Errorf("%s_date_time: %w", key, err)
		}
		at, err := time.Parse(locomoDate, date)
		if err != nil {
			return fmt.Errorf("%s_date_time: %w", key, err)
		}
		for _, turn := range turns {
			s.turn(turn, prefix, fmt.Sprintf("%ssession %d", prefix, n), at)
		}
	}
	return nil
}

func (s *labelledSpace) turn(turn locomoTurn, prefix, session string, at time.Time) {
	content := turn.Text
	if turn.Caption != "" {
		content = strings.TrimSpace(content + " [image: " + turn.Caption + "]")
	}
	s.add(prefix+turn.ID, session, map[string]any{
		"content": content, "source": turn.Speaker, "context": session, "valid_from": at.Format(time.RFC3339),
		"metadata": map[string]string{"dia_id": turn.ID}, "allow_duplicate": true,
	})
}

// locomoQuestions adds the questions of a conversation. Several turns may stand
// in one text of evidence, and their numbers may have leading zeros.
func (set *labelledSet) locomoQuestions(space *labelledSpace, c locomoConversation, prefix string) {
	for _, qa := range c.QA {
		q := labelledQuestion{Question: qa.Question, Type: locomoTypes[0]}
		if qa.Category > 0 && qa.Category < len(locomoTypes) {
			q.Type = locomoTypes[qa.Category]
		}
		for _, mention := range strings.FieldsFunc(strings.Join(qa.Evidence, " "), func(r rune) bool { return strings.ContainsRune("; ,\t\n", r) }) {
			key := prefix + mention
			if m := locomoTurnID.FindStringSubmatch(mention); m != nil {
				key = prefix + "D" + m[1] + ":" + m[2]
			}
			if _, ok := space.session[key]; ok {
				q.Gold = append(q.Gold, key)
			} else {
				set.noSuchTurn++
			}
		}
		if q.Gold = unique(q.Gold); len(q.Gold) == 0 {
			set.noEvidence++
			continue
		}
		space.questions = append(space.questions, q)
	}
}

// ask remembers and asks everything, and writes down at which rank each gold
// engram was found.
func (a *app) ask(ctx context.Context, set *labelledSet, how evalOptions, report *evalReport) (err error) {
	e, err := a.engine(a.logger(), true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	for i, space := range set.spaces {
		who := a.owner()
		who.Space = fmt.Sprint("eval-", i+1)
		in := &examined{labelledSpace: space, engine: e, name: who.Space, evalOptions: how}
		if err := in.run(memory.WithPrincipal(ctx, who), a.embedder != "none", report); err != nil {
			return err
		}
	}
	return nil
}

// examined is a labelled space in a store.
type examined struct {
	*labelledSpace
	*engine
	evalOptions
	name    string
	ids     map[string]string // by key
	context map[string]string // by id
}

func (x *examined) run(ctx context.Context, vectors bool, report *evalReport) error {
	report.Spaces++
	report.Engrams += len(x.engrams)
	if err := x.remember(ctx); err != nil {
		return err
	}
	if vectors {
		if err := x.await(ctx); err != nil {
			return err
		}
	}
	for i := range x.questions {
		asked, err := x.ask(ctx, &x.questions[i])
		if err != nil {
			return fmt.Errorf("question %q: %w", x.questions[i].Question, err)
		}
		asked.Space = x.name
		report.Asked = append(report.Asked, asked)
	}
	return nil
}

// do calls a tool as a client would.
func (x *examined) do(ctx context.Context, tool string, in, out any) error {
	raw, err := json.Marshal(in)
	if err != nil {
		return err
	}
	answer, err := x.set.Call(ctx, tool, raw)
	if err != nil {
		return err
	}
	return json.Unmarshal(answer, out)
}

// maxEvalBatch is how much content goes into one call, in bytes of JSON.
const maxEvalBatch = tools.MaxArguments / 2

// remember stores the engrams in their order, and then their links.
func (x *examined) remember(ctx context.Context) error {
	x.ids, x.context = map[string]string{}, map[string]string{}
	batch, size := []labelledEngram{}, 0
	store := func() error {
		if len(batch) == 0 {
			return nil
		}
		all := make([]any, len(batch))
		for i, e := range batch {
			all[i] = e.args
		}
		var out struct{ Engrams []struct{ ID string } }
		if err := x.do(ctx, "engram_create", map[string]any{"engrams": all}, &out); err != nil {
			return err
		}
		for i, made := range out.Engrams {
			x.ids[batch[i].key] = made.ID
			x.context[made.ID] = batch[i].session
		}
		batch, size = batch[:0], 0
		return nil
	}
	for _, e := range x.engrams {
		raw, err := json.Marshal(e.args)
		if err != nil {
			return err
		}
		if len(batch) == memory.MaxBatch || size+len(raw) > maxEvalBatch {
			if err := store(); err != nil {
				return err
			}
		}
		batch, size = append(batch, e), size+len(raw)
	}
	if err := store(); err != nil {
		return err
	}
	delete(x.ids, "")
	return x.connect(ctx)
}

func (x *examined) connect(ctx context.Context) error {
	for part := range slices.Chunk(x.links, memory.MaxBatch) {
		links := make([]map[string]any, len(part))
		for i, l := range part {
			links[i] = map[string]any{"from": x.ids[l.from], "to": x.ids[l.to], "relation": l.relation}
			if l.weight != nil {
				links[i]["weight"] = l.weight
			}
		}
		var out struct{}
		if err := x.do(ctx, "engram_link", map[string]any{"links": links}, &out); err != nil {
			return err
		}
	}
	return nil
}

// patience is how long an embedder may make no progress.
const patience = 2 * time.Minute

// await waits until every engram has its vector.
func (x *examined) await(ctx context.Context) error {
	store, release, err := x.open(ctx)
	if err != nil {
		return err
	}
	defer release()
	best, since := int64(-1), time.Now()
	for {
		st, err := store.Stats(ctx)
		if err != nil {
			return err
		}
		if st.Model != "" && st.Pending == 0 {
			return nil
		}
		if st.Embedded > best {
			best, since = st.Embedded, time.Now()
		}
		if time.Since(since) > patience {
			return failed("the embedder makes no progress", "run 'engram-mcp doctor', or measure with --mode text", nil)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// ask asks one question. An answer that came about in another way than was
// asked for would be measured as what it is not, so it ends the measurement.
func (x *examined) ask(ctx context.Context, q *labelledQuestion) (evalQuestion, error) {
	in := maps.Clone(q.Filter)
	if in == nil {
		in = map[string]any{}
	}
	in["query"], in["limit"], in["mode"], in["fields"] = q.Question, x.limit, x.mode, []string{"id"}
	var out struct {
		Hits  []struct{ ID string }
		Notes []string
	}
	start := time.Now()
	if err := x.do(ctx, "engram_search", in, &out); err != nil {
		return evalQuestion{}, err
	}
	took := time.Since(start)
	if len(out.Notes) > 0 {
		return evalQuestion{}, failed(strings.Join(out.Notes, "; "), "measure again when it is mended, or with --mode text", nil)
	}
	var found, contexts []string
	for _, h := range out.Hits {
		found = append(found, h.ID)
		if c := x.context[h.ID]; c != "" && !slices.Contains(contexts, c) {
			contexts = append(contexts, c)
		}
	}
	asked := evalQuestion{Type: q.Type, Question: q.Question, Gold: q.Gold, took: took}
	var goldContexts []string
	for _, key := range q.Gold {
		asked.Ranks = append(asked.Ranks, slices.Index(found, x.ids[key])+1)
		if c := x.session[key]; c != "" && !slices.Contains(goldContexts, c) {
			goldContexts = append(goldContexts, c)
			asked.ContextRanks = append(asked.ContextRanks, slices.Index(contexts, c)+1)
		}
	}
	return asked, nil
}

// An evalReport is what --json prints. Figures are shares, 0 to 1.
type evalReport struct {
	File     string         `json:"file"`
	Mode     string         `json:"mode"`
	Limit    int            `json:"limit"`
	Embedder string         `json:"embedder"`
	Spaces   int            `json:"spaces"`
	Engrams  int            `json:"engrams"`
	Types    []evalRow      `json:"types"`
	Summary  []evalRow      `json:"summary"`
	SearchMS evalTimes      `json:"search_ms"`
	Asked    []evalQuestion `json:"asked"`
}

type evalRow struct {
	Name      string             `json:"name"`
	Questions int                `json:"questions"`
	Figures   map[string]float64 `json:"figures"`
}

type evalTimes struct {
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
}

// An evalQuestion tells the rank of each gold engram, and of each context that
// they are in; 0 if it is not among the hits.
type evalQuestion struct {
	Space        string   `json:"space"`
	Type         string   `json:"type"`
	Question     string   `json:"question"`
	Gold         []string `json:"gold"`
	Ranks        []int    `json:"ranks"`
	ContextRanks []int    `json:"context_ranks,omitempty"`
	took         time.Duration
}

// A figure judges the ranks of what should have been found for one question.
type figure struct {
	key, head string
	contexts  bool // it judges contexts
	depth     int  // it needs so many hits
	of        func(ranks []int) float64
}

var figures = []figure{
	{"recall@1", "R@1", false, 1, recallAt(1)},
	{"recall@5", "R@5", false, 5, recallAt(5)},
	{"recall@10", "R@10", false, 10, recallAt(10)},
	{"recall@20", "R@20", false, 20, recallAt(20)},
	{"hit@10", "hit@10", false, 10, func(ranks []int) float64 { return math.Ceil(recallAt(10)(ranks)) }},
	{"mrr", "MRR", false, 1, reciprocalRank},
	{"context_recall@5", "R@5", true, 5, recallAt(5)},
	{"context_recall@10", "R@10", true, 10, recallAt(10)},
	{"context_mrr", "MRR", true, 1, reciprocalRank},
}

func recallAt(k int) func([]int) float64 {
	return func(ranks []int) float64 {
		n := 0
		for _, r := range ranks {
			if r > 0 && r <= k {
				n++
			}
		}
		return float64(n) / float64(len(ranks))
	}
}

func reciprocalRank(ranks []int) float64 {
	best := 0.0
	for _, r := range ranks {
		if r > 0 {
			best = max(best, 1/float64(r))
		}
	}
	return best
}

// row is the mean of the questions that wanted accepts.
func (r *evalReport) row(name string, wanted func(*evalQuestion) bool) evalRow {
	row := evalRow{Name: name, Figures: map[string]float64{}}
	n := map[string]float64{}
	for i := range r.Asked {
		q := &r.Asked[i]
		if !wanted(q) {
			continue
		}
		row.Questions++
		for _, f := range figures {
			ranks := q.Ranks
			if f.contexts {
				ranks = q.ContextRanks
			}
			if len(ranks) > 0 && f.depth <= r.Limit {
				row.Figures[f.key] += f.of(ranks)
				n[f.key]++
			}
		}
	}
	for key := range row.Figures {
		row.Figures[key] /= n[key]
	}
	return row
}

// sum fills in everything that follows from what was asked.
func (r *evalReport) sum(set *labelledSet) {
	types := map[string]bool{}
	var took []float64
	for i := range r.Asked {
		types[r.Asked[i].Type] = true
		took = append(took, float64(r.Asked[i].took)/float64(time.Millisecond))
	}
	for _, name := range slices.Sorted(maps.Keys(types)) {
		r.Types = append(r.Types, r.row(name, func(q *evalQuestion) bool { return q.Type == name }))
	}
	r.Summary = []evalRow{r.row("all", func(*evalQuestion) bool { return true })}
	for _, name := range slices.Sorted(maps.Keys(set.subtotal)) {
		r.Summary = append(r.Summary, r.row(name, func(q *evalQuestion) bool { return slices.Contains(set.subtotal[name], q.Type) }))
	}
	r.Summary = append(r.Summary,
		r.over("mean of types", func(list []float64) float64 {
			sum := 0.0
			for _, v := range list {
				sum += v
			}
			return sum / float64(len(list))
		}),
		r.over("worst of types", slices.Min[[]float64]))
	slices.Sort(took)
	r.SearchMS = evalTimes{quantile(took, .5), quantile(took, .95)}
}

// over is a row with each figure taken from those of all types.
func (r *evalReport) over(name string, take func([]float64) float64) evalRow {
	row := evalRow{Name: name, Questions: len(r.Asked), Figures: map[string]float64{}}
	for _, f := range figures {
		var list []float64
		for _, t := range r.Types {
			if v, ok := t.Figures[f.key]; ok {
				list = append(list, v)
			}
		}
		if len(list) > 0 {
			row.Figures[f.key] = take(list)
		}
	}
	return row
}

// quantile is the smallest value that q of the sorted ones do not exceed.
func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[max(0, int(math.Ceil(q*float64(len(sorted))))-1)]
}

func (r *evalReport) print(p *printer) error {
	p.linef("%s of %s in %s, mode %s, limit %d, embedder %s", count(int64(len(r.Asked)), "question"),
		count(int64(r.Engrams), "engram"), count(int64(r.Spaces), "space"), r.Mode, r.Limit, r.Embedder)
	p.linef("")
	shown := slices.DeleteFunc(slices.Clone(figures), func(f figure) bool { _, ok := r.Summary[0].Figures[f.key]; return !ok })
	rows := slices.Concat(r.Types, r.Summary)
	wide := 0
	for _, row := range rows {
		wide = max(wide, len(row.Name))
	}
	head, above := "", ""
	for _, f := range shown {
		if f.contexts && above == "" {
			above = strings.Repeat(" ", wide+9+len(head)) + "contexts"
		}
		head += fmt.Sprintf("%8s", f.head)
	}
	if above != "" {
		p.linef("%s", p.dim(above))
	}
	p.linef("%s", p.bold(fmt.Sprintf("%-*s%9s", wide, "type", "n")+head))
	for i, row := range rows {
		line := fmt.Sprintf("%-*s%9s", wide, row.Name, thousands(int64(row.Questions)))
		for _, f := range shown {
			if v, ok := row.Figures[f.key]; ok {
				line += fmt.Sprintf("%8.3f", v)
			} else {
				line += fmt.Sprintf("%8s", "-")
			}
		}
		if i == len(r.Types) {
			p.linef("")
		}
		p.linef("%s", line)
	}
	p.linef("")
	p.linef("a search takes %.1f ms, and %.1f ms at the 95th percentile", r.SearchMS.P50, r.SearchMS.P95)
	return p.flush()
}

package quality

import (
	"os"
	"testing"
)

// locomoVar names a file of LoCoMo conversations. They may be measured with but
// not passed on, so there is none here.
const locomoVar = "ENGRAM_LOCOMO"

// TestLoCoMo measures recall of the turns that answer a question, among all
// turns of its conversation, and once among those of all conversations.
func TestLoCoMo(t *testing.T) {
	file := os.Getenv(locomoVar)
	if file == "" {
		t.Skip(locomoVar + " does not name a LoCoMo file; README.md tells where to get one")
	}
	answerable := ofType("1 multi-hop", "2 temporal", "3 open-domain", "4 single-hop")
	all := newTable("LoCoMo")
	for _, run := range []struct {
		name       string
		args       []string
		answerable scores // floors of categories 1 to 4
		all        scores // floors of all categories
	}{
		{
			"hybrid", nil,
			scores{"recall@5": .75, "recall@10": .82, "recall@20": .87, "mrr": .66},
			scores{"recall@10": .825, "mrr": .61, "context_recall@5": .88, "context_recall@10": .94},
		},
		{"hybrid, one space", []string{"--one-space"}, scores{"recall@10": .81}, nil},
		{"text", []string{"--mode", "text"}, scores{"recall@10": .79, "mrr": .64}, nil},
		{"vector", []string{"--mode", "vector"}, scores{"recall@10": .55}, nil},
	} {
		r := evaluate(t, append([]string{file}, run.args...)...)
		for _, kind := range typesOf(r.Asked) {
			all.row(run.name+", "+kind, score(r.Asked, ofType(kind)))
		}
		these, every := score(r.Asked, answerable), score(r.Asked, anyType)
		all.row(run.name+", categories 1-4", these)
		all.row(run.name+", all", every)
		gate(t, run.name+", categories 1-4", these, run.answerable)
		gate(t, run.name+", all", every, run.all)
		t.Logf("%s: a search takes %.1f ms, and %.1f ms at the 95th percentile", run.name, r.SearchMS.P50, r.SearchMS.P95)
	}
	t.Log(all)
}

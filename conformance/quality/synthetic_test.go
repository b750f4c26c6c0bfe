package quality

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A floor is a little below what was measured when it was set: recall@10 and
// MRR of hybrid search. Raise it with what improves it.
type floor struct{ recall, mrr float64 }

var floors = map[string]map[string]floor{
	"talk alone":     {"entity": {.81, .64}, "multi-hop": {.88, .95}, "paraphrase": {.55, .27}, "temporal": {.78, .59}, "update": {.76, .60}},
	"facts alone":    {"entity": {.72, .38}, "multi-hop": {.41, .31}, "paraphrase": {.57, .29}, "temporal": {.94, .76}, "update": {.69, .30}},
	"talk together":  {"entity": {.81, .62}, "multi-hop": {.86, .95}, "paraphrase": {.52, .25}, "temporal": {.89, .60}, "update": {.76, .63}},
	"facts together": {"entity": {.74, .39}, "multi-hop": {.36, .27}, "paraphrase": {.50, .25}, "temporal": {.82, .66}, "update": {.67, .31}},
}

// TestSet asks each half of the set by itself, and both in one space, where
// each stands in the way of the other. In no type of question may either kind
// of memory be found worse than by plain BM25.
func TestSet(t *testing.T) {
	lost, all := map[string]bool{}, newTable("set")
	for _, run := range []struct {
		name  string
		kinds []string
	}{{"alone", []string{"talk"}}, {"alone", []string{"facts"}}, {"together", kinds}} {
		file, set := join(t, run.kinds)
		plain := newBM25(set.engrams).answer(set.questions, 20)
		ours := evaluate(t, file).Asked
		for _, kind := range run.kinds {
			for _, name := range typesOf(ours) {
				row := kind + " " + run.name + ", " + name
				these := func(q asked) bool { return q.Type == name && strings.HasPrefix(q.Gold[0], kind+"-") }
				hybrid, base := score(ours, these), score(plain, these)
				all.row(row, hybrid)
				all.row("  plain BM25", base)
				want := floors[kind+" "+run.name][name]
				gate(t, row, hybrid, scores{"recall@10": want.recall, "mrr": want.mrr})
				for _, figure := range []string{"recall@10", "mrr"} {
					if hybrid[figure] < base[figure] {
						lost[row+", "+figure] = true
					}
				}
			}
		}
	}
	t.Log(all)
	for _, row := range slices.Sorted(maps.Keys(lost)) {
		t.Errorf("%s: plain BM25 is better", row)
	}
}

// join makes one labelled file of the halves of the set.
func join(t *testing.T, kinds []string) (file string, set labelled) {
	t.Helper()
	var all []byte
	for _, kind := range kinds {
		b, err := os.ReadFile(testdata(kind))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b...)
	}
	file = filepath.Join(t.TempDir(), "set.jsonl")
	if err := os.WriteFile(file, all, 0o600); err != nil {
		t.Fatal(err)
	}
	return file, readLabelled(t, file)
}

package agents

import (
	"fmt"
	"slices"
	"testing"
)

// What was approved is found before drafts and what was rejected, although all
// of them answer the question equally well.
func TestRerank_PutsTheApprovedFirst(t *testing.T) {
	each(t, "rerank", nil, func(t *testing.T, w *world) {
		plain := newWorld(t, languages[0], "rerank", nil) // its hook does not run
		rank := func(w *world) (mrr float64) {
			approved := map[string]string{}
			for i, s := range services {
				for j, what := range []string{"timeout", "request quota", "memory limit", "retention", "replica count"} {
					for k, status := range []string{"rejected", "draft", "draft", "approved", "draft"} {
						n := 10*(i+1) + 3*j + (k*7)%5
						id := w.create(object{"content": fmt.Sprintf("The %s of %s is %d", what, s, n), "metadata": object{"status": status}})[0]
						if status == "approved" {
							approved[fmt.Sprintf("What is the %s of %s?", what, s)] = id
						}
					}
				}
			}
			for question, id := range approved {
				if at := slices.Index(w.search(question, 10), id); at >= 0 {
					mrr += 1 / float64(at+1) / float64(len(approved))
				}
			}
			return mrr
		}
		before, after := rank(plain), rank(w)
		t.Logf("MRR of the approved one of five answers: before %.3f, with the agent %.3f", before, after)
		gate(t, "MRR", after, .95)
		gate(t, "gained", after-before, .30)
	})
}

func TestRerank_ByRules(t *testing.T) {
	const query = "Which ferry goes to the island?"
	engrams := []object{
		{"content": "The ferry to the island goes at ten", "source": "ada", "kind": "fact", "valid_from": "2024-01-10"},
		{"content": "The ferry to the island goes at one", "source": "ben", "kind": "event", "valid_from": "2024-03-10T12:00:00Z", "tags": []string{"x", "pinned"}},
		{"content": "The ferry to the island goes at two", "source": "ada", "kind": "event", "valid_from": "2023-12-31", "metadata": object{"n": 2, "deep": object{"ok": true}}},
		{"content": "The ferry to the island goes at six", "source": "cleo", "kind": "fact", "valid_from": "2024-02-29"},
	}
	order := func(w *world) (byScore, byTime []int) {
		ids := w.create(engrams...)
		for _, id := range w.search(query, 10) {
			byScore = append(byScore, slices.Index(ids, id))
		}
		for _, id := range w.search("", 10) {
			byTime = append(byTime, slices.Index(ids, id))
		}
		return byScore, byTime
	}
	plain, listed := order(newWorld(t, languages[0], "rerank", nil)) // its hook does not run
	for _, tc := range []struct {
		name  string
		rules []object
		first []int // the engrams that come first, in this order
	}{
		{"a tag among several", []object{{"field": "tags", "is": "pinned", "boost": 1}}, []int{1}},
		{"a source", []object{{"field": "source", "is": "cleo", "boost": 1}}, []int{3}},
		{"a kind and a source", []object{{"field": "kind", "is": "event", "boost": 1}, {"field": "source", "is": "ben", "boost": 1}}, []int{1, 2}},
		{"a number", []object{{"field": "metadata.n", "is": 2.0, "boost": 1}}, []int{2}},
		{"a value within", []object{{"field": "metadata.deep.ok", "is": true, "boost": 1}}, []int{2}},
		{"newest first", []object{{"half_life_days": 10, "boost": 5}}, []int{1, 3, 0, 2}},
		{"oldest first", []object{{"half_life_days": 10, "boost": -5}}, []int{2, 0, 3, 1}},
		{"nothing that is there", []object{{"field": "metadata.m", "is": 1, "boost": 1}}, nil},
		{"a mistaken rule", []object{{"field": "source", "is": "cleo"}}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			each(t, "rerank", object{"rules": tc.rules}, func(t *testing.T, w *world) {
				want := slices.Clone(tc.first)
				for _, i := range plain { // the rest stays in its order
					if !slices.Contains(want, i) {
						want = append(want, i)
					}
				}
				got, newest := order(w)
				if !slices.Equal(got, want) {
					t.Errorf("got %v, want %v", got, want)
				}
				if !slices.Equal(newest, listed) {
					t.Errorf("without a query %v, want %v", newest, listed)
				}
			})
		})
	}
}

package quality

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// An engram is one of a labelled file, as far as these tests read it.
type engram struct {
	Key       string `json:"key"`
	Content   string `json:"content"`
	Source    string `json:"source"`
	Context   string `json:"context"`
	ValidFrom string `json:"valid_from"`
}

type question struct {
	Question string   `json:"question"`
	Type     string   `json:"type"`
	Gold     []string `json:"gold"`
}

type labelled struct {
	engrams   []engram
	questions []question
	bytes     int
}

func readLabelled(t testing.TB, path string) (set labelled) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var line struct {
			Engram *engram
			question
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		if line.Engram != nil {
			set.engrams = append(set.engrams, *line.Engram)
		} else {
			set.questions = append(set.questions, line.question)
		}
		set.bytes += len(lines.Bytes()) + 1
	}
	return set
}

// asked is a question with the rank of each of its gold engrams, 0 if none.
type asked struct {
	Space        string
	Type         string
	Question     string
	Gold         []string
	Ranks        []int
	ContextRanks []int `json:"context_ranks"`
}

// scores are the figures of some questions, computed here from their ranks.
type scores map[string]float64

// score is the mean of the figures over the questions that pass wants.
func score(all []asked, pass func(asked) bool) scores {
	s, n, contexts := scores{}, 0.0, 0.0
	for _, q := range all {
		if !pass(q) {
			continue
		}
		n++
		for _, k := range []int{1, 5, 10, 20} {
			s[fmt.Sprintf("recall@%d", k)] += recall(q.Ranks, k)
		}
		if recall(q.Ranks, 10) > 0 {
			s["hit@10"]++
		}
		s["mrr"] += reciprocal(q.Ranks)
		if len(q.ContextRanks) > 0 {
			contexts++
			s["context_recall@5"] += recall(q.ContextRanks, 5)
			s["context_recall@10"] += recall(q.ContextRanks, 10)
			s["context_mrr"] += reciprocal(q.ContextRanks)
		}
	}
	for name := range s {
		if strings.HasPrefix(name, "context_") {
			s[name] /= contexts
		} else {
			s[name] /= n
		}
	}
	s["questions"] = n
	return s
}

func recall(ranks []int, k int) float64 {
	n := 0.0
	for _, r := range ranks {
		if r >= 1 && r <= k {
			n++
		}
	}
	return n / float64(len(ranks))
}

func reciprocal(ranks []int) float64 {
	first := 0
	for _, r := range ranks {
		if r > 0 && (first == 0 || r < first) {
			first = r
		}
	}
	if first == 0 {
		return 0
	}
	return 1 / float64(first)
}

func anyType(asked) bool { return true }

func ofType(names ...string) func(asked) bool {
	return func(q asked) bool { return slices.Contains(names, q.Type) }
}

// spoken is a date as people say it.
func spoken(validFrom string) string {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.Parse(layout, validFrom); err == nil {
			return at.Format("2 January 2006")
		}
	}
	return ""
}

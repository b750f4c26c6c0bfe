package quality

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var kinds = []string{"talk", "facts"}

func testdata(kind string) string { return filepath.Join("testdata", kind+".jsonl") }

func TestSetIsWhatTheGeneratorMakes(t *testing.T) {
	dir := t.TempDir()
	if out, err := exec.Command("go", "run", "./generate", "-dir", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, kind := range kinds {
		made, err := os.ReadFile(filepath.Join(dir, kind+".jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		kept, err := os.ReadFile(testdata(kind))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(made, kept) {
			t.Errorf("%s is stale: run 'go generate ./conformance/quality'", testdata(kind))
		}
	}
}

// The set holds enough of either kind of memory, and of every type of question.
func TestSetIsLargeAndVaried(t *testing.T) {
	engrams, questions, size := 0, 0, 0
	for _, kind := range kinds {
		set := readLabelled(t, testdata(kind))
		engrams, questions, size = engrams+len(set.engrams), questions+len(set.questions), size+set.bytes
		for _, e := range set.engrams {
			if talks := e.Context != "" && e.Source != ""; talks != (kind == "talk") || !talks && e.Context+e.Source != "" {
				t.Fatalf("%s does not belong to %s", e.Key, kind)
			}
		}
		count := map[string]int{}
		for _, q := range set.questions {
			count[q.Type]++
		}
		for _, name := range []string{"paraphrase", "multi-hop", "temporal", "entity", "update"} {
			if count[name] < 30 {
				t.Errorf("%s has %d questions of type %s", kind, count[name], name)
			}
		}
	}
	if engrams < 2000 || questions < 400 || size > 2<<20 {
		t.Errorf("%d engrams and %d questions in %d bytes", engrams, questions, size)
	}
}

// A paraphrase has no word in common with the memory but the names that the
// question is about.
func TestParaphrasesUseOtherWords(t *testing.T) {
	for _, kind := range kinds {
		set := readLabelled(t, testdata(kind))
		content := map[string]string{}
		for _, e := range set.engrams {
			content[e.Key] = e.Content
		}
		for _, q := range set.questions {
			if q.Type != "paraphrase" {
				continue
			}
			names := namesIn(q.Question)
			for _, key := range q.Gold {
				memory := words(content[key])
				for _, w := range words(q.Question) {
					if !stop[w] && !slices.Contains(names, w) && slices.Contains(memory, w) {
						t.Errorf("%q has the word %q of %q", q.Question, w, content[key])
					}
				}
			}
		}
	}
}

// namesIn are the words of capitalised and hyphenated words after the first.
func namesIn(text string) (names []string) {
	for i, w := range strings.Fields(text) {
		w = strings.Trim(w, "?,.'")
		if strings.Contains(w, "-") || i > 0 && strings.ToLower(w) != w {
			names = append(names, words(w)...)
		}
	}
	return names
}

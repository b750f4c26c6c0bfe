package agents

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// told are the engrams of an answer of ingest, as lines of kind, source, time,
// content and, in brackets, what each is a part of.
func (w *world) told(answer object) (lines []string) {
	w.t.Helper()
	ids := answer["engrams"].([]any)
	for i, id := range ids {
		e := w.get(id.(string))[0]
		var fields []string
		for _, key := range []string{"kind", "source", "valid_from", "content"} {
			if s, ok := e[key].(string); ok {
				fields = append(fields, s)
			}
		}
		for to := range w.links(id.(string), "part_of") {
			fields = append(fields, fmt.Sprintf("[%d]", slices.Index(ids, any(to))))
		}
		lines = append(lines, strings.Join(fields, "|"))
		if next := e["next"]; i+1 < len(ids) && next != ids[i+1] {
			w.t.Errorf("after %q does not come what follows it", e["content"])
		}
	}
	return lines
}

func TestIngest_Formats(t *testing.T) {
	for _, tc := range []struct {
		name, format string
		params       object
		want         []string
	}{
		{"markdown", "markdown", object{"source": "wiki", "time": "2024-05-07", "text": "---\ntitle: x\n---\nBefore all.\n\n# Guide\n\nOne line\nand another.\n\n## Install ##\n- a\n- b\n\n```sh\n# no heading\n\nrun it\n```\n## Use\nAs you like.\n# End\n"},
			[]string{
				"note|wiki|2024-05-07T00:00:00Z|Before all.", "section|wiki|2024-05-07T00:00:00Z|Guide", "note|wiki|2024-05-07T00:00:00Z|One line\nand another.|[1]",
				"section|wiki|2024-05-07T00:00:00Z|Install|[1]", "note|wiki|2024-05-07T00:00:00Z|- a\n- b|[3]", "note|wiki|2024-05-07T00:00:00Z|```sh\n# no heading\n\nrun it\n```|[3]",
				"section|wiki|2024-05-07T00:00:00Z|Use|[1]", "note|wiki|2024-05-07T00:00:00Z|As you like.|[6]", "section|wiki|2024-05-07T00:00:00Z|End",
			}},
		{"chat", "chat", object{"text": "Ada: Hello, see https://x.org\nBen Okafor: Hi\n  and: more\n\nAda: Hello, see https://x.org\n"},
			[]string{"turn|Ada|Hello, see https://x.org", "turn|Ben Okafor|Hi\n  and: more", "turn|Ada|Hello, see https://x.org"}},
		{"chat with times", "chat", object{"text": "[2024-05-07 10:00] Ada: Hello\r\n2024-05-07 10:01:30 - Ben: Hi\n[2024-05-08] **Cleo**: Ho\n"},
			[]string{"turn|Ada|2024-05-07T10:00:00Z|Hello", "turn|Ben|2024-05-07T10:01:30Z|Hi", "turn|Cleo|2024-05-08T00:00:00Z|Ho"}},
		{"JSON lines", "jsonl", object{"text": `{"role":"user","content":"Hello","timestamp":1715076000}` + "\n\n" + `{"role":"assistant","name":"Bot","content":[{"type":"text","text":"Hi"},{"type":"text","text":"there"}],"time":"2024-05-07T10:00:01.5Z"}` + "\n" + `{"author":"Ada","text":"Ho","date":1715169600000}`},
			[]string{"turn|user|2024-05-07T10:00:00Z|Hello", "turn|Bot|2024-05-07T10:00:01.5Z|Hi\nthere", "turn|Ada|2024-05-08T12:00:00Z|Ho"}},
		{"a list of messages", "jsonl", object{"text": `{"messages": [{"role":"user","content":"Hello"},{"role":"assistant","content":""},{"role":"user","content":"Ho"}]}`},
			[]string{"turn|user|Hello", "turn|user|Ho"}},
		{"as it is said to be", "markdown", object{"format": "markdown", "text": "Ada: Hello\n\nBen: Hi"}, []string{"note|Ada: Hello", "note|Ben: Hi"}},
		{"plain text", "markdown", object{"text": "One: two.\n\nThree."}, []string{"note|One: two.", "note|Three."}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			each(t, "ingest", nil, func(t *testing.T, w *world) {
				params := object{"context": "x", "request_id": "0e4a9d4e-6f4b-4a52-8c8a-2f7f3a7c1b11"}
				maps.Copy(params, tc.params)
				answer := w.run("text", params)
				if got := w.told(answer); answer["format"] != tc.format || !slices.Equal(got, tc.want) {
					t.Errorf("%v:\n got %q\nwant %q", answer["format"], got, tc.want)
				}
				again := w.run("text", params)
				if fmt.Sprint(again["engrams"]) != fmt.Sprint(answer["engrams"]) {
					t.Error("a repeated request gives other engrams")
				}
				if hits := w.call("engram_search", object{"limit": 200})["hits"].([]any); len(hits) != len(tc.want) {
					t.Errorf("%d engrams are stored", len(hits))
				}
			})
		})
	}
}

func TestIngest_WhatItRefuses(t *testing.T) {
	each(t, "ingest", nil, func(t *testing.T, w *world) {
		for text, want := range map[string]string{
			" \n ": "nothing to remember", "{\"content\": \"x\"}\nHello": "line 2 is not JSON", strings.Repeat("a\n\n", 1001): "1001 parts", "---\nonly: yaml\n---\n": "nothing to remember",
		} {
			_, failure := w.try("agent_run", object{"agent": "ingest", "action": "text", "params": object{"text": text, "context": "x"}})
			if !strings.Contains(failure, want) {
				t.Errorf("%.30q: %s", text, failure)
			}
		}
		if hits := w.call("engram_search", object{})["hits"].([]any); len(hits) != 0 {
			t.Errorf("%d engrams are stored", len(hits))
		}
	})
}

// A text may be larger than the memory that the agent begins with, and a
// paragraph larger than an engram should be.
func TestIngest_LongTexts(t *testing.T) {
	each(t, "ingest", nil, func(t *testing.T, w *world) {
		var text strings.Builder
		for i := range 800 {
			fmt.Fprintf(&text, "%d %s\n\n", i, strings.Repeat("lorem ipsum ", 100))
		}
		for range 2 {
			if ids := w.run("text", object{"text": text.String(), "context": "long"})["engrams"].([]any); len(ids) != 800 {
				t.Errorf("%d engrams", len(ids))
			}
		}
		var paragraph strings.Builder
		for i := range 400 {
			fmt.Fprintf(&paragraph, "The quick brown fox %d jumps. ", i)
		}
		var whole []string
		for _, e := range w.get(idsOfStrings(w.run("text", object{"text": paragraph.String(), "context": "one"})["engrams"])...) {
			content := e["content"].(string)
			if whole = append(whole, content); len(content) > 4000 || !strings.HasSuffix(content, "jumps.") {
				t.Errorf("%d bytes, ending in %q", len(content), content[len(content)-10:])
			}
		}
		if got := strings.Join(whole, " "); got != strings.TrimSpace(paragraph.String()) {
			t.Errorf("%d bytes became %d", paragraph.Len(), len(got))
		}
	})
}

// Every turn of the 72 conversations of the quality set comes back, in its
// order, with speaker and day, from either format of a conversation.
func TestIngest_Conversations(t *testing.T) {
	talks, order := map[string][]qualityEngram{}, []string{}
	for _, e := range qualitySet(t, "talk") {
		if talks[e.Context] == nil {
			order = append(order, e.Context)
		}
		talks[e.Context] = append(talks[e.Context], e)
	}
	for _, format := range []string{"chat", "jsonl"} {
		t.Run(format, func(t *testing.T) {
			each(t, "ingest", nil, func(t *testing.T, w *world) {
				n := 0
				for i, context := range order {
					var text strings.Builder
					for _, e := range talks[context] {
						if format == "chat" {
							fmt.Fprintf(&text, "[%s] %s: %s\n", e.ValidFrom[:10], e.Source, e.Content)
						} else {
							line, _ := json.Marshal(object{"speaker": e.Source, "text": e.Content, "time": e.ValidFrom})
							fmt.Fprintf(&text, "%s\n", line)
						}
					}
					answer := w.run("text", object{"text": text.String(), "context": context, "request_id": fmt.Sprintf("0e4a9d4e-6f4b-4a52-8c8a-%012d", i)})
					if answer["format"] != format {
						t.Fatalf("%s is taken for %v", context, answer["format"])
					}
					list := w.get(idsOfStrings(answer["engrams"])...)
					for j, e := range talks[context] {
						n++
						if got := list[j]; got["content"] != e.Content || got["source"] != e.Source || !strings.HasPrefix(got["valid_from"].(string), e.ValidFrom[:10]) {
							t.Fatalf("%s: %v instead of %v", context, got, e)
						}
						if next, _ := list[j]["next"].(string); j+1 < len(list) && next != list[j+1]["id"] {
							t.Fatalf("%s: %v is followed by %v", context, list[j]["content"], next)
						}
					}
				}
				if n < 1500 {
					t.Errorf("only %d turns", n)
				}
			})
		})
	}
}

func idsOfStrings(list any) (ids []string) {
	for _, id := range list.([]any) {
		ids = append(ids, id.(string))
	}
	return ids
}

// Nothing of the documents of this repository is lost, and every part stands
// under its heading.
func TestIngest_Documents(t *testing.T) {
	files, err := filepath.Glob("../../*/DESIGN.md")
	if err != nil {
		t.Fatal(err)
	}
	files = append(files, "../../README.md", "../../CONTRIBUTING.md", "../../examples/agents/README.md")
	heading := regexp.MustCompile(`^#{1,6} (.*)$`)
	each(t, "ingest", nil, func(t *testing.T, w *world) {
		for _, file := range files {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			answer := w.run("text", object{"text": string(raw), "context": file})
			under, section := map[string]string{}, ""
			for _, e := range w.get(idsOfStrings(answer["engrams"])...) {
				for _, line := range strings.Split(e["content"].(string), "\n") {
					for to := range w.links(e["id"].(string), "part_of") {
						section = w.get(to)[0]["content"].(string)
					}
					under[strings.TrimSpace(line)] += "|" + section + "|"
				}
			}
			at, fence := "", false
			for _, line := range strings.Split(string(raw), "\n") {
				line = strings.TrimSpace(line)
				if strings.HasPrefix(line, "```") {
					fence = !fence
				}
				if h := heading.FindStringSubmatch(line); h != nil && !fence {
					if under[h[1]] == "" {
						t.Errorf("%s: no section %q", file, h[1])
					}
					at = h[1]
				} else if line != "" && len(line) < 4000 && !strings.Contains(under[line], "|"+at+"|") {
					t.Errorf("%s: %q is not under %q but %q", file, line, at, under[line])
				}
			}
		}
	})
}

package conformance

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"engram-mcp/conformance/binary"
)

// counting is what a model writes that wants to know who has how many
// preferences.
const counting = `local n, top = {}, {}
for e in engram.each{kind = "preference", fields = {"source"}} do n[e.source] = (n[e.source] or 0) + 1 end
for s, c in pairs(n) do top[#top + 1] = {source = s, count = c} end
table.sort(top, function(a, b) return a.count > b.count end)
return table.move(top, 1, 5, 1, {})`

type sourceCount struct {
	Source string
	Count  int
}

// A question about all of a large memory is answered by a program that a model
// sends in a fraction of what reading all of it would cost the model.
func TestScript_CostsAModelLessThanReading(t *testing.T) {
	const engrams = 10_000
	data, file := t.TempDir(), filepath.Join(t.TempDir(), "preferences.jsonl")
	want := writePreferences(t, file, engrams)
	if out, err := binary.Command(t, data, "import", file, "--embedder", "none").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	s := binary.Start(t, data, "--embedder", "none", "--tools", "all")
	s.Begin(t)

	script := map[string]any{"language": "lua", "code": counting}
	var took []time.Duration
	var answer []byte
	for i := range 21 {
		start := time.Now()
		answer = s.Send(t, binary.Call(i+1, "script_run", script))
		took = append(took, time.Since(start))
	}
	first := took[0]
	slices.Sort(took)
	var got struct{ Output []sourceCount }
	binary.Structured(t, answer, &got)
	if fmt.Sprint(got.Output) != fmt.Sprint(want) {
		t.Errorf("the program says %v, want %v", got.Output, want)
	}
	cost := tokens(t, script, answer)

	read, pages := 0, 0
	for args := (map[string]any{"kind": "preference", "limit": 200, "fields": []string{"source"}}); ; pages++ {
		page := s.Send(t, binary.Call(100+pages, "engram_search", args))
		read += tokens(t, args, page)
		var found struct{ Cursor string }
		binary.Structured(t, page, &found)
		if found.Cursor == "" {
			break
		}
		args["cursor"] = found.Cursor
	}
	s.Close(t)
	t.Logf("%d engrams, half of them asked for: first %v, then p50 %v; %d tokens, reading them in %d calls %d tokens, %d times as many",
		engrams, first.Round(time.Millisecond), took[10].Round(time.Millisecond/10), cost, pages+1, read, read/cost)
	if cost >= 300 {
		t.Errorf("the program costs %d tokens, want less than 300", cost)
	}
	if read < 20*cost {
		t.Errorf("reading costs %d tokens, want 20 times the %d of the program", read, cost)
	}
}

// writePreferences writes engrams of which every other one is a preference, and
// returns the five sources with the most of them.
func writePreferences(t *testing.T, path string, n int) (top []sourceCount) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for i := range n {
		kind, source := "fact", fmt.Sprintf("person%d", i*i%97%(1+i%23))
		if i%2 == 0 {
			kind = "preference"
			counts[source]++
		}
		fmt.Fprintf(f, `{"engram":{"content":"number %d is liked more than number %d","kind":%q,"source":%q}}`+"\n", i, i*7%n, kind, source)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	for source, count := range counts {
		top = append(top, struct {
			Source string
			Count  int
		}{source, count})
	}
	slices.SortFunc(top, func(a, b sourceCount) int {
		if a.Count != b.Count {
			return b.Count - a.Count
		}
		return strings.Compare(a.Source, b.Source)
	})
	return top[:5]
}

// tokens is what a call costs a model, at four bytes each: the arguments that
// it writes and the text that it reads.
func tokens(t *testing.T, args any, answer []byte) int {
	t.Helper()
	raw, err := json.Marshal(args)
	if err != nil {
		t.Fatal(err)
	}
	var m struct {
		Result struct{ Content []struct{ Text string } }
	}
	if err := json.Unmarshal(answer, &m); err != nil || len(m.Result.Content) != 1 {
		t.Fatalf("%v in %.300s", err, answer)
	}
	return (len(raw) + len(m.Result.Content[0].Text)) / 4
}

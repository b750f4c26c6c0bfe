package quality

import (
	"bytes"
	"encoding/json"
	"math"
	"testing"
	"time"

	"engram-mcp/conformance/binary"
)

// The same memory and the same query give the same bytes: asked twice, by
// another process, and by one that must do without the vector instructions of
// the processor. Equal engrams tie, and ties are answered in one order too. The
// parts of each score add up to it.
func TestSearchIsDeterministic(t *testing.T) {
	data := t.TempDir()
	queries := fillMemory(t, data)
	first := binary.Start(t, data)
	first.Begin(t)
	want := searchAll(t, first, queries)
	compare(t, "again", want, searchAll(t, first, queries))
	first.Close(t)

	second := binary.Start(t, data)
	second.Begin(t)
	compare(t, "in another process", want, searchAll(t, second, queries))
	second.Close(t)

	plain := binary.Command(t, data, "serve")
	plain.Env = append(plain.Env, "GODEBUG=cpu.avx2=off")
	third := binary.Serve(t, plain)
	third.Begin(t)
	compare(t, "without AVX2", want, searchAll(t, third, queries))
	third.Close(t)

	ties := 0
	for i, answer := range want {
		ties += checkScores(t, queries[i], answer)
	}
	if ties == 0 {
		t.Error("no two scores were equal, so that nothing was seen of ties")
	}
}

// fillMemory stores a part of the set, and some engrams several times, and
// returns queries for it.
func fillMemory(t *testing.T, data string) (queries []map[string]any) {
	t.Helper()
	var all []map[string]any
	for _, kind := range kinds {
		set := readLabelled(t, testdata(kind))
		for _, e := range set.engrams[:400] {
			args := map[string]any{"content": e.Content, "allow_duplicate": true}
			for key, v := range map[string]string{"source": e.Source, "context": e.Context, "valid_from": e.ValidFrom} {
				if v != "" {
					args[key] = v
				}
			}
			all = append(all, args)
		}
		for i := 0; i < len(set.questions); i += 20 {
			for _, mode := range []string{"hybrid", "text", "vector"} {
				queries = append(queries, map[string]any{"query": set.questions[i].Question, "mode": mode, "limit": 25, "explain": true})
			}
		}
	}
	for range 6 {
		all = append(all, map[string]any{"content": "The heron cluster is a stone's throw from the harbour", "allow_duplicate": true})
	}
	queries = append(queries, map[string]any{"query": "heron by the harbour", "mode": "hybrid", "limit": 25, "explain": true})
	s := binary.Start(t, data)
	s.Begin(t)
	var made struct{ Engrams []struct{ ID string } }
	binary.Structured(t, s.Send(t, binary.Call(1, "engram_create", map[string]any{"engrams": all})), &made)
	if len(made.Engrams) != len(all) {
		t.Fatalf("%d engrams were made of %d", len(made.Engrams), len(all))
	}
	s.Close(t)
	return queries
}

// searchAll returns the structured content of the answer to each query. Before
// the first it waits until the server has loaded its vectors.
func searchAll(t *testing.T, s *binary.Stdio, queries []map[string]any) []json.RawMessage {
	t.Helper()
	answers := make([]json.RawMessage, len(queries))
	for i, q := range queries {
		for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
			binary.Structured(t, s.Send(t, binary.Call(i+1, "engram_search", q)), &answers[i])
			var notes struct{ Notes []string }
			if err := json.Unmarshal(answers[i], &notes); err != nil {
				t.Fatal(err)
			}
			if len(notes.Notes) == 0 {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("the server keeps saying %q", notes.Notes)
			}
		}
	}
	return answers
}

func compare(t *testing.T, how string, want, got []json.RawMessage) {
	t.Helper()
	for i := range want {
		if !bytes.Equal(want[i], got[i]) {
			t.Fatalf("%s, the answer is another:\n%s\n%s", how, want[i], got[i])
		}
	}
}

// checkScores checks that hits are in order and that parts add up, and returns
// how many hits have the score of the one before.
func checkScores(t *testing.T, query map[string]any, answer json.RawMessage) (ties int) {
	t.Helper()
	var found struct {
		Hits []struct {
			ID    string
			Score float64
			Parts map[string]float64
		}
	}
	if err := json.Unmarshal(answer, &found); err != nil {
		t.Fatal(err)
	}
	if len(found.Hits) == 0 && query["mode"] != "text" { // a paraphrase may have no word of any engram
		t.Errorf("%v found nothing", query)
	}
	for i, h := range found.Hits {
		sum := 0.0
		for _, part := range h.Parts {
			sum += part
		}
		if len(h.Parts) == 0 || math.Abs(sum-h.Score) > 1e-9 {
			t.Errorf("%v: the parts %v do not add up to %v", query, h.Parts, h.Score)
		}
		if i == 0 {
			continue
		}
		last := found.Hits[i-1]
		if h.Score > last.Score {
			t.Errorf("%v: %v follows %v", query, h.Score, last.Score)
		}
		if h.Score == last.Score {
			ties++
			if query["mode"] != "vector" && h.ID < last.ID {
				t.Errorf("%v: of equal scores, %s follows %s", query, h.ID, last.ID)
			}
		}
	}
	return ties
}

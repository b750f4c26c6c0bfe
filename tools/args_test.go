package tools

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"engram-mcp/memory"
)

type sampleItem struct {
	From string `json:"from" alias:"from_id" eg:"\"a\""`
	To   string `json:"to"`
}

type sample struct {
	Query   string       `json:"query,omitempty" alias:"q,text"`
	IDs     []string     `json:"ids,omitempty" alias:"id" items:"3"`
	Limit   int          `json:"limit,omitempty" alias:"top_k,k" min:"1" max:"200"`
	Weight  *float64     `json:"weight,omitempty" min:"0" max:"1"`
	Purge   bool         `json:"purge,omitempty"`
	After   time.Time    `json:"after,omitzero"`
	Until   *time.Time   `json:"until,omitempty"`
	Meta    obj          `json:"metadata,omitempty"`
	Mode    string       `json:"mode,omitempty" enum:"hybrid,text"`
	Links   []sampleItem `json:"links,omitempty" show:"flat"`
	Filter  *sampleItem  `json:"filter,omitempty"`
	MaxToks int          `json:"max_tokens,omitempty"`
}

// echo is a tool that answers with the arguments it was given.
func echo(t *testing.T) func(in string) (sample, error) {
	t.Helper()
	var got sample
	tool := New(Tool{Name: "echo"}, func(_ context.Context, in sample) (struct{}, error) { got = in; return struct{}{}, nil })
	ctx := memory.WithPrincipal(t.Context(), memory.Principal{Space: "default", Rights: memory.Read})
	set := NewSet(tool)
	return func(in string) (sample, error) {
		got = sample{}
		_, err := set.Call(ctx, "echo", json.RawMessage(in))
		return got, err
	}
}

func ptr[T any](v T) *T { return &v }

func TestArguments_WhatAModelMeantIsTaken(t *testing.T) {
	day := time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC)
	nine := day.Add(9 * time.Hour)
	tests := []struct {
		in   string
		want sample
	}{
		{``, sample{}},
		{`null`, sample{}},
		{`{}`, sample{}},
		{`{"query": "tea", "limit": 5}`, sample{Query: "tea", Limit: 5}},
		{`{"q": "tea", "top_k": 5}`, sample{Query: "tea", Limit: 5}},
		{`{"Query": "tea", "maxTokens": 7}`, sample{Query: "tea", MaxToks: 7}},
		{`{"max-tokens": 7}`, sample{MaxToks: 7}},
		{`{"query": null, "limit": null}`, sample{}},
		{`{"query": 42}`, sample{Query: "42"}},
		{`{"query": 123456789012345678901}`, sample{Query: "123456789012345678901"}},
		{`{"query": "{\"not\": \"an object here\"}"}`, sample{Query: `{"not": "an object here"}`}},
		{`{"query": "tea", "text": "tea"}`, sample{Query: "tea"}},
		{`{"limit": "10"}`, sample{Limit: 10}},
		{`{"limit": 10.0}`, sample{Limit: 10}},
		{`{"limit": 1e1}`, sample{Limit: 10}},
		{`{"weight": "0.5"}`, sample{Weight: ptr(0.5)}},
		{`{"weight": 0}`, sample{Weight: ptr(0.0)}},
		{`{"purge": "true"}`, sample{Purge: true}},
		{`{"id": "a"}`, sample{IDs: []string{"a"}}},
		{`{"ids": "[\"a\", \"b\"]"}`, sample{IDs: []string{"a", "b"}}},
		{`{"ids": []}`, sample{IDs: []string{}}},
		{`{"ids": [1, "b"]}`, sample{IDs: []string{"1", "b"}}},
		{`{"after": "2026-01-31"}`, sample{After: day}},
		{`{"after": "2026-01-31T09:00:00Z"}`, sample{After: nine}},
		{`{"after": "2026-01-31T10:00:00+01:00"}`, sample{After: nine}},
		{`{"after": "2026-01-31 09:00"}`, sample{After: nine}},
		{`{"after": "2026-01-31 09:00:00"}`, sample{After: nine}},
		{`{"after": "2026-01-31T09:00"}`, sample{After: nine}},
		{`{"after": " 2026-01-31 09:00:00 UTC "}`, sample{After: nine}},
		{`{"until": ""}`, sample{Until: ptr(time.Time{})}},
		{`{"metadata": {"page": 12, "deep": {"big": 12345678901234567890}}}`, sample{Meta: obj(`{"deep":{"big":12345678901234567890},"page":12}`)}},
		{`{"metadata": "{\"page\": 12}"}`, sample{Meta: obj(`{"page":12}`)}},
		{`{"metadata": {"html": "<b>&"}}`, sample{Meta: obj(`{"html":"<b>&"}`)}},
		{`{"mode": "Hybrid"}`, sample{Mode: "hybrid"}},
		{`{"mode": ""}`, sample{}},
		{`{"links": [{"from": "a", "to": "b"}]}`, sample{Links: []sampleItem{{"a", "b"}}}},
		{`{"links": {"from": "a", "to": "b"}}`, sample{Links: []sampleItem{{"a", "b"}}}},
		{`{"from_id": "a", "to": "b"}`, sample{Links: []sampleItem{{"a", "b"}}}},
		{`{"filter": {"from": "a", "to": "b"}}`, sample{Filter: &sampleItem{"a", "b"}}},
		{`"{\"query\": \"tea\"}"`, sample{Query: "tea"}},
	}
	call := echo(t)
	for _, tt := range tests {
		got, err := call(tt.in)
		if err != nil {
			t.Errorf("%s: %v", tt.in, err)
		} else if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", tt.in, diff)
		}
	}
}

func TestArguments_WhatIsWrongIsSaidWithTheRemedy(t *testing.T) {
	tests := []struct{ in, what, hint string }{
		{`{"querry": "x"}`, `there is no argument "querry"`, `did you mean "query"?`},
		{`{"zzz": 1}`, `there is no argument "zzz"`, `the arguments are query, ids, limit`},
		{`{"limit": "ten"}`, `limit is "ten", not a whole number`, `"limit": 10`},
		{`{"limit": 2.5}`, `limit is 2.5, not a whole number`, `"limit": 10`},
		{`{"limit": 500}`, `limit is 500`, `from 1 to 200`},
		{`{"limit": 0}`, `limit is 0`, `from 1 to 200`},
		{`{"limit": "0x10"}`, `not a whole number`, `"limit": 10`},
		{`{"weight": "NaN"}`, `weight is "NaN", not a number`, `"weight": 0.8`},
		{`{"weight": true}`, `weight is true, not a number`, `"weight": 0.8`},
		{`{"weight": 1e999}`, `weight is 1e999, not a number`, `"weight": 0.8`},
		{`{"purge": "yes"}`, `purge is "yes", not true or false`, `"purge": true`},
		{`{"query": ["tea"]}`, `query is a list, not a string`, `"query": "text"`},
		{`{"query": true}`, `query is true, not a string`, `"query": "text"`},
		{`{"after": "yesterday"}`, `after is "yesterday", not a time`, `2026-01-31T09:00:00Z`},
		{`{"after": 1767225600}`, `after is 1767225600, not a time`, `2026-01-31`},
		{`{"ids": [null]}`, `ids[0] is null, not a string`, `"ids"`},
		{`{"ids": ["a","b","c","d"]}`, `ids has 4 items, the most is 3`, `several calls`},
		{`{"mode": "fuzzy"}`, `mode is "fuzzy"`, `hybrid, text`},
		{`{"metadata": [1]}`, `metadata is a list, not an object`, `"metadata": {`},
		{`{"metadata": "page 12"}`, `metadata is "page 12", not an object`, `"metadata": {`},
		{`{"links": [{"from": "a"}]}`, `links[0].to is missing`, `"to": "text"`},
		{`{"links": [{"from": "a", "to": "b", "x": 1}]}`, `there is no argument "links[0].x"`, `the arguments are from, to`},
		{`{"links": ["a"]}`, `links[0] is "a", not an object`, `{"from": "a", "to": "text"}`},
		{`{"query": "a", "q": "b"}`, `query is given twice`, `once`},
		{`[1]`, `the arguments are a list`, `{"query"`},
		{`"tea"`, `the arguments are "tea"`, `{"query"`},
		{`{"query": `, `not JSON`, `one JSON object`},
		{`{} {}`, `go on after their end`, `one JSON object`},
		{`{"metadata": ` + strings.Repeat(`{"a":`, 100) + `1` + strings.Repeat(`}`, 100) + `}`, `nested more than 64 deep`, `flatter`},
		{`{"ids": [` + strings.Repeat(`1,`, maxValues) + `1]}`, `more than 500000 values`, `several calls`},
		{`{"query": "` + strings.Repeat(`x`, MaxArguments) + `"}`, `the most is 8388608`, `several calls`},
	}
	call := echo(t)
	for _, tt := range tests {
		_, err := call(tt.in)
		text, kind := Explain(err)
		if kind != "invalid" || !strings.HasPrefix(text, "echo: invalid: ") {
			t.Errorf("%.60s: %q, kind %q", tt.in, text, kind)
			continue
		}
		what, hint, _ := strings.Cut(text, "\nhint: ")
		if !strings.Contains(what, tt.what) {
			t.Errorf("%.60s: %q does not say %q", tt.in, what, tt.what)
		}
		if !strings.Contains(hint, tt.hint) {
			t.Errorf("%.60s: the hint %q does not say %q", tt.in, hint, tt.hint)
		}
	}
}

func TestSnakeAndNearest(t *testing.T) {
	for in, want := range map[string]string{"maxTokens": "max_tokens", "MaxTokens": "max_tokens", "max-tokens": "max_tokens",
		"max_tokens": "max_tokens", "IDs": "ids", "entityID": "entity_id", "valid at": "valid_at", "": ""} {
		if got := snake(in); got != want {
			t.Errorf("snake(%q) = %q, want %q", in, got, want)
		}
	}
	names := []string{"content", "context", "collections", "limit"}
	for in, want := range map[string]string{"contnet": "content", "contex": "context", "collection": "collections",
		"lmit": "limit", "page": "", "x": "", "": "", strings.Repeat("content", 100): ""} {
		if got := nearest(in, names); got != want {
			t.Errorf("nearest(%q) = %q, want %q", in, got, want)
		}
	}
}

// Whatever bytes come in, the answer is either the work done or an error that
// says what to change; and what was taken once is taken again when it is
// written the canonical way.
func FuzzArguments(f *testing.F) {
	for _, in := range []string{`{"q": "tea"}`, `{"links": [{"from": "a", "to": "b"}], "metadata": {"a": [1, {"b": null}]}}`,
		`{"after": "2026-01-31 09:00", "limit": "7"}`, `"{\"ids\": \"[1]\"}"`, `{"from": 1, "to": 2}`, `{"filter": "{}"}`, `{"weight": -0}`} {
		f.Add([]byte(in))
	}
	s := shapeFor[sample]()
	f.Fuzz(func(t *testing.T, in []byte) {
		var first, second sample
		if err := s.read(in, &first); err != nil {
			if text, kind := Explain(named("echo", err)); kind != "invalid" || !strings.Contains(text, "\nhint: ") {
				t.Fatalf("error without a remedy: %q", text)
			}
			return
		}
		again, err := json.Marshal(canonical(first))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.read(again, &second); err != nil {
			t.Fatalf("%s: %v", again, err)
		}
		if diff := cmp.Diff(first, second, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("%s\n%s", again, diff)
		}
	})
}

// canonical is s with metadata as JSON encodes it.
func canonical(s sample) any {
	type plain sample
	return struct {
		plain
		Meta json.RawMessage `json:"metadata,omitempty"`
	}{plain(s), json.RawMessage(s.Meta)}
}

// What it costs to read arguments this way, beside plain decoding.
func BenchmarkArguments(b *testing.B) {
	raw := json.RawMessage(`{"content": "Ada prefers tea", "source": "Ada", "confidence": 0.9, "tags": ["drinks", "habits"], "metadata": {"page": 12}, "context": "project-x", "valid_from": "2026-01-31T09:00:00Z"}`)
	s := shapeFor[createIn]()
	b.Run("read", func(b *testing.B) {
		for b.Loop() {
			var in createIn
			if err := s.read(raw, &in); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encoding/json", func(b *testing.B) {
		type plain struct {
			Content, Source, Context string
			Confidence               *float64
			Tags                     []string
			Metadata                 json.RawMessage
			ValidFrom                time.Time `json:"valid_from"`
		}
		for b.Loop() {
			var in plain
			if err := json.Unmarshal(raw, &in); err != nil {
				b.Fatal(err)
			}
		}
	})
}

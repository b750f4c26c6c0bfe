package tools

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"engram-mcp/memory"
)

var updateGolden = flag.Bool("update", false, "rewrite the golden files in testdata")

// everyTool is the whole fixed vocabulary; none of it is called.
func everyTool() *Set {
	return NewSet(append(Memory(nil), NewAgents(nil, AgentOptions{Languages: []Language{{Name: "lua"}, {Name: "js"}}}).Tools()...)...)
}

// What a client sees of a tool is a contract: any change shows in a diff.
func TestTools_Golden(t *testing.T) {
	for _, tool := range everyTool().tools {
		raw, err := json.Marshal(tool.mcp())
		if err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		if err := json.Indent(&got, raw, "", "  "); err != nil {
			t.Fatal(err)
		}
		got.WriteByte('\n')
		path := filepath.Join("testdata", tool.Name+".json")
		if *updateGolden {
			if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(got.Bytes(), want) {
			t.Errorf("%s differs (%v); run go test ./tools -update if that is meant\n%s", path, err, got.Bytes())
		}
	}
}

func TestTools_NoGoldenIsLeftOver(t *testing.T) {
	set := everyTool()
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no golden files", err)
	}
	for _, f := range files {
		if _, ok := set.Find(t.Context(), strings.TrimSuffix(filepath.Base(f), ".json")); !ok {
			t.Errorf("%s belongs to no tool", f)
		}
	}
}

// Rules that hold for every tool, so that every client and every model
// provider takes it.
func TestTools_Rules(t *testing.T) {
	name := regexp.MustCompile(`^[a-z][a-z0-9_]{1,47}$`)
	for _, tool := range everyTool().tools {
		t.Run(tool.Name, func(t *testing.T) {
			if !name.MatchString(tool.Name) {
				t.Error("the name cannot be used everywhere")
			}
			if tool.Title == "" || tool.Description == "" || len(tool.Description) > 2048 {
				t.Errorf("title %q, description of %d bytes", tool.Title, len(tool.Description))
			}
			if tool.Profile == "" || tool.Needs == 0 {
				t.Error("no profile, or no right needed")
			}
			if tool.ReadOnly && (tool.Destructive || tool.Needs != memory.Read) {
				t.Error("it cannot be read-only and destructive, or need more than read")
			}
			if !tool.ReadOnly && tool.Needs == memory.Read && tool.Profile != ProfileAgents {
				t.Error("it changes something with the right to read")
			}
			if len(tool.Out) > maxOutputSchema {
				t.Errorf("the output schema has %d bytes: %s", len(tool.Out), tool.Out)
			}
			checkSchema(t, "in", tool.In)
			checkSchema(t, "out", tool.Out)
			if !tool.ReadOnly && tool.Name != "memory_maintain" && tool.Profile != ProfileCompat && tool.Profile != ProfileAgents && !bytes.Contains(tool.In, []byte(`"request_id"`)) {
				t.Error("it changes something and takes no request_id")
			}
			definition, err := json.Marshal(tool.mcp())
			if err != nil {
				t.Fatal(err)
			}
			for _, hint := range []string{"readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"} {
				if !bytes.Contains(definition, []byte(hint)) {
					t.Errorf("%s is not told", hint)
				}
			}
		})
	}
}

// checkSchema walks a schema: one type a value, objects at the top, no
// combinators, every property a schema.
func checkSchema(t *testing.T, at string, raw json.RawMessage) {
	t.Helper()
	var s struct {
		Type                      any
		Description               string
		Properties                map[string]json.RawMessage
		Items                     json.RawMessage
		OneOf, AnyOf, AllOf       json.RawMessage
		Not, If, Ref, Defs, Const json.RawMessage
	}
	if err := json.Unmarshal(raw, &s); err != nil {
		t.Errorf("%s: %v", at, err)
		return
	}
	kind, ok := s.Type.(string)
	if !ok && (s.Type != nil || s.Description != "any JSON") {
		t.Errorf("%s: the type is %v, not one name", at, s.Type)
	}
	if (at == "in" || at == "out") && kind != "object" {
		t.Errorf("%s is a %s, not an object", at, kind)
	}
	if at == "in" && s.Properties == nil {
		t.Errorf("%s: no properties", at)
	}
	for _, c := range []json.RawMessage{s.OneOf, s.AnyOf, s.AllOf, s.Not, s.If, s.Ref, s.Defs, s.Const} {
		if c != nil {
			t.Errorf("%s: combinator %s", at, c)
		}
	}
	for name, p := range s.Properties {
		checkSchema(t, at+"."+name, p)
	}
	if kind == "array" {
		if s.Items == nil {
			t.Errorf("%s: a list of what?", at)
		} else {
			checkSchema(t, at+"[]", s.Items)
		}
	}
}

// seenByModel is what a model is charged for.
func seenByModel(t *testing.T, tools []Tool) int {
	t.Helper()
	n := 0
	for _, tool := range tools {
		raw, err := json.Marshal(map[string]any{"name": tool.Name, "description": tool.Description, "inputSchema": tool.In})
		if err != nil {
			t.Fatal(err)
		}
		n += len(raw)
	}
	return n
}

func TestInstructions_FitWhatClientsKeep(t *testing.T) {
	if n := len(Instructions); n >= 2048 {
		t.Errorf("%d bytes, clients cut at 2048", n)
	}
	for _, word := range []string{"engram_search", "engram_create", "supersedes", "data, not instructions"} {
		if !strings.Contains(Instructions, word) {
			t.Errorf("nothing is said of %s", word)
		}
	}
}

func TestProfiles(t *testing.T) {
	set := everyTool()
	names := func(profiles ...string) string {
		part, err := set.ByProfile(profiles...)
		if err != nil {
			t.Fatal(err)
		}
		var l []string
		for _, tool := range part.tools {
			l = append(l, tool.Name)
		}
		return strings.Join(l, " ")
	}
	if got, want := names(), "engram_create engram_get engram_update engram_forget engram_search engram_link engram_graph agent_run"; got != want {
		t.Errorf("default is %s, want %s", got, want)
	}
	if got, want := names("graph"), "engram_link engram_unlink engram_graph"; got != want {
		t.Errorf("graph is %s, want %s", got, want)
	}
	if got, want := names("graph", "engram_get"), "engram_get engram_link engram_unlink engram_graph"; got != want {
		t.Errorf("graph and engram_get are %s, want %s", got, want)
	}
	if got := names("all"); !strings.Contains(got, "memory_maintain") || strings.Contains(got, "create_entities") {
		t.Errorf("all is %s", got)
	}
	_, err := set.ByProfile("grap")
	if text, kind := Explain(err); kind != "invalid" || !strings.Contains(text, "graph") {
		t.Errorf("unknown profile: %q", text)
	}
}

package tools

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"engram-mcp/memory"
	"engram-mcp/sandbox/wasm"
)

// stage is a world whose agents are players: WebAssembly that calls whatever
// it is told to call, and then ends as its action says.
type stage struct {
	*world
	code string // of the player, base64
}

func newStage(t *testing.T, more ...Tool) *stage {
	t.Helper()
	rt, err := wasm.New(wasm.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // after the agents are closed
		if err := rt.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	code, err := os.ReadFile("../sandbox/wasm/testdata/player.wasm")
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{newWorldOf(t, t.TempDir(), rt, more...), base64.StdEncoding.EncodeToString(code)}
	s.agents.opt.Languages[0].Agent = func(string) []byte { return bytes.ReplaceAll(code, []byte("tool_fine"), []byte("tool_main")) }
	return s
}

// engage installs a player that may call everything that can be granted,
// unless edit says something else.
func (s *stage) engage(ctx context.Context, name string, edit args) {
	s.t.Helper()
	m := args{"name": name, "grants": s.grantable(), "actions": []args{{"name": "fine"}}, "limits": args{"time_ms": 60_000}}
	for k, v := range edit {
		m[k] = v
	}
	s.call(ctx, "agent_install", args{"manifest": m, "code_base64": s.code})
}

func (s *stage) grantable() (names []string) {
	for _, t := range s.set.tools {
		if !slices.Contains(ungrantable, t.Name) {
			names = append(names, t.Name)
		}
	}
	return names
}

// steps are the parameters that make a player call tools in turn.
func steps(calls ...any) args { return args{"steps": calls} }

// knock makes a player call a tool, and gives what it is told, word by word.
func (s *stage) knock(ctx context.Context, agent, tool string, in args) (text, kind string) {
	s.t.Helper()
	if agent == "proxy" { // the narrow one runs the wide one
		text, kind = s.knock(ctx, "spy", "agent_run", args{"agent": "wide", "action": "fine", "params": steps(tool, in)})
		return strings.TrimSuffix(strings.TrimPrefix(text, `{"output":`), `,"logs":[]}`), kind
	}
	out, err := s.set.Call(ctx, "agent_run", encoded(s.t, args{"agent": agent, "action": "fine", "params": steps(tool, in)}))
	if err != nil {
		if text, kind = Explain(err); kind == "" {
			s.t.Errorf("%s %v: internal error %v", tool, in, err)
		}
		return text, kind
	}
	var answer struct{ Output json.RawMessage }
	if err := json.Unmarshal(out, &answer); err != nil {
		s.t.Fatal(err)
	}
	return string(answer.Output), ""
}

// digests are the state of both spaces, every operation that led to it
// included.
func (s *stage) digests() (sums [2][32]byte) {
	s.t.Helper()
	for i, space := range []string{"default", "blue"} {
		ctx := in(s.t, space, "owner", memory.Owner)
		store, release, err := s.open(ctx)
		if err != nil {
			s.t.Fatal(err)
		}
		sums[i], err = store.Digest(ctx)
		release()
		if err != nil {
			s.t.Fatal(err)
		}
	}
	return sums
}

// A prey is what an agent is after: everything by which it could be named.
type prey struct {
	id, second, gone, request             string // gone is forgotten
	context, collection, entity           string
	word, content, tag, source, agentName string
}

// noPrey is one that has never been.
func noPrey() prey {
	id := func() string { return uuid.Must(uuid.NewV7()).String() }
	return prey{id: id(), second: id(), gone: id(), request: id(), context: "noctx", collection: "nocol", entity: "Nobody",
		word: "zqnowordx", content: "zqnowordx lies here", tag: "notag", source: "nosource", agentName: "noagent"}
}

// masked is text without the names of a prey, so that what is said of one can
// be compared with what is said of another.
func (p prey) masked(text string) string {
	for i, name := range []string{p.id, p.second, p.gone, p.request, p.context, p.collection, p.entity, p.content, p.word, p.tag, p.source, p.agentName} {
		text = strings.ReplaceAll(text, name, string(rune('A'+i))+"—")
	}
	return usage.ReplaceAllString(text, "")
}

// usage is what differs between two calls that did the same.
var usage = regexp.MustCompile(`,"stats":\{[^}]*\}`)

// A door is a way of an agent to a prey: arguments of a tool. hub and far are
// engrams in the open; hub is linked with the prey, and the prey with far.
type path struct {
	in func(p prey, hub, far string) args
	// takes names what the tool makes if it is not there, so that only a
	// refusal can be expected: a context, a collection.
	takes string
}

func way(in func(p prey, hub, far string) args) path { return path{in: in} }

func taking(what string, in func(p prey, hub, far string) args) path { return path{in, what} }

// doors are the ways that there are, by tool.
var doors = map[string][]path{
	"engram_create": {
		taking("context", func(p prey, _, _ string) args {
			return args{"content": "x", "context": p.context, "collections": "shelf"}
		}),
		taking("collection", func(p prey, _, _ string) args {
			return args{"content": "x", "context": "open", "collections": p.collection}
		}),
		taking("context", func(p prey, _, _ string) args {
			return args{"content": p.content, "source": p.source, "context": p.context, "collections": p.collection}
		}),
		taking("context", func(p prey, _, _ string) args {
			return args{"content": p.content, "source": p.source, "context": p.context, "collections": p.collection, "request_id": p.request, "tags": p.tag}
		}),
		way(func(p prey, _, _ string) args {
			return args{"content": "x", "context": "open", "collections": "shelf", "links": []args{{"to": p.id, "relation": "near"}}}
		}),
	},
	"engram_get": {
		way(func(p prey, _, _ string) args { return args{"ids": p.id, "include_links": true} }),
		way(func(p prey, hub, far string) args {
			return args{"ids": []string{hub, p.gone, far, p.second}, "include_links": true}
		}),
	},
	"engram_update": {
		way(func(p prey, _, _ string) args { return args{"id": p.id, "content": "mine"} }),
		way(func(p prey, _, _ string) args { return args{"id": p.id, "importance": 1, "if_version": 9} }),
		way(func(p prey, _, _ string) args { return args{"id": p.gone, "importance": 1} }),
		taking("context", func(p prey, hub, _ string) args { return args{"id": hub, "context": p.context} }),
		taking("collection", func(p prey, hub, _ string) args { return args{"id": hub, "collections": p.collection} }),
	},
	"engram_forget": {
		way(func(p prey, _, _ string) args { return args{"ids": p.id} }),
		way(func(p prey, _, _ string) args { return args{"ids": p.id, "dry_run": true} }),
		way(func(p prey, _, _ string) args { return args{"ids": p.gone, "dry_run": true} }),
		way(func(p prey, _, _ string) args { return args{"ids": p.id, "purge": true} }),
		way(func(p prey, _, _ string) args { return args{"filter": args{"context": p.context}} }),
		way(func(p prey, _, _ string) args { return args{"filter": args{"tags": p.tag}, "dry_run": true} }),
		way(func(p prey, _, _ string) args {
			return args{"filter": args{"collections": p.collection}, "purge": true, "dry_run": true}
		}),
	},
	"engram_restore": {
		way(func(p prey, _, _ string) args { return args{"id": p.gone} }),
		way(func(p prey, _, _ string) args { return args{"id": p.id, "version": 1} }),
	},
	"engram_search": {
		way(func(prey, string, string) args { return args{"explain": true} }),
		way(func(p prey, _, _ string) args { return args{"query": p.word, "explain": true} }),
		way(func(prey, string, string) args { return args{"query": "lantern", "explain": true} }),
		way(func(prey, string, string) args { return args{"query": "lantern harbour", "limit": 1, "explain": true} }),
		way(func(prey, string, string) args { return args{"query": "lantern", "mode": "text", "limit": 1} }),
		way(func(p prey, _, _ string) args { return args{"query": "lantern", "context": p.context} }),
		way(func(p prey, _, _ string) args { return args{"collections": p.collection} }),
		way(func(p prey, _, _ string) args { return args{"tags": p.tag, "query": p.word} }),
		way(func(p prey, _, _ string) args { return args{"source": p.source} }),
	},
	"engram_link": {
		way(func(p prey, hub, _ string) args { return args{"from": p.id, "to": hub, "relation": "guards"} }),
		way(func(p prey, hub, _ string) args { return args{"from": hub, "to": p.id, "relation": "near"} }),
		way(func(p prey, _, _ string) args { return args{"from": p.id, "to": p.second, "relation": "guards"} }),
	},
	"engram_unlink": {
		way(func(p prey, hub, _ string) args { return args{"from": hub, "to": p.id} }),
		way(func(p prey, hub, _ string) args { return args{"from": p.id, "to": hub, "relation": "guards"} }),
		way(func(p prey, _, _ string) args { return args{"from": p.id, "to": p.second, "relation": "guards"} }),
	},
	"engram_graph": {
		way(func(p prey, _, _ string) args { return args{"start": p.id} }),
		way(func(p prey, hub, _ string) args { return args{"start": hub, "to": p.id} }),
		way(func(_ prey, hub, far string) args { return args{"start": hub, "to": far} }), // the only path leads through the prey
		way(func(p prey, hub, _ string) args {
			return args{"start": []string{hub, p.id}, "mode": "subgraph", "depth": 5}
		}),
		way(func(_ prey, hub, _ string) args { return args{"start": hub, "limit": 1} }),
	},
	"engram_history": {
		way(func(p prey, _, _ string) args { return args{"id": p.id} }),
		way(func(p prey, _, _ string) args { return args{"id": p.gone, "limit": 1} }),
		way(func(_ prey, hub, _ string) args { return args{"id": hub} }),
	},
	"context_create":    {taking("context", func(p prey, _, _ string) args { return args{"name": p.context, "readers": []string{"me"}} })},
	"collection_create": {taking("collection", func(p prey, _, _ string) args { return args{"name": p.collection, "readers": []string{"me"}} })},
	"context_update":    {way(func(p prey, _, _ string) args { return args{"name": p.context, "description": "mine"} })},
	"collection_update": {way(func(p prey, _, _ string) args { return args{"name": p.collection, "description": "mine"} })},
	"context_list":      {way(func(prey, string, string) args { return args{} }), way(func(prey, string, string) args { return args{"limit": 1} })},
	"collection_list":   {way(func(prey, string, string) args { return args{} })},
	"memory_stats":      {way(func(prey, string, string) args { return args{} })},
	"memory_maintain":   {way(func(prey, string, string) args { return args{"policy": args{"purge_forgotten_days": 0}} })},
	"agent_install": {way(func(p prey, _, _ string) args {
		return args{"manifest": args{"name": p.agentName}, "code_base64": "AGFzbQ=="}
	})},
	"agent_remove": {way(func(p prey, _, _ string) args { return args{"agent": p.agentName} })},
	"agent_list":   {way(func(prey, string, string) args { return args{} })},
	"agent_stats":  {way(func(p prey, _, _ string) args { return args{"agent": p.agentName} })},
	"agent_run": {
		way(func(p prey, _, _ string) args { return args{"agent": p.agentName, "action": "fine"} }),
		way(func(p prey, _, _ string) args {
			return args{"agent": "wide", "action": "fine", "params": steps("engram_get", args{"ids": []string{p.id}})}
		}),
	},
	"script_run": {
		way(func(p prey, _, _ string) args {
			return args{"language": "lua", "code": "x", "params": steps("engram_get", args{"ids": []string{p.id}})}
		}),
		way(func(p prey, _, _ string) args {
			return args{"language": "lua", "code": "x", "params": steps("engram_search", args{"query": p.word})}
		}),
	},
	"create_entities": {taking("context", func(p prey, _, _ string) args {
		return args{"entities": []args{{"name": p.entity, "entityType": "person", "observations": []string{"x"}}}}
	})},
	"create_relations": {
		way(func(p prey, _, _ string) args {
			return args{"relations": []args{{"from": "Vole", "to": p.entity, "relationType": "knows"}}}
		}),
	},
	"add_observations": {way(func(p prey, _, _ string) args {
		return args{"observations": []args{{"entityName": p.entity, "contents": []string{"x"}}}}
	})},
	"delete_entities": {way(func(p prey, _, _ string) args { return args{"entityNames": []string{p.entity}} })},
	"delete_observations": {way(func(p prey, _, _ string) args {
		return args{"deletions": []args{{"entityName": p.entity, "observations": []string{"hides " + p.word}}}}
	})},
	"delete_relations": {way(func(p prey, _, _ string) args {
		return args{"relations": []args{{"from": "Vole", "to": p.entity, "relationType": "knows"}}}
	})},
	"read_graph":   {way(func(prey, string, string) args { return args{} })},
	"search_nodes": {way(func(p prey, _, _ string) args { return args{"query": p.word} }), way(func(p prey, _, _ string) args { return args{"query": p.entity} })},
	"open_nodes":   {way(func(p prey, _, _ string) args { return args{"names": []string{p.entity, "Vole"}} })},
}

// furnish puts what everyone may see into the space of ctx.
func (s *stage) furnish(ctx context.Context) (hub, far string) {
	s.t.Helper()
	open := args{"context": "open", "collections": "shelf"}
	put := func(content string) string {
		return s.create(ctx, args{"content": content, "context": open["context"], "collections": open["collections"]})
	}
	hub, far = put("a lantern hangs in the harbour"), put("the ferry comes at nine")
	put("the harbour is closed in winter")
	put("lantern oil costs nine crowns")
	s.call(ctx, "create_entities", args{"entities": []args{{"name": "Vole", "entityType": "animal", "observations": []string{"digs"}}}})
	return hub, far
}

// bury puts a prey into the space of ctx, next to hub and far: into a context
// and a collection of its own, or where hub lies if either is not hidden.
func (s *stage) bury(ctx context.Context, none prey, hub, far string, context, collection bool) prey {
	s.t.Helper()
	p := prey{request: uuid.Must(uuid.NewV7()).String(), context: none.context, collection: none.collection, entity: none.entity, word: "zqtreasurex",
		content: "the lantern zqtreasurex is in the harbour", tag: "zqtag", source: "zqsource", agentName: none.agentName}
	in := args{"content": p.content, "source": p.source, "context": "open", "collections": "shelf", "tags": p.tag, "request_id": p.request}
	if context {
		p.context, p.entity, in["context"] = "vault", "Mole", "vault"
	}
	if collection {
		p.collection, in["collections"] = "safe", "safe"
	}
	put := func(edit args) string {
		other := args{"context": in["context"], "collections": in["collections"]}
		maps.Copy(other, edit)
		return s.create(ctx, other)
	}
	p.id = s.create(ctx, in)
	p.second = put(args{"content": "another lantern, zqtreasurex too", "importance": 1})
	p.gone = put(args{"content": "a forgotten zqtreasurex"})
	s.call(ctx, "engram_forget", args{"ids": p.gone})
	s.call(ctx, "engram_link", args{"links": []args{{"from": hub, "to": p.id, "relation": "guards"}, {"from": p.id, "to": hub, "relation": "guards"},
		{"from": p.id, "to": far, "relation": "guards"}, {"from": p.id, "to": p.second, "relation": "guards"}}})
	if context {
		s.call(ctx, "create_entities", args{"entities": []args{{"name": p.entity, "entityType": "animal", "observations": []string{"hides zqtreasurex"}}}})
		s.call(ctx, "create_relations", args{"relations": []args{{"from": "Vole", "to": p.entity, "relationType": "knows"}}})
	}
	return p
}

func in(t *testing.T, space, name string, rights memory.Rights) context.Context {
	return memory.WithPrincipal(t.Context(), memory.Principal{Space: space, Name: name, Rights: rights})
}

// An agent that has every grant there is, and that may not see something,
// finds it through no door: whatever it asks for, before the thing was there,
// of the thing, and of something that never was, it is told the same, byte by
// byte; and it changes nothing.
func TestDoors_WhatIsHiddenIsNotThere(t *testing.T) {
	const readWrite = memory.Read | memory.Write
	within := func(names ...string) args { return args{"read": names, "write": names} }
	contexts, collections := within("open", "Vole"), within("shelf")
	for _, tt := range []struct {
		name                string
		installer, caller   string
		space               string // of both
		manifest            args
		context, collection bool // whether the prey lies in one that is out of reach
		closed              bool // by lists
		agent               string
	}{
		{name: "the caller is on no list", installer: "them", caller: "me", context: true, collection: true, closed: true},
		{name: "the installer is on no list", installer: "me", caller: "them", context: true, collection: true, closed: true},
		{name: "the manifest has other contexts", installer: "them", caller: "them", context: true, manifest: args{"contexts": contexts}},
		{name: "the manifest has other collections", installer: "them", caller: "them", collection: true, manifest: args{"collections": collections}},
		{name: "the agent that calls it is narrower", installer: "them", caller: "them", context: true, collection: true, manifest: args{"contexts": contexts, "collections": collections}, agent: "proxy"},
		{name: "it lies in another space", installer: "them", caller: "them", context: true, collection: true, space: "blue"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			home := cmp.Or(tt.space, "default")
			s.engage(in(t, home, tt.installer, allRights), "spy", tt.manifest)
			s.engage(in(t, home, tt.installer, allRights), "wide", nil)
			caller, agent := in(t, home, tt.caller, readWrite), cmp.Or(tt.agent, "spy")
			hub, far := s.furnish(in(t, home, "them", memory.Owner))
			none := noPrey()
			before := s.askEverywhere(caller, agent, none, hub, far)

			owner, hub2, far2 := in(t, "default", "them", memory.Owner), hub, far
			if tt.space != "" {
				hub2, far2 = s.furnish(owner)
				none.agentName = "nobody"
			}
			p := s.bury(owner, none, hub2, far2, tt.context, tt.collection)
			if tt.space != "" {
				p.agentName = "mole"
				s.engage(owner, p.agentName, nil)
			}
			if tt.closed {
				for name, tool := range map[string]string{p.context: "context_update", p.entity: "context_update", p.collection: "collection_update"} {
					s.call(owner, tool, args{"name": name, "readers": "them"})
				}
			}
			kept := s.digests()
			of, after := s.askEverywhere(caller, agent, p, hub, far), s.askEverywhere(caller, agent, none, hub, far)
			for at, text := range before {
				if after[at] != text {
					t.Errorf("%s tells that something is hidden: before it was\n%s\nafter\n%s", at, text, after[at])
				}
				if of[at] != text {
					t.Errorf("%s tells what is hidden from what never was:\n%s\n%s", at, of[at], text)
				}
			}
			for tool, ways := range doors {
				for i, d := range ways {
					// In a space of one's own, names are free.
					if tt.space != "" || d.takes == "" || d.takes == "context" && !tt.context || d.takes == "collection" && !tt.collection {
						continue
					}
					if text, kind := s.knock(caller, agent, tool, d.in(p, hub, far)); kind == "" || strings.Contains(text, p.id) {
						t.Errorf("%s, door %d, lets it in: %s", tool, i, text)
					}
				}
			}
			if now := s.digests(); now != kept {
				t.Errorf("something was written: %x became %x", kept, now)
			}
		})
	}
}

// askEverywhere goes through every door that makes nothing.
func (s *stage) askEverywhere(ctx context.Context, agent string, p prey, hub, far string) map[string]string {
	s.t.Helper()
	told := map[string]string{}
	for _, tool := range s.set.tools {
		if len(doors[tool.Name]) == 0 {
			s.t.Errorf("%s has no door in the table: a new tool needs one", tool.Name)
		}
		for i, d := range doors[tool.Name] {
			if d.takes != "" {
				continue
			}
			text, kind := s.knock(ctx, agent, tool.Name, d.in(p, hub, far))
			if strings.Contains(text, "zqtreasurex") && !strings.Contains(string(encoded(s.t, d.in(p, hub, far))), "zqtreasurex") {
				s.t.Errorf("%s, door %d shows it: %s", tool.Name, i, text)
			}
			told[fmt.Sprint(tool.Name, " ", i)] = kind + ": " + p.masked(text)
		}
	}
	return told
}

// The table finds something: who may see the prey is told of it through the
// same doors.
func TestDoors_WhoMaySeeFindsIt(t *testing.T) {
	s := newStage(t)
	owner := in(t, "default", "them", memory.Owner)
	s.engage(owner, "wide", nil)
	hub, far := s.furnish(owner)
	before := s.askEverywhere(owner, "wide", noPrey(), hub, far)
	dull := slices.Concat(ungrantable, []string{"agent_list", "agent_stats"}) // there is no prey for them
	for tool, ways := range doors {
		found := slices.Contains(dull, tool)
		for _, id := range []string{hub, far} { // an earlier one may have moved or forgotten them
			_, _ = s.set.Call(owner, "engram_restore", encoded(t, args{"id": id}))
			s.call(owner, "engram_update", args{"id": id, "context": "open", "collections": "shelf"})
		}
		p := s.bury(owner, noPrey(), hub, far, true, true) // what an earlier one forgot is there again
		for i, d := range ways {
			text, kind := s.knock(owner, "wide", tool, d.in(p, hub, far))
			found = found || d.takes != "" && (kind == "" || kind == "failed" && strings.Contains(text, "exists")) || d.takes == "" && kind+": "+p.masked(text) != before[fmt.Sprint(tool, " ", i)]
		}
		if !found {
			t.Errorf("no door of %s leads to it, so that the others prove nothing", tool)
		}
	}
}

// Without the grant of a tool it is refused, whatever else is granted, to the
// agent itself and to those that it runs.
func TestDoors_WithoutTheGrant(t *testing.T) {
	s := newStage(t)
	ctx := s.admin()
	s.engage(ctx, "wide", nil)
	hub, far := s.furnish(ctx)
	none := noPrey()
	p := s.bury(ctx, none, hub, far, true, true)
	kept := s.digests()
	refused := func(agent, tool string, in, as args) {
		t.Helper()
		text, kind := s.knock(ctx, agent, tool, in)
		if kind != "denied" || !strings.Contains(text, "not granted") {
			t.Errorf("%s calls %s without the grant: %s %s", agent, tool, kind, text)
		}
		if same, _ := s.knock(ctx, agent, tool, as); none.masked(same) != p.masked(text) {
			t.Errorf("%s tells what is there from what is not:\n%s\n%s", tool, text, same)
		}
	}
	for _, tool := range s.set.tools {
		grants := slices.DeleteFunc(s.grantable(), func(name string) bool { return name == tool.Name })
		agent := "no-" + strings.ReplaceAll(tool.Name, "_", "-")
		s.engage(ctx, agent, args{"grants": grants})
		for _, d := range doors[tool.Name] {
			refused(agent, tool.Name, d.in(p, hub, far), d.in(none, hub, far))
			if tool.Name != "agent_run" && !slices.Contains(ungrantable, tool.Name) {
				text, kind := s.knock(ctx, agent, "agent_run", args{"agent": "wide", "action": "fine", "params": steps(tool.Name, d.in(p, hub, far))})
				if kind != "denied" || !strings.Contains(text, "the agent that called this one was not granted it") {
					t.Errorf("%s runs another one that calls %s: %s %s", agent, tool.Name, kind, text)
				}
			}
		}
		s.call(ctx, "agent_remove", args{"agent": agent})
	}
	// Neither what can never be granted nor what is no tool of the set.
	for _, name := range slices.Concat(ungrantable, []string{"wide_fine", "resources/read", "prompts/get", "tools/list", "completion/complete", "engram://stats", "ENGRAM_GET"}) {
		in := manifest("greedy", args{"grants": []string{name}})
		if text, kind := s.refused(ctx, "agent_install", in); kind != "invalid" {
			t.Errorf("%s can be granted: %s", name, text)
		}
		refused("wide", name, args{"uri": "engram://" + p.id}, args{"uri": "engram://" + none.id})
	}
	if s.digests() != kept {
		t.Error("something was written")
	}
}

// What takes the right to write takes it of the caller and of the installer,
// and is never done by an action that is said to read only.
func TestDoors_WithoutTheRight(t *testing.T) {
	for _, tt := range []struct {
		name              string
		installer, caller memory.Rights
		action            args
	}{
		{"the caller only reads", allRights, memory.Read, args{"name": "fine"}},
		{"the installer only reads", memory.Read | memory.Admin, allRights, args{"name": "fine"}},
		{"the action only reads", allRights, allRights, args{"name": "fine", "read_only": true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newStage(t)
			owner := in(t, "default", "them", memory.Owner)
			hub, far := s.furnish(owner)
			p := s.bury(owner, noPrey(), hub, far, true, true)
			s.engage(in(t, "default", "them", tt.installer), "wide", args{"actions": []args{tt.action}})
			caller := in(t, "default", "them", tt.caller)
			kept := s.digests()
			for _, tool := range s.set.tools {
				for i, d := range doors[tool.Name] {
					text, kind := s.knock(caller, "wide", tool.Name, d.in(p, hub, far))
					if writes := tool.Needs&^memory.Read != 0; writes != (kind == "denied") {
						t.Errorf("%s, door %d: %s %s", tool.Name, i, kind, text)
					}
				}
			}
			if s.digests() != kept {
				t.Error("something was written")
			}
		})
	}
	s := newStage(t)
	s.engage(s.admin(), "wide", nil)
	for name, who := range map[string]context.Context{"nobody": t.Context(), "who only writes": s.as("ada", memory.Write), "who has no right": s.as("ada", 0)} {
		if text, kind := s.knock(who, "wide", "engram_create", args{"content": "x"}); kind != "denied" {
			t.Errorf("%s runs an agent: %s", name, text)
		}
	}
}

// An agent's globals are its own: another one, and one of the same name in
// another space, has none of them.
func TestDoors_Globals(t *testing.T) {
	s := newStage(t)
	blue := in(t, "blue", "ada", allRights)
	s.engage(s.admin(), "one", nil)
	s.engage(s.admin(), "two", nil)
	s.engage(blue, "one", nil)
	s.knock(s.admin(), "one", "globals_set", args{"secret": 1})
	for agent, ctx := range map[string]context.Context{"two": s.admin(), "one": blue} {
		for _, in := range []args{{}, {"agent": "one"}, {"name": "one", "space": "default"}} {
			if text, _ := s.knock(ctx, agent, "globals_get", in); text != "{}" {
				t.Errorf("%s reads %s", agent, text)
			}
		}
	}
	if text, _ := s.knock(s.as("bob", memory.Read), "one", "globals_get", args{}); text != `{"secret":1}` {
		t.Errorf("its own globals are %s", text)
	}
}

// What an engram was while it lay out of an agent's reach stays out of it.
func TestDoors_HistoryFromElsewhere(t *testing.T) {
	s := newStage(t)
	ctx := s.admin()
	within := func(name string) args { return args{"read": []string{name}, "write": []string{name}} }
	s.engage(ctx, "by-context", args{"contexts": within("open")})
	s.engage(ctx, "by-collection", args{"collections": within("shelf")})
	id := s.create(ctx, args{"content": "zqtreasurex of before"})
	s.call(ctx, "engram_update", args{"id": id, "content": "told since", "context": "open", "collections": "shelf"})
	for _, agent := range []string{"by-context", "by-collection"} {
		text, kind := s.knock(ctx, agent, "engram_history", args{"id": id})
		if kind != "" || !strings.Contains(text, "told since") || strings.Contains(text, "zqtreasurex") {
			t.Errorf("%s reads %s", agent, text)
		}
		if text, kind = s.knock(ctx, agent, "engram_restore", args{"id": id, "version": 1}); kind == "" {
			t.Errorf("%s brings back %s", agent, text)
		}
	}
}

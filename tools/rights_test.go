package tools

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"engram-mcp/memory"
)

// A place is a combination of a context and collections that an engram lies in.
type place struct {
	context     string
	collections []string
}

// The groups of the house, by who may read and write them: "me" is the one who
// asks, "them" is somebody else. nil is everyone.
var houseGroups = []struct {
	name             string
	readers, writers []string
}{
	{name: "open"},
	{name: "reads", readers: []string{"me"}, writers: []string{"them"}},
	{name: "writes", readers: []string{"me"}, writers: []string{"me"}},
	{name: "closed", readers: []string{"them"}},
}

// A house is a space that has an engram in every place, all linked with a hub
// in the open.
type house struct {
	*world
	places map[string]place // by engram id
	words  map[string]string
	hub    string
}

func newHouse(t *testing.T) *house {
	h := &house{world: newWorld(t), places: map[string]place{}, words: map[string]string{}}
	owner := memory.WithPrincipal(t.Context(), memory.Principal{Space: "default", Name: "them", Rights: memory.Owner})
	for _, g := range houseGroups {
		for kind, prefix := range map[string]string{"context": "ctx-", "collection": "col-"} {
			in := args{"name": prefix + g.name}
			if g.readers != nil {
				in["readers"] = g.readers
			}
			if g.writers != nil {
				in["writers"] = g.writers
			}
			h.call(owner, kind+"_create", in)
		}
	}
	h.hub = h.create(owner, args{"content": "hub"})
	contexts := []string{"", "ctx-open", "ctx-reads", "ctx-writes", "ctx-closed"}
	collections := [][]string{nil, {"col-open"}, {"col-reads"}, {"col-writes"}, {"col-closed"}, {"col-closed", "col-open"}, {"col-closed", "col-reads"}}
	n := 0
	for _, c := range contexts {
		for _, k := range collections {
			word := fmt.Sprintf("zq%02dx", n)
			n++
			id := h.create(owner, args{"content": "treasure " + word, "source": "source " + word, "tags": "tag-" + word, "metadata": args{"k": word}, "context": c, "collections": k,
				"links": []args{{"to": h.hub, "relation": "from-" + word}}})
			h.places[id], h.words[id] = place{c, k}, word
			h.call(owner, "engram_link", args{"from": h.hub, "to": id, "relation": "to-" + word})
		}
	}
	// An entity of the graph in a context of its own, closed.
	h.call(owner, "create_entities", args{"entities": []args{{"name": "zqEntity", "entityType": "person", "observations": []string{"is zqHidden"}}}})
	h.call(owner, "context_update", args{"name": "zqEntity", "readers": "them"})
	return h
}

func (p place) groups() []string {
	if p.context == "" {
		return p.collections
	}
	return append([]string{p.context}, p.collections...)
}

func inGroup(name string, lists func(readers, writers []string) bool) bool {
	for _, g := range houseGroups {
		if strings.HasSuffix(name, "-"+g.name) {
			return lists(g.readers, g.writers)
		}
	}
	return true
}

func mayRead(name string, who memory.Principal) bool {
	return inGroup(name, func(readers, writers []string) bool {
		return readers == nil || slices.Contains(readers, who.Name) || slices.Contains(writers, who.Name)
	})
}

func mayWrite(name string, who memory.Principal) bool {
	return mayRead(name, who) && inGroup(name, func(_, writers []string) bool { return writers == nil || slices.Contains(writers, who.Name) })
}

func (p place) readable(who memory.Principal) bool {
	return who.Space == "default" && who.Can(memory.Read) && (p.context == "" || mayRead(p.context, who)) &&
		(len(p.collections) == 0 || slices.ContainsFunc(p.collections, func(c string) bool { return mayRead(c, who) }))
}

func (p place) writable(who memory.Principal) bool {
	return p.readable(who) && who.Can(memory.Write) && !slices.ContainsFunc(p.groups(), func(g string) bool { return !mayWrite(g, who) })
}

// everyone is every combination of space, rights and name.
// Short tests leave out the second name.
func everyone() (list []memory.Principal) {
	names := []string{"me", "stranger"}
	if testing.Short() {
		names = names[:1]
	}
	for _, space := range []string{"default", "blue"} {
		for _, rights := range []memory.Rights{0, memory.Read, memory.Write, memory.Read | memory.Write, allRights} {
			for _, name := range names {
				list = append(list, memory.Principal{Space: space, Name: name, Rights: rights})
			}
		}
	}
	return list
}

// answer is what a caller gets, success or not, with id written as ID.
func (h *house) answer(ctx context.Context, tool string, in args, id string) (text, kind string) {
	out, err := h.set.Call(ctx, tool, encoded(h.t, in))
	text = string(out)
	if err != nil {
		if text, kind = Explain(err); kind == "" {
			h.t.Errorf("%s %v: internal error %v", tool, in, err)
		}
	}
	return strings.ReplaceAll(text, id, "ID"), kind
}

// provisional is ctx under a stage that is dropped: what is changed under it
// is checked as ever and never made.
func (h *house) provisional(who memory.Principal) context.Context {
	ctx := memory.WithPrincipal(h.t.Context(), who)
	store, release, err := h.spaces.Get(ctx, who.Space)
	if err != nil {
		h.t.Fatal(err)
	}
	defer release()
	staged, _ := store.Stage(ctx)
	return staged
}

// byID are the tools that are given the id of an engram: what they are called
// with, the right that the tool needs, and whether the engram must be writable.
var byID = []struct {
	tool   string
	in     func(id, hub string) args
	needs  memory.Rights
	writes bool
}{
	{"engram_get", func(id, _ string) args { return args{"ids": id, "include_links": true} }, memory.Read, false},
	{"engram_history", func(id, _ string) args { return args{"id": id} }, memory.Read, false},
	{"engram_graph", func(id, _ string) args { return args{"start": id} }, memory.Read, false},
	{"engram_graph", func(id, hub string) args { return args{"start": hub, "to": id, "mode": "path"} }, memory.Read, false},
	{"engram_graph", func(id, _ string) args { return args{"start": id, "mode": "subgraph"} }, memory.Read, false},
	{"engram_update", func(id, _ string) args { return args{"id": id, "importance": 0.9} }, memory.Read | memory.Write, true},
	{"engram_forget", func(id, _ string) args { return args{"ids": id} }, memory.Read | memory.Write, true},
	{"engram_restore", func(id, _ string) args { return args{"id": id} }, memory.Read | memory.Write, true},
	{"engram_link", func(id, hub string) args { return args{"from": id, "to": hub, "relation": "new"} }, memory.Read | memory.Write, true},
	{"engram_link", func(id, hub string) args { return args{"from": hub, "to": id, "relation": "new"} }, memory.Read | memory.Write, false},
	{"engram_unlink", func(id, hub string) args { return args{"from": id, "to": hub} }, memory.Read | memory.Write, true},
	{"engram_create", func(id, _ string) args {
		return args{"content": "new", "links": []args{{"to": id, "relation": "new"}}}
	}, memory.Read | memory.Write, false},
}

// Whoever asks, an engram that they may not read is to every tool what an id
// is that was never given; one that they may read and not write says so; and
// the rest works.
func TestRights_OfEveryToolByID(t *testing.T) {
	h := newHouse(t)
	missing := uuid.Must(uuid.NewV7()).String()
	for _, who := range everyone() {
		none := make([][2]string, len(byID)) // what is said of an id that was never given
		for i, c := range byID {
			none[i][0], none[i][1] = h.answer(h.provisional(who), c.tool, c.in(missing, h.hub), missing)
		}
		for id, p := range h.places {
			for i, c := range byID {
				what := fmt.Sprintf("%s %v: %s in %v", who.Name, who.Rights, c.tool, p)
				text, kind := h.answer(h.provisional(who), c.tool, c.in(id, h.hub), id)
				if strings.Contains(text, h.words[id]) && !p.readable(who) {
					t.Fatalf("%s shows %s", what, text)
				}
				switch {
				case !who.Can(c.needs):
					if kind != "denied" {
						t.Fatalf("%s without the right is %q: %s", what, kind, text)
					}
				case !p.readable(who):
					if none[i] != [2]string{text, kind} {
						t.Fatalf("%s can be told from what is not there:\n%s\n%s", what, text, none[i][0])
					}
				case c.writes && !p.writable(who):
					if kind != "denied" {
						t.Fatalf("%s that is not writable is %q: %s", what, kind, text)
					}
				case kind != "":
					t.Fatalf("%s is %q: %s", what, kind, text)
				}
			}
		}
	}
}

// listing are the tools that are given no id, with arguments that would find
// the engrams of the house.
func listing(word string) map[string][]args {
	return map[string][]args{
		"engram_search": {{}, {"query": "treasure"}, {"query": "treasure " + word, "limit": 200, "explain": true}, {"query": word, "mode": "text"}, {"query": word, "mode": "vector"},
			{"context": "ctx-closed"}, {"collections": "col-closed"}, {"tags": "tag-" + word}, {"source": "source " + word}},
		"context_list": {{"limit": 200}}, "collection_list": {{"limit": 200}}, "memory_stats": {{}},
		"read_graph": {{}}, "search_nodes": {{"query": "zqHidden"}, {"query": "qHid"}}, "open_nodes": {{"names": "zqEntity"}},
		"agent_list": {{}}, "agent_stats": {{}},
	}
}

// What cannot be read appears in no list, not as text, id, group or count.
func TestRights_OfEveryList(t *testing.T) {
	h := newHouse(t)
	for _, who := range everyone() {
		ctx := memory.WithPrincipal(t.Context(), who)
		visible := 0
		for _, p := range h.places {
			if p.readable(who) {
				visible++
			}
		}
		for id, p := range h.places {
			for tool, calls := range listing(h.words[id]) {
				for _, in := range calls {
					text, kind := h.answer(ctx, tool, in, "no id")
					if !who.Can(memory.Read) {
						if kind != "denied" {
							t.Fatalf("%v: %s %v is %q", who, tool, in, kind)
						}
						continue
					}
					if kind != "" {
						t.Fatalf("%v: %s %v is %q: %s", who, tool, in, kind, text)
					}
					for other, q := range h.places {
						if !q.readable(who) && (strings.Contains(text, h.words[other]) || strings.Contains(text, other)) {
							t.Fatalf("%v: %s %v shows what lies in %v: %s", who, tool, in, q, text)
						}
					}
					for _, g := range houseGroups {
						for _, name := range []string{"ctx-" + g.name, "col-" + g.name} {
							if (who.Space != "default" || !mayRead(name, who)) && strings.Contains(text, name) {
								t.Fatalf("%v: %s %v shows %s: %s", who, tool, in, name, text)
							}
						}
					}
					if strings.Contains(text, "zqEntity") || strings.Contains(text, "zqHidden") {
						t.Fatalf("%v: %s %v shows the closed entity", who, tool, in)
					}
					if p.readable(who) && tool == "engram_search" && in["query"] == "treasure "+h.words[id] && !strings.Contains(text, id) {
						t.Fatalf("%v: what lies in %v is not found: %s", who, p, text)
					}
				}
			}
			break // one word is as good as another for the lists; all are looked for in the answers
		}
		if !who.Can(memory.Read) {
			continue
		}
		stats := h.call(ctx, "memory_stats", args{})
		want := float64(visible)
		if who.Space == "default" {
			want++ // the hub
		}
		if stats["engrams"] != want {
			t.Errorf("%v counts %v engrams, sees %v", who, stats["engrams"], want)
		}
		if who.Space == "default" {
			g := h.call(ctx, "engram_graph", args{"start": h.hub, "limit": 200})
			if n := len(g["engrams"].([]any)); n != visible+1 {
				t.Errorf("%v reaches %d engrams, sees %d", who, n, visible+1)
			}
		}
	}
}

// The doors that are no tools.
func TestRights_OfResourcesPromptsAndCompletions(t *testing.T) {
	h := newHouse(t)
	send := h.serve(h.set)
	missing := uuid.Must(uuid.NewV7()).String()
	for _, who := range everyone() {
		ctx := memory.WithPrincipal(t.Context(), who)
		read := func(id string) string {
			return strings.ReplaceAll(string(encoded(t, send(ctx, "resources/read", args{"uri": "engram://" + id}))), id, "ID")
		}
		none := read(missing)
		for id, p := range h.places {
			text := read(id)
			if p.readable(who) != strings.Contains(text, h.words[id]) {
				t.Fatalf("%v: the resource in %v: %s", who, p, text)
			}
			if !p.readable(who) && text != none {
				t.Fatalf("%v: the resource in %v can be told from none: %s", who, p, text)
			}
		}
		texts := []string{string(encoded(t, send(ctx, "resources/read", args{"uri": "engram://stats"})))}
		for _, prompt := range []args{{"name": "recall", "arguments": args{"topic": "treasure"}}, {"name": "reflect", "arguments": args{"topic": "treasure", "context": "ctx-closed"}}} {
			texts = append(texts, string(encoded(t, send(ctx, "prompts/get", prompt))))
		}
		texts = append(texts, string(encoded(t, send(ctx, "completion/complete", args{"ref": args{"type": "ref/prompt", "name": "recall"}, "argument": args{"name": "context", "value": ""}}))))
		for _, text := range texts {
			for id, p := range h.places {
				if !p.readable(who) && strings.Contains(text, h.words[id]) {
					t.Fatalf("%v sees what lies in %v: %s", who, p, text)
				}
			}
			if strings.Contains(text, "ctx-closed") || strings.Contains(text, "zqEntity") {
				t.Fatalf("%v: %s", who, text)
			}
		}
	}
}

// Writing into a group takes the right to write it; what is refused is not
// made. That a name is taken can be learnt by taking it, as everywhere.
func TestRights_OfGroups(t *testing.T) {
	h := newHouse(t)
	for _, who := range everyone() {
		if !who.Can(memory.Read|memory.Write) || who.Space != "default" {
			continue
		}
		for _, g := range houseGroups {
			for kind, prefix := range map[string]string{"context": "ctx-", "collection": "col-"} {
				name := prefix + g.name
				in := args{"content": "new"}
				if kind == "context" {
					in["context"] = name
				} else {
					in["collections"] = name
				}
				_, got := h.answer(h.provisional(who), "engram_create", in, "no id")
				if want := mayWrite(name, who); want != (got == "") {
					t.Errorf("%v creates in %s: %q", who, name, got)
				}
				text, got := h.answer(h.provisional(who), kind+"_update", args{"name": name, "description": "x"}, name)
				switch {
				case !mayRead(name, who):
					none := kind + "-that-is-not-there"
					if as, asKind := h.answer(h.provisional(who), kind+"_update", args{"name": none, "description": "x"}, none); as != text || asKind != got {
						t.Errorf("%v: %s can be told from none:\n%s\n%s", who, name, text, as)
					}
				case !mayWrite(name, who) && !who.Can(memory.Admin):
					if got != "denied" {
						t.Errorf("%v updates %s: %q", who, name, got)
					}
				case got != "":
					t.Errorf("%v updates %s: %q %s", who, name, got, text)
				}
			}
		}
	}
}

// A tool that no table names has not been thought of.
func TestRights_TheTablesNameEveryTool(t *testing.T) {
	named := map[string]bool{}
	for _, c := range byID {
		named[c.tool] = true
	}
	for tool := range listing("") {
		named[tool] = true
	}
	// Tested beside their noun: what they change needs a right of the whole
	// space, or they are built of the tools in the tables.
	for _, tool := range []string{"context_create", "context_update", "collection_create", "collection_update", "memory_maintain",
		"agent_run", "agent_install", "agent_remove", "script_run",
		"create_entities", "create_relations", "add_observations", "delete_entities", "delete_observations", "delete_relations"} {
		named[tool] = true
	}
	for _, tool := range everyTool().tools {
		if !named[tool.Name] {
			t.Errorf("%s is in no table", tool.Name)
		}
	}
}

// Who may write and not read learns nothing by writing: not that something is
// there already, not what an id stands for.
func TestRights_OfWritingBlind(t *testing.T) {
	h := newHouse(t)
	blind := memory.WithPrincipal(t.Context(), memory.Principal{Space: "default", Name: "me", Rights: memory.Write})
	for range 2 {
		if out := h.call(blind, "engram_create", args{"content": "hub"}); at(t, out, "engrams", 0, "duplicate") != nil || at(t, out, "engrams", 0, "version") != 1.0 {
			t.Errorf("%v", out)
		}
	}
	for _, id := range []string{h.hub, uuid.Must(uuid.NewV7()).String()} {
		if text, kind := h.refused(blind, "engram_create", args{"content": "x", "links": []args{{"to": id, "relation": "r"}}}); kind != "denied" {
			t.Error(text)
		}
	}
}

// The changing tools of the graph find nothing of an entity that is closed.
func TestRights_OfTheGraphTools(t *testing.T) {
	h := newHouse(t)
	me := memory.WithPrincipal(t.Context(), memory.Principal{Space: "default", Name: "me", Rights: allRights})
	h.call(me, "create_entities", args{"entities": []args{{"name": "mine", "entityType": "person", "observations": []string{}}}})
	for tool, in := range map[string]func(name string) args{
		"add_observations": func(n string) args {
			return args{"observations": []args{{"entityName": n, "contents": []string{"x"}}}}
		},
		"create_relations": func(n string) args {
			return args{"relations": []args{{"from": "mine", "to": n, "relationType": "knows"}}}
		},
		"delete_entities": func(n string) args { return args{"entityNames": []string{n}} },
		"delete_observations": func(n string) args {
			return args{"deletions": []args{{"entityName": n, "observations": []string{"is zqHidden"}}}}
		},
		"delete_relations": func(n string) args {
			return args{"relations": []args{{"from": n, "to": "mine", "relationType": "knows"}}}
		},
	} {
		text, kind := h.answer(me, tool, in("zqEntity"), "zqEntity")
		if as, asKind := h.answer(me, tool, in("nobody"), "nobody"); as != text || asKind != kind {
			t.Errorf("%s: the closed entity can be told from none:\n%s\n%s", tool, text, as)
		}
	}
	var k knowledge
	them := memory.WithPrincipal(t.Context(), memory.Principal{Space: "default", Name: "them", Rights: allRights})
	if err := json.Unmarshal(encoded(t, h.call(them, "open_nodes", args{"names": "zqEntity"})), &k); err != nil || len(k.Entities) != 1 || len(k.Entities[0].Observations) != 1 {
		t.Errorf("it is not there any more: %v %v", k, err)
	}
}

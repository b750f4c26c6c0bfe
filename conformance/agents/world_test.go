package agents

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"engram-mcp/conformance/binary"
)

func TestMain(m *testing.M) { binary.Main(m) }

// languages are the folders of examples/agents with an implementation of every
// agent that is tested here.
var languages = []string{"rust", "lua", "js"}

// each runs a test with every implementation of an agent, each in a memory of
// its own, in which its hooks run.
func each(t *testing.T, agent string, config object, test func(*testing.T, *world)) {
	for _, language := range languages {
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			test(t, newWorld(t, language, agent, config, "--approve"))
		})
	}
}

type object = map[string]any

// A world is a memory with one agent in it.
type world struct {
	t        testing.TB
	language string
	agent    string
	data     string
	server   *binary.Stdio
	calls    int
}

// newWorld installs an agent, with some of its config changed and with flags of
// agent install.
func newWorld(t testing.TB, language, agent string, config object, flags ...string) *world {
	t.Helper()
	w := &world{t: t, language: language, agent: agent, data: t.TempDir()}
	w.install(agent, config, flags...)
	w.server = binary.Start(t, w.data, "--tools", "all,compat", "--durability", "normal")
	w.server.Begin(t)
	return w
}

// install installs an agent in the language of the world.
func (w *world) install(agent string, config object, flags ...string) {
	w.t.Helper()
	dir := w.t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("..", "..", "examples", "agents", w.language, agent))); err != nil {
		w.t.Fatal(err)
	}
	path := filepath.Join(dir, "agent.json")
	raw, err := os.ReadFile(path)
	if err != nil {
		w.t.Fatal(err)
	}
	var manifest object
	if err := json.Unmarshal(raw, &manifest); err != nil {
		w.t.Fatal(err)
	}
	for key, value := range config {
		manifest["config"].(object)[key] = value
	}
	if raw, err = json.Marshal(manifest); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		w.t.Fatal(err)
	}
	if out, err := binary.Command(w.t, w.data, append([]string{"agent", "install", dir}, flags...)...).CombinedOutput(); err != nil {
		w.t.Fatalf("%v\n%s", err, out)
	}
}

// try calls a tool, which may fail; the error is its text.
func (w *world) try(tool string, args object) (answer object, failure string) {
	w.t.Helper()
	w.calls++
	raw := w.server.Send(w.t, binary.Call(w.calls, tool, args))
	var m struct {
		Result struct {
			IsError           bool
			StructuredContent object
			Content           []struct{ Text string }
		}
		Error json.RawMessage
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		w.t.Fatal(err)
	}
	switch {
	case m.Error != nil:
		return nil, string(m.Error)
	case m.Result.IsError:
		return nil, m.Result.Content[0].Text
	}
	return m.Result.StructuredContent, ""
}

// call calls a tool, which must succeed.
func (w *world) call(tool string, args object) object {
	w.t.Helper()
	answer, failure := w.try(tool, args)
	if failure != "" {
		w.t.Fatalf("%s %v: %s", tool, args, failure)
	}
	return answer
}

// run performs an action of the agent, which must succeed.
func (w *world) run(action string, params object) object {
	w.t.Helper()
	out, _ := w.call("agent_run", object{"agent": w.agent, "action": action, "params": params})["output"].(object)
	return out
}

// create stores engrams, and returns their ids.
func (w *world) create(engrams ...object) []string {
	w.t.Helper()
	return idsOf(w.call("engram_create", object{"engrams": engrams})["engrams"])
}

// get reads engrams with their links.
func (w *world) get(ids ...string) []object {
	w.t.Helper()
	var all []object
	for _, e := range w.call("engram_get", object{"ids": ids, "include_links": true})["engrams"].([]any) {
		all = append(all, e.(object))
	}
	return all
}

// links are the engrams that an engram has links to with that relation.
func (w *world) links(id, relation string) map[string]float64 {
	w.t.Helper()
	to := map[string]float64{}
	list, _ := w.get(id)[0]["links"].([]any)
	for _, l := range list {
		if l := l.(object); l["from"] == id && l["relation"] == relation {
			to[l["to"].(string)] = l["weight"].(float64)
		}
	}
	return to
}

// search finds engrams, and returns their ids.
func (w *world) search(query string, limit int) []string {
	w.t.Helper()
	return idsOf(w.call("engram_search", object{"query": query, "limit": limit})["hits"])
}

func idsOf(list any) []string {
	var ids []string
	for _, e := range list.([]any) {
		ids = append(ids, e.(object)["id"].(string))
	}
	return ids
}

// A qualityEngram is an engram of the set with which retrieval is measured.
type qualityEngram struct {
	Key, Content, Source, Context, Kind string
	ValidFrom                           string `json:"valid_from"`

	gold bool // it answers a question of the set
}

// qualitySet reads the engrams of a half of that set.
func qualitySet(t *testing.T, half string) (list []qualityEngram) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "quality", "testdata", half+".jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	gold := map[string]bool{}
	for line := range bytes.Lines(raw) {
		var l struct {
			Engram *qualityEngram
			Gold   []string
		}
		if err := json.Unmarshal(line, &l); err != nil {
			t.Fatal(err)
		}
		if l.Engram != nil {
			list = append(list, *l.Engram)
		}
		for _, key := range l.Gold {
			gold[key] = true
		}
	}
	for i := range list {
		list[i].gold = gold[list[i].Key]
	}
	return list
}

// batches cuts a list into parts of at most n.
func batches[T any](list []T, n int) [][]T {
	var parts [][]T
	for len(list) > 0 {
		part := list[:min(n, len(list))]
		parts, list = append(parts, part), list[len(part):]
	}
	return parts
}

// A tally counts what was found of what should have been.
type tally struct{ right, wrong, missed int }

func (c tally) recall() float64 { return float64(c.right) / float64(max(1, c.right+c.missed)) }
func (c tally) precision() float64 {
	return float64(c.right) / float64(max(1, c.right+c.wrong))
}

// gate fails the test if a figure is below what it must reach.
func gate(t *testing.T, what string, got, least float64) {
	t.Helper()
	t.Logf("%s %.3f", what, got)
	if got < least {
		t.Errorf("%s is %.3f, below %.3f", what, got, least)
	}
}

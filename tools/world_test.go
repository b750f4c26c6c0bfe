package tools

import (
	"context"
	"encoding/json"
	"log/slog"
	"path/filepath"
	"testing"

	"engram-mcp/memory"
	"engram-mcp/sandbox"
)

// world is the vocabulary over real stores, with agents that are Go functions.
type world struct {
	t      *testing.T
	dir    string
	spaces *memory.Spaces
	agents *Agents
	set    *Set
	rt     *fakeRuntime
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return newProcess(t, t.TempDir())
}

// newProcess is a world over the files of another one.
func newProcess(t *testing.T, dir string) *world {
	t.Helper()
	w := &world{t: t, dir: dir, spaces: memory.OpenSpaces(dir, memory.Options{Durability: memory.Normal}), rt: &fakeRuntime{acts: map[string]fakeAction{}}}
	w.agents = NewAgents(w.open, AgentOptions{Dir: filepath.Join(dir, "modules"), Runtimes: []sandbox.Runtime{w.rt}, Log: slog.New(slog.DiscardHandler)})
	w.set = NewSet(append(Memory(w.open), w.agents.Tools()...)...)
	w.agents.Join(w.set)
	t.Cleanup(func() {
		if err := w.agents.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if err := w.spaces.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// open finds the store by the space of the caller.
func (w *world) open(ctx context.Context) (*memory.Store, func(), error) {
	caller, _ := memory.PrincipalFrom(ctx)
	return w.spaces.Get(ctx, caller.Space)
}

const allRights = memory.Read | memory.Write | memory.Admin

// as is a context in which name calls, in the default space.
func (w *world) as(name string, rights memory.Rights) context.Context {
	return memory.WithPrincipal(w.t.Context(), memory.Principal{Space: "default", Name: name, Rights: rights})
}

func (w *world) admin() context.Context { return w.as("ada", allRights) }

// call runs a tool that must succeed and decodes its answer.
func (w *world) call(ctx context.Context, tool string, args any) map[string]any {
	w.t.Helper()
	out, err := w.set.Call(ctx, tool, encoded(w.t, args))
	if err != nil {
		text, _ := Explain(err)
		w.t.Fatalf("%s %s: %v\n%s", tool, encoded(w.t, args), err, text)
	}
	var m map[string]any
	if err := json.Unmarshal(out, &m); err != nil {
		w.t.Fatal(err)
	}
	return m
}

// refused runs a tool that must fail, and returns what the caller is told.
func (w *world) refused(ctx context.Context, tool string, args any) (text, kind string) {
	w.t.Helper()
	out, err := w.set.Call(ctx, tool, encoded(w.t, args))
	if err == nil {
		w.t.Fatalf("%s %s succeeded: %s", tool, encoded(w.t, args), out)
	}
	if text, kind = Explain(err); kind == "" {
		w.t.Fatalf("%s %s: internal error %v", tool, encoded(w.t, args), err)
	}
	return text, kind
}

// create stores one engram and returns its id.
func (w *world) create(ctx context.Context, args map[string]any) string {
	w.t.Helper()
	return w.call(ctx, "engram_create", args)["engrams"].([]any)[0].(map[string]any)["id"].(string)
}

func encoded(t *testing.T, args any) json.RawMessage {
	t.Helper()
	if s, ok := args.(string); ok {
		return json.RawMessage(s)
	}
	raw, err := json.Marshal(args)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// at follows a path of keys and indexes through decoded JSON.
func at(t *testing.T, x any, path ...any) any {
	t.Helper()
	for _, p := range path {
		switch k := p.(type) {
		case string:
			m, ok := x.(map[string]any)
			if !ok {
				t.Fatalf("no %q in %v", k, x)
			}
			x = m[k]
		case int:
			l, ok := x.([]any)
			if !ok || k >= len(l) {
				t.Fatalf("no [%d] in %v", k, x)
			}
			x = l[k]
		}
	}
	return x
}

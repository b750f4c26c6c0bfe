package tools

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"engram-mcp/memory"
)

func (w *world) modules() (names []string) {
	w.t.Helper()
	entries, err := os.ReadDir(filepath.Join(w.dir, "modules"))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != lockName {
			names = append(names, e.Name())
		}
	}
	return names
}

// in is the administrator of another space.
func (w *world) in(space string) context.Context {
	return memory.WithPrincipal(w.t.Context(), memory.Principal{Space: space, Name: "ada", Rights: allRights})
}

// Code goes when the last agent of any space has given it up, and not before.
func TestCode_GoesWithTheLastAgentThatNeedsIt(t *testing.T) {
	w := newWorld(t)
	w.agents.grace = 0
	hash := w.install(w.in("red"), "tidy", nil)["sha256"].(string)
	w.install(w.in("blue"), "tidy", nil)
	w.call(w.in("red"), "agent_remove", args{"agent": "tidy"})
	if got := w.modules(); len(got) != 1 || got[0] != hash {
		t.Errorf("with an agent in another space: %v", got)
	}
	other := manifest("tidy", nil)
	other["code_base64"], other["replace"] = "bmV3IGNvZGU=", true
	w.call(w.in("blue"), "agent_install", other)
	if got := w.modules(); len(got) != 1 || got[0] == hash {
		t.Errorf("after the last one was replaced: %v", got)
	}
	w.call(w.in("blue"), "agent_remove", args{"agent": "tidy"})
	if got := w.modules(); len(got) != 0 {
		t.Errorf("after the last one was removed: %v", got)
	}
}

// What was given up a moment ago stays for a while, whatever its age: another
// process may be about to run it.
func TestCode_HasATimeOfGrace(t *testing.T) {
	w := newWorld(t)
	ctx := w.admin()
	hash := w.install(ctx, "tidy", nil)["sha256"].(string)
	path, old := filepath.Join(w.dir, "modules", hash), time.Now().Add(-time.Hour)
	if err := os.Chtimes(path, old, old); err != nil {
		t.Fatal(err)
	}
	w.call(ctx, "agent_remove", args{"agent": "tidy"})
	found, err := w.agents.Collect(ctx, true)
	if err != nil || found.Unused != 1 || found.Removed != 0 {
		t.Errorf("%+v, %v", found, err)
	}
	if err := os.Chtimes(path, old, old); err != nil {
		t.Fatal(err)
	}
	if found, err = w.agents.Collect(ctx, false); err != nil || found.Unused != 1 || found.Removed != 0 || len(w.modules()) != 1 {
		t.Errorf("asked only to look: %+v, %v", found, err)
	}
	if found, err = w.agents.Collect(ctx, true); err != nil || found.Removed != 1 || len(w.modules()) != 0 {
		t.Errorf("%+v, %v", found, err)
	}
}

// As long as one space cannot be read, nobody knows what it needs.
func TestCode_StaysWhileASpaceCannotBeRead(t *testing.T) {
	w := newWorld(t)
	w.agents.grace = 0
	w.install(w.in("red"), "tidy", nil)
	if err := os.MkdirAll(filepath.Join(w.dir, "spaces", "blue"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(w.dir, "spaces", "blue", "engram.db"), []byte("nothing that could be read as a database, and long enough to look like one......................................."), 0o600); err != nil {
		t.Fatal(err)
	}
	w.call(w.in("red"), "agent_remove", args{"agent": "tidy"})
	if _, err := w.agents.Collect(w.admin(), true); err == nil {
		t.Error("no error")
	}
	if got := w.modules(); len(got) != 1 {
		t.Errorf("%v", got)
	}
}

func TestCode_MissingIsTold(t *testing.T) {
	w := newWorld(t)
	hash := w.install(w.admin(), "tidy", nil)["sha256"].(string)
	if err := os.Remove(filepath.Join(w.dir, "modules", hash)); err != nil {
		t.Fatal(err)
	}
	if found, err := w.agents.Collect(w.admin(), true); err != nil || len(found.Missing) != 1 || found.Missing[0] != hash {
		t.Errorf("%+v, %v", found, err)
	}
}

// Processes that install and remove agents of the same code in spaces of their
// own, while others collect: what was installed can be loaded, always.
func TestCode_NoInstallationLosesItsCode(t *testing.T) {
	dir := t.TempDir()
	stop := make(chan struct{})
	var installers, collectors sync.WaitGroup
	process := func() *world {
		w := newProcess(t, dir)
		w.agents.grace = 0
		w.rt.acts["go"] = func(json.RawMessage, func(string, any) (args, error)) (any, error) { return 1, nil }
		return w
	}
	var worlds [3]*world
	for i := range worlds {
		worlds[i] = process()
		worlds[i].call(worlds[i].in(fmt.Sprint("space", i)), "memory_stats", args{}) // makes it
	}
	for range 2 {
		w := process()
		collectors.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := w.agents.Collect(w.admin(), true); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for i, w := range worlds {
		ctx := w.in(fmt.Sprint("space", i))
		installers.Go(func() {
			for round := range 8 {
				name := fmt.Sprint("agent", round)
				in := manifest(name, nil)
				in["code_base64"] = "dGhlIHNhbWUgY29kZQ==" // in every space, every time
				for _, call := range []struct {
					tool string
					in   args
				}{{"agent_install", in}, {"agent_run", args{"agent": name, "action": "go"}}, {"agent_remove", args{"agent": name}}} {
					if _, err := w.set.Call(ctx, call.tool, encoded(t, call.in)); err != nil {
						t.Errorf("%s: %v", call.tool, err)
						return
					}
				}
			}
		})
	}
	installers.Wait()
	close(stop)
	collectors.Wait()
}

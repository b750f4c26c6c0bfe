package tools

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"engram-mcp/memory"
	"engram-mcp/sandbox"
)

// A fakeAction is what an action of a fake agent does; call calls a tool.
type fakeAction func(params json.RawMessage, call func(op string, in any) (args, error)) (any, error)

// fakeRuntime runs agents whose actions are Go functions, by action.
type fakeRuntime struct {
	acts  map[string]fakeAction
	loads int
}

func (f *fakeRuntime) Kind() string               { return "wasm" }
func (f *fakeRuntime) Features() sandbox.Features { return sandbox.Features{Sandboxed: true} }
func (f *fakeRuntime) Close(context.Context) error {
	return nil
}

func (f *fakeRuntime) Load(_ context.Context, m sandbox.Manifest, code []byte) (sandbox.Agent, error) {
	if strings.HasPrefix(string(code), "broken") {
		return nil, errors.New("this is no module")
	}
	f.loads++
	return fakeAgent{f, m}, nil
}

type fakeAgent struct {
	rt *fakeRuntime
	m  sandbox.Manifest
}

func (a fakeAgent) Initialize(context.Context, *sandbox.Context) error { return nil }
func (a fakeAgent) Capabilities() []sandbox.Action                     { return a.m.Actions }
func (a fakeAgent) Close(context.Context) error                        { return nil }

func (a fakeAgent) Execute(ctx context.Context, c sandbox.Call) (sandbox.Result, error) {
	call := func(op string, in any) (args, error) {
		raw, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		out, err := c.Host(ctx, op, raw)
		if err != nil {
			return nil, err
		}
		var m args
		return m, json.Unmarshal(out, &m)
	}
	out, err := a.rt.acts[c.Action](c.Params, call)
	if err != nil {
		var own *sandbox.Error
		if !errors.As(err, &own) {
			err = &sandbox.Error{Op: "run", Kind: sandbox.ErrFailed, Err: err}
		}
		return sandbox.Result{}, err
	}
	raw, err := json.Marshal(out)
	return sandbox.Result{Output: raw, Usage: sandbox.Usage{Fuel: 7}}, err
}

// install puts an agent of one action into the caller's space.
func (w *world) install(ctx context.Context, name string, edit args) args {
	w.t.Helper()
	return w.call(ctx, "agent_install", manifest(name, edit))
}

func manifest(name string, edit args) args {
	m := args{"name": name, "grants": []string{"engram_create", "engram_get", "engram_search", "engram_update", "engram_forget", "engram_link", "engram_unlink", "agent_run"}, "actions": []args{{"name": "go"}}}
	for k, v := range edit {
		m[k] = v
	}
	return args{"manifest": m, "code_base64": base64.StdEncoding.EncodeToString([]byte("code of " + name))}
}

func (w *world) run(ctx context.Context, agent string, params any) args {
	w.t.Helper()
	return w.call(ctx, "agent_run", args{"agent": agent, "action": "go", "params": params})
}

func TestAgents_InstallRunListRemove(t *testing.T) {
	w := newWorld(t)
	ctx := w.admin()
	w.rt.acts["go"] = func(params json.RawMessage, _ func(string, any) (args, error)) (any, error) {
		return args{"got": params}, nil
	}
	changes := 0
	defer w.set.Watch(func() { changes++ })()
	made := w.install(ctx, "tidy", args{"description": "Tidies\u202e up"})
	if made["agent"] != "tidy" || at(t, made, "actions", 0) != "go" || len(made["sha256"].(string)) != 64 {
		t.Errorf("%v", made)
	}
	if changes == 0 {
		t.Error("nobody was told that the list has changed")
	}
	got := w.run(ctx, "tidy", args{"n": 1})
	if diff := cmp.Diff(args{"got": args{"n": 1.0}}, got["output"]); diff != "" {
		t.Error(diff)
	}
	if at(t, got, "stats", "fuel") != 7.0 {
		t.Errorf("%v", got["stats"])
	}
	list := at(t, w.call(ctx, "agent_list", args{}), "agents", 0).(args)
	if list["name"] != "tidy" || list["description"] != "Tidies up" || list["installer"] != "ada" || list["sha256"] != made["sha256"] || list["runtime"] != "wasm" {
		t.Errorf("%v", list)
	}
	if s := at(t, w.call(ctx, "agent_stats", args{"agent": "tidy"}), "agents", 0).(args); s["calls"] != 1.0 || s["fuel"] != 7.0 {
		t.Errorf("%v", s)
	}
	for tool, in := range map[string]args{"agent_run": {"agent": "tdy", "action": "go"}, "agent_stats": {"agent": "tdy"}, "agent_remove": {"agent": "tdy"}} {
		if text, kind := w.refused(ctx, tool, in); kind != "not_found" || !strings.Contains(text, `did you mean "tidy"`) {
			t.Errorf("%s: %s", tool, text)
		}
	}
	if text, kind := w.refused(ctx, "agent_run", args{"agent": "tidy", "action": "do"}); kind != "not_found" || !strings.Contains(text, "its actions are go") {
		t.Error(text)
	}
	if text, kind := w.refused(ctx, "agent_install", manifest("tidy", nil)); kind != "conflict" || !strings.Contains(text, "replace") {
		t.Error(text)
	}
	again := manifest("tidy", args{"version": "2"})
	again["replace"] = true
	w.call(ctx, "agent_install", again)
	if list := at(t, w.call(ctx, "agent_list", args{}), "agents", 0).(args); list["version"] != "2" {
		t.Errorf("%v", list)
	}
	w.call(ctx, "agent_remove", args{"agent": "tidy"})
	if text, kind := w.refused(ctx, "agent_run", args{"agent": "tidy", "action": "go"}); kind != "not_found" || !strings.Contains(text, "engram-mcp agent install") {
		t.Errorf("%s (%s)", text, kind)
	}
}

func TestAgents_WhatCannotBeInstalledOverMCP(t *testing.T) {
	w := newWorld(t)
	ctx := w.admin()
	for name, edit := range map[string]args{
		"process": {"runtime": "process", "command": []string{"/bin/sh"}}, "native": {"runtime": "native"},
		"hooks": {"hooks": []args{{"on": "before:engram_create", "action": "go"}}}, "schedule": {"schedule": []args{{"every": "1h", "action": "go"}}},
	} {
		if text, kind := w.refused(ctx, "agent_install", manifest("tidy", edit)); kind != "denied" || !strings.Contains(text, "engram-mcp agent install") {
			t.Errorf("%s: %s", name, text)
		}
	}
	for name, edit := range map[string]args{
		"unknown tool": {"grants": []string{"engram_serch"}}, "cannot be undone": {"grants": []string{"agent_install"}},
		"reserved": {"name": "engram"}, "runtime that is not there": {"runtime": "lua"},
		"combinator": {"actions": []args{{"name": "go", "input_schema": args{"type": "object", "anyOf": []any{}}}}},
		"reference":  {"actions": []args{{"name": "go", "input_schema": args{"type": "object", "properties": args{"a": args{"$ref": "#"}}}}}},
		"no schema":  {"actions": []args{{"name": "go", "output_schema": args{"type": "object", "minLength": "x"}}}},
	} {
		if text, kind := w.refused(ctx, "agent_install", manifest("tidy", edit)); kind != "invalid" || !strings.Contains(text, "\nhint: ") {
			t.Errorf("%s: %s (%s)", name, text, kind)
		}
	}
	broken := manifest("tidy", nil)
	broken["code_base64"] = base64.StdEncoding.EncodeToString([]byte("broken"))
	if _, kind := w.refused(ctx, "agent_install", broken); kind != "invalid" {
		t.Error(kind)
	}
	if text, kind := w.refused(ctx, "agent_install", args{"code_base64": "!!"}); kind != "invalid" || !strings.Contains(text, "base64 -w0") {
		t.Error(text)
	}
	if text, kind := w.refused(ctx, "agent_install", args{"code_base64": "YQ=="}); kind != "invalid" || !strings.Contains(text, "manifest is missing") {
		t.Error(text)
	}
	if _, kind := w.refused(w.as("bob", memory.Read|memory.Write), "agent_install", manifest("tidy", nil)); kind != "denied" {
		t.Error(kind)
	}
	if list := w.call(ctx, "agent_list", args{})["agents"].([]any); len(list) != 0 {
		t.Errorf("%v", list)
	}
}

// What an agent writes is there when the call has succeeded, and for the call
// itself before.
func TestAgents_WritesTakeEffectTogetherOrNotAtAll(t *testing.T) {
	w := newWorld(t)
	ctx := w.admin()
	old := w.create(ctx, args{"content": "old"})
	doomed := w.create(ctx, args{"content": "doomed"})
	fail := false
	w.rt.acts["go"] = func(_ json.RawMessage, call func(string, any) (args, error)) (any, error) {
		must := func(op string, in any) args {
			out, err := call(op, in)
			if err != nil {
				t.Fatalf("%s: %v", op, err)
			}
			return out
		}
		id := at(t, must("engram_create", args{"content": "new", "tags": "a", "links": []args{{"to": old, "relation": "about"}}}), "engrams", 0, "id").(string)
		must("engram_update", args{"id": id, "content": "newer", "if_version": 1})
		must("engram_update", args{"id": old, "confidence": 0.5})
		must("engram_link", args{"from": old, "to": id, "relation": "precedes"})
		must("engram_forget", args{"ids": doomed})
		got := must("engram_get", args{"ids": []string{id, old, doomed}, "include_links": true})
		if at(t, got, "engrams", 0, "content") != "newer" || at(t, got, "engrams", 1, "confidence") != 0.5 || at(t, got, "missing", 0) != doomed {
			t.Errorf("the call does not see its own writes: %v", got)
		}
		if l := at(t, got, "engrams", 0, "links").([]any); len(l) != 2 || at(t, l, 0, "relation") != "precedes" && at(t, l, 1, "relation") != "precedes" {
			t.Errorf("links are %v", l)
		}
		if out := must("engram_create", args{"content": "newer"}); at(t, out, "engrams", 0, "id") != id || at(t, out, "engrams", 0, "duplicate") != true {
			t.Errorf("a duplicate within the call: %v", out)
		}
		if out := must("engram_create", args{"content": "old", "tags": "b"}); at(t, out, "engrams", 0, "id") != old || at(t, out, "engrams", 0, "duplicate") != true {
			t.Errorf("a duplicate of what was there: %v", out)
		}
		if _, err := call("engram_update", args{"id": old, "if_version": 9}); err == nil {
			t.Error("a wrong if_version is taken")
		}
		if _, err := call("engram_get", args{"idz": 1}); err == nil || !strings.Contains(err.Error(), "idz") {
			t.Errorf("the agent is not told what is wrong: %v", err)
		}
		if hits := must("engram_search", args{"query": "newer"})["hits"].([]any); len(hits) != 0 {
			t.Errorf("search shows what is not committed: %v", hits)
		}
		if fail {
			return nil, errors.New("changed my mind")
		}
		return args{"id": id}, nil
	}
	w.install(ctx, "writer", nil)

	fail = true
	if text, kind := w.refused(ctx, "agent_run", args{"agent": "writer", "action": "go"}); kind != "failed" || !strings.Contains(text, "changed my mind") {
		t.Error(text)
	}
	if got := w.call(ctx, "engram_get", args{"ids": []string{old, doomed}}); at(t, got, "engrams", 0, "version") != 1.0 || len(got["engrams"].([]any)) != 2 {
		t.Errorf("a failed call has left something: %v", got)
	}
	if hits := w.call(ctx, "engram_search", args{"query": "newer"})["hits"].([]any); len(hits) != 0 {
		t.Errorf("a failed call has left something: %v", hits)
	}

	fail = false
	id := at(t, w.run(ctx, "writer", nil), "output", "id").(string)
	got := w.call(ctx, "engram_get", args{"ids": []string{id, old, doomed}, "include_links": true})
	if at(t, got, "engrams", 0, "content") != "newer" || at(t, got, "engrams", 0, "version") != 2.0 || len(at(t, got, "engrams", 0, "links").([]any)) != 2 {
		t.Errorf("%v", got)
	}
	if at(t, got, "engrams", 1, "confidence") != 0.5 || at(t, got, "engrams", 1, "tags", 0) != "b" || at(t, got, "missing", 0) != doomed {
		t.Errorf("%v", got)
	}
	if at(t, got, "engrams", 0, "author") != "ada" || at(t, got, "engrams", 0, "trust") != "agent" {
		t.Errorf("%v", got)
	}
}

// What the memory refuses is refused at once. What others have changed by the
// time of the commit makes the call run again, and then fail as a whole.
func TestAgents_ACommitThatFails(t *testing.T) {
	w := newWorld(t)
	ctx := w.admin()
	id := w.create(ctx, args{"content": "contended"})
	runs := 0
	w.rt.acts["go"] = func(_ json.RawMessage, call func(string, any) (args, error)) (any, error) {
		runs++
		if _, err := call("engram_create", args{"content": "bad", "source": strings.Repeat("x", 300)}); err == nil || !strings.Contains(err.Error(), "source has 300 bytes") {
			t.Errorf("the agent is told %v", err)
		}
		if _, err := call("engram_create", args{"content": "good"}); err != nil {
			return nil, err
		}
		if _, err := call("engram_update", args{"id": id, "if_version": 1, "content": "mine"}); err != nil {
			return nil, err
		}
		w.call(ctx, "engram_update", args{"id": id, "content": "theirs"})
		return nil, nil
	}
	w.install(ctx, "writer", nil)
	if text, _ := w.refused(ctx, "agent_run", args{"agent": "writer", "action": "go"}); !strings.Contains(text, "version is 2, not 1") {
		t.Error(text)
	}
	if runs != 2 {
		t.Errorf("it ran %d times", runs)
	}
	hits := w.call(ctx, "engram_search", args{})["hits"].([]any)
	if len(hits) != 1 || at(t, hits, 0, "content") != "theirs" {
		t.Errorf("%v", hits)
	}
}

// An agent has its caller's rights, no more than its installer's, and only the
// tools it was granted; and no way around through what it calls.
func TestAgents_Rights(t *testing.T) {
	w := newWorld(t)
	admin := w.admin()
	secret := w.create(admin, args{"content": "secret of ada", "context": "closed"})
	w.call(admin, "context_update", args{"name": "closed", "readers": "ada"})
	open := w.create(admin, args{"content": "open"})
	var op string
	var in any
	w.rt.acts["go"] = func(_ json.RawMessage, call func(string, any) (args, error)) (any, error) {
		return call(op, in)
	}
	w.install(admin, "probe", args{"grants": []string{"engram_get", "engram_create", "engram_forget", "engram_search", "agent_run", "context_create", "memory_stats"}})
	reader, writer := w.as("bob", memory.Read), w.as("bob", memory.Read|memory.Write)

	tests := []struct {
		name string
		ctx  context.Context
		op   string
		in   args
		kind string // of the error; empty for none
	}{
		{"what the caller may read", reader, "engram_get", args{"ids": open}, ""},
		{"a reader writes", reader, "engram_create", args{"content": "x"}, "denied"},
		{"a writer writes", writer, "engram_create", args{"content": "x"}, ""},
		{"a tool that is not granted", writer, "engram_update", args{"id": open}, "denied"},
		{"a tool that is not there", writer, "engram_nothing", args{}, "denied"},
		{"purge without admin", writer, "engram_forget", args{"ids": open, "purge": true}, "denied"},
		{"a list that leaves itself out", writer, "context_create", args{"name": "mine", "readers": "eve"}, "failed"},
		{"a list without admin", admin, "context_create", args{"name": "mine", "readers": "eve"}, ""},
		{"itself, within itself", writer, "agent_run", args{"agent": "probe", "action": "go"}, "denied"}, // too deep at last
	}
	for _, tt := range tests {
		op, in = tt.op, tt.in
		_, err := w.set.Call(tt.ctx, "agent_run", encoded(t, args{"agent": "probe", "action": "go"}))
		if _, kind := Explain(err); kind != tt.kind {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.kind)
		}
	}
	op, in = "engram_get", args{"ids": secret}
	if got := w.run(writer, "probe", nil); at(t, got, "output", "missing", 0) != secret {
		t.Errorf("bob reads through an agent what he may not read: %v", got)
	}

	// Installed by someone without admin rights of their own, it never has them.
	owner := memory.WithPrincipal(t.Context(), memory.Principal{Space: "default", Name: "root", Rights: memory.Owner, Trust: memory.TrustUser})
	op, in = "engram_get", args{"ids": secret}
	if got := w.run(owner, "probe", nil); at(t, got, "output", "missing", 0) != secret {
		t.Errorf("the owner's passing of lists is lent to the agent of ada: %v", got)
	}
}

func TestAgents_ActionsAreTools(t *testing.T) {
	w := newWorld(t)
	ctx := w.admin()
	w.rt.acts["go"] = func(params json.RawMessage, call func(string, any) (args, error)) (any, error) {
		if _, err := call("engram_create", args{"content": "written"}); err != nil {
			return nil, err
		}
		return params, nil
	}
	w.rt.acts["look"] = func(_ json.RawMessage, call func(string, any) (args, error)) (any, error) {
		_, err := call("engram_create", args{"content": "written by what only reads"})
		return 7, err
	}
	schema := args{"type": "object", "properties": args{"n": args{"type": "integer"}}, "required": []string{"n"}}
	w.install(ctx, "tidy-notes", args{"actions": []args{{"name": "go", "description": "Goes.", "input_schema": schema, "output_schema": schema}, {"name": "look", "read_only": true}}})

	send := w.serve(w.set)
	list := at(t, send(ctx, "tools/list", args{}), "result", "tools").([]any)
	i := slices.IndexFunc(list, func(x any) bool { return at(t, x, "name") == "tidy-notes_go" })
	if i < 0 || at(t, list, i, "description") != "[agent tidy-notes] Goes." || at(t, list, i, "annotations", "destructiveHint") != true {
		t.Fatalf("%v", list)
	}
	if diff := cmp.Diff(schema["required"], []string{at(t, list, i, "inputSchema", "required", 0).(string)}); diff != "" {
		t.Error(diff)
	}
	got := send(ctx, "tools/call", args{"name": "tidy-notes_go", "arguments": args{"n": 1}})
	if diff := cmp.Diff(args{"n": 1.0}, at(t, got, "result", "structuredContent")); diff != "" {
		t.Error(diff)
	}
	if text, kind := w.refused(ctx, "tidy-notes_go", args{"n": "one"}); kind != "invalid" || !strings.Contains(text, "params") || !strings.Contains(text, "the schema is") {
		t.Error(text)
	}
	if _, kind := w.refused(ctx, "tidy-notes_look", args{}); kind != "denied" {
		t.Errorf("an action that is read-only writes: %s", kind)
	}
	w.rt.acts["look"] = func(json.RawMessage, func(string, any) (args, error)) (any, error) { return 7, nil }
	if got := w.call(ctx, "tidy-notes_look", args{}); got["output"] != 7.0 {
		t.Errorf("%v", got)
	}
	// Output that is not what was promised takes back what was written.
	before := len(w.call(ctx, "engram_search", args{})["hits"].([]any))
	w.rt.acts["go"] = func(_ json.RawMessage, call func(string, any) (args, error)) (any, error) {
		_, err := call("engram_create", args{"content": "written in vain"})
		return args{"n": "one"}, err
	}
	if text, kind := w.refused(ctx, "agent_run", args{"agent": "tidy-notes", "action": "go", "params": args{"n": 1}}); kind != "failed" && kind != "invalid" || !strings.Contains(text, "output") {
		t.Error(text, kind)
	}
	if after := len(w.call(ctx, "engram_search", args{})["hits"].([]any)); after != before {
		t.Error("what was written stays")
	}
}

func TestAgents_AtMostTwentyTools(t *testing.T) {
	w := newWorld(t)
	ctx := w.admin()
	for _, name := range []string{"one", "two"} {
		var actions []args
		for i := range 15 {
			actions = append(actions, args{"name": fmt.Sprint("a", i)})
		}
		w.install(ctx, name, args{"actions": actions})
	}
	var got []string
	for _, tool := range w.set.Tools(ctx) {
		if strings.HasPrefix(tool.Name, "one_") || strings.HasPrefix(tool.Name, "two_") {
			got = append(got, tool.Name)
		}
	}
	if len(got) != maxActionTools || got[0] != "one_a0" || got[19] != "two_a4" {
		t.Errorf("%v", got)
	}
}

// An agent belongs to one space, and every process on that space has it.
func TestAgents_SpacesAndProcesses(t *testing.T) {
	w := newWorld(t)
	other := newProcess(t, w.dir)
	ctx := w.admin()
	echo := func(params json.RawMessage, _ func(string, any) (args, error)) (any, error) { return params, nil }
	w.rt.acts["go"], other.rt.acts["go"] = echo, echo
	if list := other.call(ctx, "agent_list", args{})["agents"].([]any); len(list) != 0 {
		t.Fatal(list)
	}
	changes := 0
	defer other.set.Watch(func() { changes++ })()
	w.install(ctx, "tidy", nil)
	if got := other.run(ctx, "tidy", args{"n": 1}); at(t, got, "output", "n") != 1.0 || changes != 1 {
		t.Errorf("the other process: %v, %d changes told", got, changes)
	}
	blue := memory.WithPrincipal(t.Context(), memory.Principal{Space: "blue", Name: "ada", Rights: allRights})
	if _, kind := w.refused(blue, "agent_run", args{"agent": "tidy", "action": "go"}); kind != "not_found" {
		t.Error(kind)
	}
	if len(w.set.Tools(blue)) != len(w.set.tools) {
		t.Error("another space lists it")
	}
	w.call(ctx, "agent_remove", args{"agent": "tidy"})
	if _, kind := other.refused(ctx, "agent_run", args{"agent": "tidy", "action": "go"}); kind != "not_found" {
		t.Error(kind)
	}
}

func TestAgents_GlobalsGoWithTheWrites(t *testing.T) {
	w := newWorld(t)
	ctx := w.admin()
	id := w.create(ctx, args{"content": "contended"})
	fail := false
	w.rt.acts["go"] = func(_ json.RawMessage, call func(string, any) (args, error)) (any, error) {
		g, err := call("globals_get", args{})
		if err != nil {
			return nil, err
		}
		n, _ := g["n"].(float64)
		if _, err := call("globals_set", args{"n": n + 1}); err != nil {
			return nil, err
		}
		if fail {
			if _, err := call("engram_update", args{"id": id, "if_version": 1, "content": "mine"}); err != nil {
				return nil, err
			}
			w.call(ctx, "engram_update", args{"id": id, "content": "theirs"})
		}
		return n, err
	}
	w.install(ctx, "counter", nil)
	for i := range 3 {
		if got := w.run(ctx, "counter", nil); got["output"] != float64(i) {
			t.Errorf("call %d gives %v", i, got["output"])
		}
	}
	fail = true
	w.refused(ctx, "agent_run", args{"agent": "counter", "action": "go"})
	fail = false
	if got := newProcessRun(t, w); got != 3.0 {
		t.Errorf("after a failed commit and in another process it is %v", got)
	}
}

// newProcessRun runs the action of counter in another process.
func newProcessRun(t *testing.T, w *world) any {
	other := newProcess(t, w.dir)
	other.rt.acts = w.rt.acts
	return other.run(w.admin(), "counter", nil)["output"]
}

func TestAgents_NestedCallsCommitTogether(t *testing.T) {
	w := newWorld(t)
	ctx := w.admin()
	fail := true
	w.rt.acts["inner"] = func(_ json.RawMessage, call func(string, any) (args, error)) (any, error) {
		out, err := call("engram_create", args{"content": "from inside"})
		if err != nil {
			return nil, err
		}
		return at(t, out, "engrams", 0, "id"), nil
	}
	w.rt.acts["go"] = func(_ json.RawMessage, call func(string, any) (args, error)) (any, error) {
		out, err := call("agent_run", args{"agent": "within", "action": "inner"})
		if err != nil {
			return nil, err
		}
		got, err := call("engram_get", args{"ids": out["output"]})
		if err != nil || at(t, got, "engrams", 0, "content") != "from inside" {
			t.Errorf("the outer call does not see what the inner one wrote: %v %v", got, err)
		}
		if fail {
			return nil, errors.New("no")
		}
		return nil, nil
	}
	w.install(ctx, "within", args{"actions": []args{{"name": "inner"}}})
	w.install(ctx, "around", nil)
	w.refused(ctx, "agent_run", args{"agent": "around", "action": "go"})
	if hits := w.call(ctx, "engram_search", args{})["hits"].([]any); len(hits) != 0 {
		t.Errorf("%v", hits)
	}
	fail = false
	w.run(ctx, "around", nil)
	if hits := w.call(ctx, "engram_search", args{})["hits"].([]any); len(hits) != 1 {
		t.Errorf("%v", hits)
	}

	// An inner call that fails takes back what it wrote, and that alone.
	w.rt.acts["inner"] = func(_ json.RawMessage, call func(string, any) (args, error)) (any, error) {
		if _, err := call("engram_create", args{"content": "half"}); err != nil {
			return nil, err
		}
		return nil, errors.New("no")
	}
	w.rt.acts["go"] = func(_ json.RawMessage, call func(string, any) (args, error)) (any, error) {
		if _, err := call("engram_create", args{"content": "before"}); err != nil {
			return nil, err
		}
		_, _ = call("agent_run", args{"agent": "within", "action": "inner"})
		_, err := call("engram_create", args{"content": "after"})
		return nil, err
	}
	w.run(ctx, "around", nil)
	var left []string
	for _, h := range w.call(ctx, "engram_search", args{})["hits"].([]any) {
		left = append(left, at(t, h, "content").(string))
	}
	slices.Sort(left)
	if !slices.Equal(left, []string{"after", "before", "from inside"}) {
		t.Errorf("%q", left)
	}
}

func TestAgents_LostAndDamagedCode(t *testing.T) {
	w := newWorld(t)
	ctx := w.admin()
	hash := w.install(ctx, "tidy", nil)["sha256"].(string)
	path := filepath.Join(w.dir, "modules", hash)
	if err := os.WriteFile(path, []byte("something else"), 0o600); err != nil {
		t.Fatal(err)
	}
	if text, kind := w.refused(ctx, "agent_run", args{"agent": "tidy", "action": "go"}); kind != "storage" || !strings.Contains(text, "is damaged") || strings.Contains(text, w.dir) {
		t.Error(text)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if text, kind := w.refused(ctx, "agent_run", args{"agent": "tidy", "action": "go"}); kind != "storage" || !strings.Contains(text, "hint: install") {
		t.Error(text)
	}
	again := manifest("tidy", nil)
	again["replace"] = true
	w.call(ctx, "agent_install", again)
	w.rt.acts["go"] = func(json.RawMessage, func(string, any) (args, error)) (any, error) { return nil, nil }
	w.run(ctx, "tidy", nil)
}

func TestAgents_AreClosed(t *testing.T) {
	w := newWorld(t)
	w.install(w.admin(), "tidy", nil)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := w.agents.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if _, kind := w.refused(w.admin(), "agent_run", args{"agent": "tidy", "action": "go"}); kind != "closed" {
		t.Error(kind)
	}
}

// A manifest may narrow its agent to contexts and collections; an agent that
// is run by another one stays within both.
func TestAgents_StayWithinTheirManifest(t *testing.T) {
	w := newWorld(t)
	ctx := w.admin()
	w.create(ctx, args{"content": "lantern in the open", "context": "open"})
	secret := w.create(ctx, args{"content": "lantern in the vault", "context": "vault"})
	count := func(_ json.RawMessage, call func(string, any) (args, error)) (any, error) {
		out, err := call("engram_search", args{"query": "lantern"})
		if err != nil {
			return nil, err
		}
		return len(out["hits"].([]any)), nil
	}
	w.rt.acts["count"], w.rt.acts["go"] = count, count
	actions := []args{{"name": "go"}, {"name": "count"}}
	w.install(ctx, "wide", args{"actions": actions})
	w.install(ctx, "narrow", args{"actions": actions, "contexts": args{"read": []string{"open"}, "write": []string{"open"}}})
	if a, b := w.run(ctx, "wide", nil)["output"], w.run(ctx, "narrow", nil)["output"]; a != 2.0 || b != 1.0 {
		t.Errorf("wide finds %v, narrow %v; want 2 and 1", a, b)
	}
	for what, do := range map[string]func(call func(string, any) (args, error)) error{
		"read": func(call func(string, any) (args, error)) error {
			out, err := call("engram_get", args{"ids": secret})
			if err == nil && len(out["engrams"].([]any)) == 0 {
				err = errors.New("missing")
			}
			return err
		},
		"update": func(call func(string, any) (args, error)) error {
			_, err := call("engram_update", args{"id": secret, "content": "x"})
			return err
		},
		"create": func(call func(string, any) (args, error)) error {
			_, err := call("engram_create", args{"content": "y", "context": "vault"})
			return err
		},
		"run a wider one": func(call func(string, any) (args, error)) error {
			out, err := call("agent_run", args{"agent": "wide", "action": "count"})
			if err == nil && out["output"] == 1.0 {
				err = errors.New("as narrow as its caller")
			}
			return err
		},
	} {
		var got error
		w.rt.acts["go"] = func(_ json.RawMessage, call func(string, any) (args, error)) (any, error) {
			got = do(call)
			return nil, nil
		}
		w.run(ctx, "narrow", nil)
		if got == nil {
			t.Errorf("narrow may %s outside its contexts", what)
		}
	}
}

// What agents have used is there after a restart, beside what this process
// knows; what they said is for administrators.
func TestAgents_StatsOutliveTheProcess(t *testing.T) {
	w := newWorld(t)
	ctx := w.admin()
	w.rt.acts["go"] = func(params json.RawMessage, _ func(string, any) (args, error)) (any, error) {
		if strings.Contains(string(params), "fail") {
			return nil, errors.New("told of a secret")
		}
		return args{}, nil
	}
	w.install(ctx, "tidy", nil)
	w.run(ctx, "tidy", nil)
	w.refused(ctx, "agent_run", args{"agent": "tidy", "action": "go", "params": args{"fail": true}})
	if err := w.spaces.Close(); err != nil {
		t.Fatal(err)
	}
	again := newProcess(t, w.dir)
	again.rt.acts = w.rt.acts
	again.run(ctx, "tidy", nil)
	s := at(t, again.call(ctx, "agent_stats", args{}), "agents", 0).(args)
	if s["calls"] != 3.0 || s["errors"] != 1.0 || s["fuel"] != 14.0 || s["last_run"] == nil || !strings.Contains(s["last_error"].(string), "told of a secret") {
		t.Errorf("%v", s)
	}
	if here := s["since_start"].(args); here["calls"] != 1.0 || here["errors"] != 0.0 {
		t.Errorf("%v", here)
	}
	if s := at(t, again.call(again.as("bob", memory.Read), "agent_stats", args{}), "agents", 0).(args); s["errors"] != 1.0 || s["last_error"] != nil {
		t.Errorf("bob sees %v", s)
	}
}

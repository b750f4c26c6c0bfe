package tools

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"engram-mcp/memory"
	"engram-mcp/sandbox"
)

// script runs what the world's runtime has for the action main.
func (w *world) script(rights memory.Rights, grants []string, act fakeAction) (any, error) {
	w.t.Helper()
	w.rt.acts["main"] = act
	out, err := w.set.Call(w.as("ada", rights), "script_run", encoded(w.t, args{"language": "lua", "code": "return 1", "grants": grants, "params": args{"n": 1}}))
	if err != nil {
		return nil, err
	}
	var r struct{ Output any }
	if err := json.Unmarshal(out, &r); err != nil {
		w.t.Fatal(err)
	}
	return r.Output, nil
}

func TestScript_WhatItMayDo(t *testing.T) {
	w := newWorld(t)
	tea := w.create(w.admin(), args{"content": "Ada likes tea"})
	write := []string{"engram_create"}
	calling := func(op string, in any) fakeAction {
		return func(_ json.RawMessage, call func(string, any) (args, error)) (any, error) {
			if _, err := call(op, in); err != nil {
				return nil, err
			}
			return "done", nil
		}
	}
	create := calling("engram_create", args{"content": "Ada likes cake"})
	for _, row := range []struct {
		name   string
		rights memory.Rights
		grants []string
		act    fakeAction
		want   string // of the error; empty if it succeeds
	}{
		{"reads without being granted anything", memory.Read, nil, calling("engram_get", args{"ids": []string{tea}}), ""},
		{"searches", allRights, nil, calling("engram_search", args{"query": "tea"}), ""},
		{"does not write by itself, whoever calls", allRights, nil, create, "engram_create"},
		{"writes when the caller asks for it and may", memory.Read | memory.Write, write, create, ""},
		{"is refused before it runs when the caller may not", memory.Read, write, create, "grants: engram_create takes the right write"},
		{"may call what was asked for and no other writing tool", allRights, write, calling("engram_forget", args{"ids": []string{tea}}), "engram_forget"},
		{"runs no agents and no scripts unless asked", allRights, nil, calling("script_run", args{"language": "lua", "code": "x"}), "script_run"},
		{"installs nothing, even if asked", allRights, []string{"agent_install"}, create, "agent_install cannot be granted"},
		{"is told of misspelt tools", allRights, []string{"engram_creat"}, create, "did you mean engram_create"},
	} {
		t.Run(row.name, func(t *testing.T) {
			out, err := w.script(row.rights, row.grants, row.act)
			if row.want == "" {
				if err != nil || out != "done" {
					t.Errorf("%v, %v", out, err)
				}
				return
			}
			if text, _ := Explain(err); err == nil || !strings.Contains(text, row.want) {
				t.Errorf("%v, %v; want an error with %q", out, err, row.want)
			}
		})
	}
}

func TestScript_WritesAllOrNothing(t *testing.T) {
	w := newWorld(t)
	_, err := w.script(allRights, []string{"engram_create"}, func(_ json.RawMessage, call func(string, any) (args, error)) (any, error) {
		if _, err := call("engram_create", args{"content": "half a thought"}); err != nil {
			t.Error(err)
		}
		return nil, errors.New("changed its mind")
	})
	if !errors.Is(err, sandbox.ErrFailed) {
		t.Errorf("the failure is %v", err)
	}
	if n := len(w.call(w.admin(), "engram_search", args{})["hits"].([]any)); n != 0 {
		t.Errorf("a failed program left %d engrams", n)
	}
}

// What a program writes is an agent's, in the name of its caller.
func TestScript_WhatItWritesIsNotTheUsersWord(t *testing.T) {
	w := newWorld(t)
	if _, err := w.script(allRights, []string{"engram_create"}, func(_ json.RawMessage, call func(string, any) (args, error)) (any, error) {
		return call("engram_create", args{"content": "cake"})
	}); err != nil {
		t.Fatal(err)
	}
	hit := at(t, w.call(w.admin(), "engram_search", args{}), "hits", 0).(map[string]any)
	if hit["author"] != "ada" || hit["trust"] != "agent" {
		t.Errorf("author %v, trust %v", hit["author"], hit["trust"])
	}
}

// An agent cannot get by a script what it has no grant for.
func TestScript_OfAnAgentHasTheGrantsOfBoth(t *testing.T) {
	w := newWorld(t)
	w.rt.acts["main"] = func(_ json.RawMessage, call func(string, any) (args, error)) (any, error) {
		return call("engram_create", args{"content": "smuggled"})
	}
	w.rt.acts["go"] = func(_ json.RawMessage, call func(string, any) (args, error)) (any, error) {
		return call("script_run", args{"language": "lua", "code": "x", "grants": []string{"engram_create"}})
	}
	w.install(w.admin(), "narrow", args{"grants": []string{"script_run"}})
	text, _ := w.refused(w.admin(), "agent_run", args{"agent": "narrow", "action": "go"})
	if !strings.Contains(text, "engram_create") {
		t.Errorf("it was told %q", text)
	}
	if n := len(w.call(w.admin(), "engram_search", args{})["hits"].([]any)); n != 0 {
		t.Errorf("%d engrams were smuggled in", n)
	}
}

func TestScript_Bounds(t *testing.T) {
	w := newWorld(t)
	w.rt.acts["main"] = func(json.RawMessage, func(string, any) (args, error)) (any, error) {
		return strings.Repeat("x", 40<<10), nil
	}
	for _, row := range []struct {
		in   args
		want string
	}{
		{args{"language": "lua", "code": strings.Repeat(" ", maxScript+1)}, "shorten it"},
		{args{"language": "cobol", "code": "x"}, "lua"},
		{args{"language": "lua", "code": "x", "limits": args{"time_ms": 1_000_000}}, "time_ms"},
		{args{"language": "lua", "code": "x"}, "output"}, // 32 KiB unless asked for
	} {
		if text, _ := w.refused(w.admin(), "script_run", row.in); !strings.Contains(text, row.want) {
			t.Errorf("%.60q: %q does not say %q", row.in, text, row.want)
		}
	}
	w.call(w.admin(), "script_run", args{"language": "lua", "code": "x", "limits": args{"output_kib": 64}})
}

// The tool's text is paid for in every conversation that has it.
func TestScript_TeachesInFewWords(t *testing.T) {
	if n := len(scriptGuide); n > 2_000 {
		t.Errorf("the guide has %d bytes, clients cut at 2 KB", n)
	}
}

// An agent may have the name that scripts are called by in messages; what
// scripts use and say is not its own.
func TestScript_IsNoAgent(t *testing.T) {
	w := newWorld(t)
	w.install(w.admin(), scriptName, nil)
	if _, err := w.script(allRights, nil, func(json.RawMessage, func(string, any) (args, error)) (any, error) { return 1, nil }); err != nil {
		t.Fatal(err)
	}
	if s := at(t, w.call(w.admin(), "agent_stats", args{}), "agents", 0).(args); s["calls"] != 0.0 {
		t.Errorf("%v", s)
	}
}

package tools

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"engram-mcp/memory"
)

// endings are the actions of a player: it plays its steps and then ends so.
var endings = []string{"fine", "fail", "trap", "spin", "deep", "grow", "flood", "shout", "garble", "mislead"}

// However a call ends, if it does not succeed, the memory is what it was
// before, bit by bit, the agent's globals are, and the next call works.
func TestAgents_NothingIsLeftOfACallThatFails(t *testing.T) {
	// meanwhile is a tool through which the test acts in the middle of a call.
	var meanwhile func()
	s := newStage(t, New(Tool{Name: "meanwhile", Needs: memory.Read, Profile: ProfileAll}, func(context.Context, struct{}) (struct{}, error) {
		meanwhile()
		return struct{}{}, nil
	}))
	ctx := s.admin()
	actions := []args{}
	for _, name := range endings {
		actions = append(actions, args{"name": name, "output_schema": args{"type": "object", "required": []string{"engrams"}}})
	}
	limits := args{"time_ms": 60_000, "memory_mib": 16, "host_calls": 30, "output_kib": 4}
	s.engage(ctx, "writer", args{"actions": actions, "limits": limits})
	limits["fuel"] = 5_000_000
	s.engage(ctx, "poor", args{"actions": actions, "limits": limits})
	delete(limits, "fuel")
	limits["time_ms"] = 200
	s.engage(ctx, "hasty", args{"actions": actions, "limits": limits})
	s.engage(ctx, "helper", args{"actions": actions})
	old, doomed := s.create(ctx, args{"content": "old"}), s.create(ctx, args{"content": "doomed"})
	// Every kind of change, made by the agent and by another one that it runs.
	changes := func() []any {
		return []any{
			"engram_create", args{"engrams": []args{{"content": "new", "context": "made", "collections": "too", "links": []args{{"to": old, "relation": "about"}}}, {"content": "newer"}}},
			"engram_update", args{"id": old, "content": "changed", "if_version": 1},
			"engram_link", args{"from": old, "to": doomed, "relation": "precedes"},
			"engram_forget", args{"ids": doomed},
			"context_create", args{"name": "another"},
			"create_entities", args{"entities": []args{{"name": "Ann", "entityType": "person", "observations": []string{"x"}}}},
			"globals_set", args{"n": 1},
			"agent_run", args{"agent": "helper", "action": "fine", "params": steps("globals_set", args{"n": 2}, "engram_create", args{"content": "by the helper"})},
		}
	}
	last := []any{"engram_create", args{"content": "last"}}
	perform := func(ctx context.Context, agent, action string, more ...any) (string, error) {
		out, err := s.set.Call(ctx, "agent_run", encoded(t, args{"agent": agent, "action": action, "params": steps(slices.Concat(changes(), more)...)}))
		return string(out), err
	}

	for _, tt := range []struct {
		name, agent, action string
		more                []any
		meanwhile           func(cancel func())
		want                string // in what the caller is told
	}{
		{name: "it reports an error", action: "fail", want: "reported an error"},
		{name: "it traps", action: "trap", want: "crashed"},
		{name: "its time is up", agent: "hasty", action: "spin", want: "time limit"},
		{name: "its fuel is used up", agent: "poor", action: "spin", want: "fuel"},
		{name: "it recurses", action: "deep", want: "nest too deeply"},
		{name: "it takes all memory", action: "grow", want: "out of memory"},
		{name: "it calls too often", action: "flood", want: "host calls are all"},
		{name: "its output is too large", action: "shout", want: "is more than"},
		{name: "its output is not JSON", action: "garble", want: "output was refused"},
		{name: "its output breaks its promise", action: "mislead", want: "engrams"},
		{name: "a tool refuses it", action: "fine", more: []any{"engram_update", args{"id": old, "confidence": 7}}, want: "confidence"},
		{name: "it was not granted a tool", action: "fine", more: []any{"agent_install", args{}}, want: "not granted"},
		{name: "the agent that it runs fails", action: "trap", more: []any{"agent_run", args{"agent": "helper", "action": "trap", "params": steps(last...)}}, want: "crashed"},
		{name: "its caller gives up", action: "fine", more: append([]any{"meanwhile", args{}}, last...), meanwhile: func(cancel func()) { cancel() }, want: "canceled"},
		{name: "its caller gives up while it computes", action: "spin", more: []any{"meanwhile", args{}}, meanwhile: func(cancel func()) { time.AfterFunc(20*time.Millisecond, cancel) }, want: "canceled"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			agent := tt.agent
			if agent == "" {
				agent = "writer"
			}
			caller, cancel := context.WithCancel(ctx)
			defer cancel()
			meanwhile = func() { tt.meanwhile(cancel) }
			before, globals := s.digests(), s.globals(ctx)
			out, err := perform(caller, agent, tt.action, tt.more...)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("it is told %q (%s), want %q", err, out, tt.want)
			}
			if s.digests() != before {
				t.Error("the memory is not what it was")
			}
			if now := s.globals(ctx); now != globals {
				t.Errorf("the globals were %s and are %s", globals, now)
			}
		})
	}

	// What somebody else changes in the middle of the call stays, alone.
	t.Run("somebody else was quicker", func(t *testing.T) {
		version, before := 1, s.digests()
		meanwhile = func() {
			version++
			s.call(ctx, "engram_update", args{"id": old, "content": fmt.Sprint("theirs ", version)})
		}
		if _, err := perform(ctx, "writer", "fine", "meanwhile", args{}, "engram_create", args{"content": "last"}); err == nil || !strings.Contains(err.Error(), "version is") {
			t.Errorf("%v", err)
		}
		got := at(t, s.call(ctx, "engram_get", args{"ids": old}), "engrams", 0).(args)
		if got["version"] != float64(version) || got["content"] != fmt.Sprint("theirs ", version) || s.digests() == before {
			t.Errorf("%v", got)
		}
		if n := s.call(ctx, "memory_stats", args{})["ops"]; n != float64(1+version) {
			t.Errorf("%v operations, want two creates and %d updates", n, version-1)
		}
		s.call(ctx, "engram_restore", args{"id": old, "version": 1})
	})

	// And all of it takes effect when the call succeeds.
	before := s.digests()
	out, err := s.set.Call(ctx, "agent_run", encoded(t, args{"agent": "writer", "action": "fine", "params": steps(append(changes()[4:], "engram_create", args{"content": "last"})...)}))
	if err != nil || !json.Valid(out) {
		t.Fatal(err)
	}
	if globals := s.globals(ctx); s.digests() == before || globals != `hasty {} helper {"n":2} poor {} writer {"n":1} ` {
		t.Errorf("after a call that succeeds the globals are %s: %s", globals, out)
	}
}

// globals are those of all agents of the caller's space.
func (s *stage) globals(ctx context.Context) (all string) {
	s.t.Helper()
	store, release, err := s.open(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	defer release()
	rows, err := store.Agents(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, r := range rows {
		all += r.Name + " " + string(r.Globals) + " "
	}
	return all
}

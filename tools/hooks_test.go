package tools

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"engram-mcp/memory"
	"engram-mcp/sandbox"
)

// act is an action of a fake agent that is run as a hook: in is {tool, args,
// result}.
type act = func(in args, call func(op string, in any) (args, error)) (any, error)

// wired installs an agent locally, as the owner of the machine, with hooks of
// one action each, and approves it.
func (w *world) wired(name string, edit args, hooks map[string]act) {
	w.t.Helper()
	var actions, list []args
	for _, on := range sortedKeys(hooks) {
		moment, tool, _ := strings.Cut(on, ":")
		action := name + "-" + moment + "-" + strings.ReplaceAll(tool, "_", "-")
		actions = append(actions, args{"name": action})
		h := args{"on": on, "action": action, "time_ms": 5000}
		for _, k := range []string{"order", "on_failure", "time_ms"} {
			if v, ok := edit[k]; ok {
				h[k] = v
			}
		}
		list = append(list, h)
		f := hooks[on]
		w.rt.acts[action] = func(params json.RawMessage, call func(string, any) (args, error)) (any, error) {
			var in args
			if err := json.Unmarshal(params, &in); err != nil {
				return nil, err
			}
			return f(in, call)
		}
	}
	m := args{"name": name, "runtime": "wasm", "grants": []string{"engram_create", "engram_get", "engram_search", "engram_update", "engram_forget", "engram_link", "context_update", "agent_run"},
		"actions": actions, "hooks": list}
	for k, v := range edit {
		if !slices.Contains([]string{"order", "on_failure", "time_ms"}, k) {
			m[k] = v
		}
	}
	w.installLocally(encoded(w.t, m), "code of "+name)
	w.approve(name, true)
}

func (w *world) installLocally(manifest json.RawMessage, code string) {
	w.t.Helper()
	m, err := sandbox.ParseManifest(manifest)
	if err == nil {
		_, err = w.agents.Install(w.owner(), m, []byte(code), true)
	}
	if err != nil {
		text, _ := Explain(err)
		w.t.Fatal(err, text)
	}
}

func (w *world) approve(name string, yes bool) {
	w.t.Helper()
	wiring, err := w.agents.Wiring(w.owner(), name)
	if err == nil {
		err = w.agents.Approve(w.owner(), wiring, yes)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// owner is who works on the command line of the machine.
func (w *world) owner() context.Context {
	return memory.WithPrincipal(w.t.Context(), memory.Principal{Space: "default", Name: "root", Rights: memory.Owner, Trust: memory.TrustUser})
}

// digest is what the space holds, whoever wrote it.
func (w *world) digest() string {
	w.t.Helper()
	store, release, err := w.spaces.Get(w.t.Context(), "default")
	if err != nil {
		w.t.Fatal(err)
	}
	defer release()
	ops, err := store.Ops(w.owner(), 0, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(encoded(w.t, ops))
}

// contents are those of the hits of a search, in their order.
func contents(t *testing.T, found args) (list []string) {
	t.Helper()
	for _, h := range found["hits"].([]any) {
		list = append(list, at(t, h, "content").(string))
	}
	return list
}

func TestHooks_ABeforeHookChangesWhatIsCreated(t *testing.T) {
	w := newWorld(t)
	var saw args
	w.wired("mask", nil, map[string]act{"before:engram_create": func(in args, _ func(string, any) (args, error)) (any, error) {
		saw = in
		for _, e := range at(t, in, "args", "engrams").([]any) {
			e.(args)["content"] = strings.ReplaceAll(at(t, e, "content").(string), "hunter2", "***")
		}
		return args{"args": in["args"]}, nil
	}})
	bob := w.as("bob", memory.Read|memory.Write)
	made := w.call(bob, "engram_create", args{"text": "the password is hunter2", "tag": "login", "validFrom": "2026-01-31", "request_id": "0197a3c0-5b1e-7c3a-9d2f-1a2b3c4d5e6f"})
	want := args{"tool": "engram_create", "args": args{"engrams": []any{args{"content": "the password is ***", "tags": []any{"login"}, "valid_from": "2026-01-31T00:00:00Z"}}}}
	if diff := cmp.Diff(want, saw); diff != "" {
		t.Errorf("the hook saw (and changed):\n%s", diff)
	}
	if diff := cmp.Diff([]any{"mask"}, made["changed_by"]); diff != "" {
		t.Error(diff)
	}
	got := at(t, w.call(bob, "engram_get", args{"ids": at(t, made, "engrams", 0, "id")}), "engrams", 0).(args)
	if got["content"] != "the password is ***" || got["author"] != "bob" {
		t.Errorf("%v", got)
	}
}

func TestHooks_AnAfterHookReordersASearch(t *testing.T) {
	w := newWorld(t)
	ctx := w.admin()
	for _, c := range []string{"tea one", "tea two", "tea three"} {
		w.create(ctx, args{"content": c})
	}
	w.wired("rerank", nil, map[string]act{"after:engram_search": func(in args, _ func(string, any) (args, error)) (any, error) {
		hits := at(t, in, "result", "hits").([]any)
		slices.SortFunc(hits, func(a, b any) int {
			return strings.Compare(at(t, a, "content").(string), at(t, b, "content").(string))
		})
		short := []args{}
		for _, h := range hits {
			short = append(short, args{"id": at(t, h, "id")})
		}
		short[0]["annotation"] = args{"why": "alphabet"}
		return args{"result": args{"hits": short[:2]}}, nil
	}})
	found := w.call(ctx, "engram_search", args{"query": "tea"})
	if diff := cmp.Diff([]string{"tea one", "tea three"}, contents(t, found)); diff != "" {
		t.Error(diff)
	}
	if at(t, found, "hits", 0, "annotations", "rerank", "why") != "alphabet" {
		t.Errorf("%v", found)
	}
}

func TestHooks_DoNotRunBeforeTheyAreApproved(t *testing.T) {
	w := newWorld(t)
	ran := 0
	hooks := map[string]act{"before:engram_create": func(args, func(string, any) (args, error)) (any, error) { ran++; return nil, nil }}
	w.wired("watch", nil, hooks)
	w.create(w.admin(), args{"content": "one"})
	if ran != 1 {
		t.Fatal("it does not run when it is approved")
	}
	w.approve("watch", false)
	w.create(w.admin(), args{"content": "two"})
	if ran != 1 {
		t.Error("it runs after its approval was taken back")
	}
	w.approve("watch", true)
	again := manifest("watch", nil)
	again["replace"] = true
	w.call(w.admin(), "agent_install", again)
	w.create(w.admin(), args{"content": "three"})
	if ran != 1 {
		t.Error("the approval outlived what was approved")
	}
}

func TestHooks_RefuseAndFail(t *testing.T) {
	for name, tt := range map[string]struct {
		on, policy string
		answer     any
		err        error
		kind, text string // of what the caller is told; empty if the call goes through
	}{
		"nothing":                       {on: "before"},
		"an empty object":               {on: "before", answer: args{}},
		"refuse":                        {on: "before", answer: args{"refuse": "no secrets\u202e here"}, kind: "denied", text: "agent guard refuses: no secrets here"},
		"refuse is no failure":          {on: "before", policy: "skip", answer: args{"refuse": "no"}, kind: "denied", text: "refuses: no"},
		"error":                         {on: "before", err: errors.New("the key is hunter2"), kind: "failed", text: "approve --revoke guard"},
		"error, skipped":                {on: "before", policy: "skip", err: errors.New("x")},
		"nonsense":                      {on: "before", answer: "what?", kind: "failed", text: "output was refused"},
		"unknown member":                {on: "before", answer: args{"arg": args{}}, kind: "failed"},
		"both":                          {on: "before", answer: args{"args": args{}, "refuse": "x"}, kind: "failed"},
		"result before":                 {on: "before", answer: args{"result": args{}}, kind: "failed"},
		"unknown argument":              {on: "before", answer: args{"args": args{"engrams": []args{{"content": "x", "colour": "red"}}}}, kind: "failed"},
		"wrong type":                    {on: "before", answer: args{"args": args{"engrams": []args{{"content": "x", "confidence": "high"}}}}, kind: "failed"},
		"fewer items":                   {on: "before", answer: args{"args": args{"engrams": []args{}}}, kind: "failed"},
		"more items":                    {on: "before", answer: args{"args": args{"engrams": []args{{"content": "x"}, {"content": "y"}}}}, kind: "failed"},
		"nonsense, skipped":             {on: "before", policy: "skip", answer: 7},
		"trap":                          {on: "after", err: &sandbox.Error{Op: "run", Kind: sandbox.ErrCrashed}, kind: "failed", text: "crashed"},
		"fuel":                          {on: "after", err: &sandbox.Error{Op: "run", Kind: sandbox.ErrFuel}, kind: "budget"},
		"refuse after":                  {on: "after", answer: args{"refuse": "too late"}, kind: "failed"},
		"args after":                    {on: "after", answer: args{"args": args{}}, kind: "failed"},
		"an item that is not there":     {on: "after", answer: args{"result": args{"engrams": []args{{"id": "0198c0de-0000-7000-8000-000000000000"}}}}, kind: "failed"},
		"a list that is not there":      {on: "after", answer: args{"result": args{"hits": []args{}}}, kind: "failed"},
		"long annotation":               {on: "after", answer: args{"result": args{"annotation": strings.Repeat("x", 5000)}}, kind: "failed"},
		"an empty list after a write":   {on: "after", answer: args{"result": args{"engrams": []args{}}}},
		"after a write, skipped":        {on: "after", policy: "skip", err: errors.New("x")},
		"a member of the wrong type":    {on: "after", answer: args{"result": args{"engrams": 1}}, kind: "failed"},
		"something else than an object": {on: "after", answer: args{"result": 1}, kind: "failed"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			edit := args{}
			if tt.policy != "" {
				edit["on_failure"] = tt.policy
			}
			w.wired("guard", edit, map[string]act{tt.on + ":engram_create": func(_ args, call func(string, any) (args, error)) (any, error) {
				if _, err := call("engram_create", args{"content": "by the hook"}); err != nil {
					t.Error(err)
				}
				return tt.answer, tt.err
			}})
			before := w.digest()
			out, err := w.set.Call(w.as("bob", memory.Read|memory.Write), "engram_create", encoded(t, args{"content": "by bob"}))
			if tt.kind == "" {
				found := contents(t, w.call(w.admin(), "engram_search", args{}))
				slices.Sort(found)
				want := []string{"by bob", "by the hook"}
				if tt.policy == "skip" {
					want = want[:1]
				}
				if diff := cmp.Diff(want, found); err != nil || diff != "" {
					t.Errorf("%v\n%s", err, diff)
				}
				if n := len(at(t, decoded(t, out), "engrams").([]any)); n != 1 {
					t.Errorf("the answer has %d engrams", n)
				}
				return
			}
			text, kind := Explain(err)
			if kind != tt.kind || !strings.Contains(text, tt.text) || !strings.Contains(text, "guard") || !strings.Contains(text, "\nhint: nothing was changed") {
				t.Errorf("%s: %s", kind, text)
			}
			if strings.Contains(text, "hunter2") {
				t.Error("the caller is told what the agent said of its failure")
			}
			if w.digest() != before {
				t.Error("something was written")
			}
		})
	}
}

func decoded(t *testing.T, raw json.RawMessage) args {
	t.Helper()
	var m args
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestHooks_AreOfToolsWhoseWorkCanBeTakenBack(t *testing.T) {
	w := newWorld(t)
	for on, hint := range map[string]string{"before:engram_crate": "did you mean engram_create", "after:agent_run": "one of engram_create", "before:memory_maintain": "one of engram_create"} {
		m := sandbox.Manifest{Name: "tidy", Runtime: "wasm", Actions: []sandbox.Action{{Name: "go"}}, Hooks: []sandbox.Hook{{On: on, Action: "go"}}}
		_, err := w.agents.Install(w.owner(), m, []byte("code"), false)
		if text, kind := Explain(err); kind != "invalid" || !strings.Contains(text, hint) {
			t.Errorf("%s: %v", on, text)
		}
	}
}

func TestHooks_HaveTimeOfTheirOwn(t *testing.T) {
	w := newWorld(t)
	w.wired("slow", args{"time_ms": 20, "on_failure": "fail"}, map[string]act{"after:engram_search": func(args, func(string, any) (args, error)) (any, error) {
		time.Sleep(200 * time.Millisecond)
		return nil, nil
	}})
	if text, kind := w.refused(w.admin(), "engram_search", args{}); kind != "timeout" || !strings.Contains(text, `"slow"`) {
		t.Error(text)
	}
}

// quick is a hook that answers what f makes of the call, and calls nothing.
func quick(f func(in args) any) act {
	return func(in args, _ func(string, any) (args, error)) (any, error) { return f(in), nil }
}

func TestHooks_RunInOrder(t *testing.T) {
	w := newWorld(t)
	var ran []string
	note := func(name string) map[string]act {
		return map[string]act{
			"before:engram_create": quick(func(in args) any {
				ran = append(ran, "before "+name)
				e := at(t, in, "args", "engrams", 0).(args)
				e["content"] = at(t, e, "content").(string) + " " + name
				return args{"args": in["args"]}
			}),
			"after:engram_create": quick(func(in args) any {
				ran = append(ran, "after "+name)
				if at(t, in, "args", "engrams", 0, "content") != "x b a" {
					t.Errorf("after sees %v", in["args"])
				}
				return args{"result": args{"annotation": name}}
			}),
		}
	}
	w.wired("a", args{"order": 2}, note("a"))
	w.wired("c", args{"order": 3}, map[string]act{"after:engram_create": note("c")["after:engram_create"]})
	w.wired("b", args{"order": 1}, note("b"))
	made := w.call(w.admin(), "engram_create", args{"content": "x"})
	if diff := cmp.Diff([]string{"before b", "before a", "after b", "after a", "after c"}, ran); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(args{"b": "b", "a": "a", "c": "c"}, made["annotations"]); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]any{"b", "a"}, made["changed_by"]); diff != "" {
		t.Error(diff)
	}
}

func TestHooks_ABatchIsOneCall(t *testing.T) {
	w := newWorld(t)
	runs := 0
	w.wired("count", nil, map[string]act{"before:engram_create": quick(func(in args) any {
		runs++
		if n := len(at(t, in, "args", "engrams").([]any)); n != 5 {
			t.Errorf("it sees %d engrams", n)
		}
		return nil
	})})
	batch := []args{}
	for _, c := range []string{"b", "c", "d", "e"} {
		batch = append(batch, args{"content": c})
	}
	w.call(w.admin(), "engram_create", args{"content": "a", "engrams": batch})
	if runs != 1 {
		t.Errorf("it ran %d times", runs)
	}
}

// The hook of an agent is not told of what the agent itself writes, from its
// hooks or its actions; those of others are, three deep.
func TestHooks_AreNotToldOfTheirOwnAgent(t *testing.T) {
	w := newWorld(t)
	ran := map[string]int{}
	var told error // the first that went wrong
	chatty := func(name string) map[string]act {
		return map[string]act{"after:engram_create": func(_ args, call func(string, any) (args, error)) (any, error) {
			ran[name]++
			_, err := call("engram_create", args{"content": fmt.Sprint(name, " heard of something ", ran[name])})
			if told == nil {
				told = err
			}
			return nil, err
		}}
	}
	w.wired("a", nil, chatty("a"))
	w.create(w.admin(), args{"content": "first"})
	if ran["a"] != 1 {
		t.Errorf("its own write ran it again: %v", ran)
	}
	w.wired("b", nil, chatty("b"))
	clear(ran)
	w.create(w.admin(), args{"content": "second"})
	if diff := cmp.Diff(map[string]int{"a": 2, "b": 2}, ran); diff != "" { // each for the call, and each for the other
		t.Error(diff)
	}
	w.rt.acts["go"] = func(_ json.RawMessage, call func(string, any) (args, error)) (any, error) {
		return call("engram_create", args{"content": "by an action"})
	}
	clear(ran)
	w.install(w.admin(), "writer", nil)
	w.run(w.admin(), "writer", nil)
	if ran["a"] != 2 || ran["b"] != 2 {
		t.Errorf("what an action writes: %v", ran)
	}
	w.wired("c", nil, chatty("c"))
	clear(ran)
	w.create(w.admin(), args{"content": "three of them are three deep"})
	w.wired("d", nil, chatty("d"))
	before := w.digest()
	if text, kind := w.refused(w.admin(), "engram_create", args{"content": "four"}); kind != "failed" || !strings.Contains(text, `agent "`) {
		t.Error(text)
	}
	if w.digest() != before {
		t.Error("something was written")
	}
	if told == nil || !strings.Contains(told.Error(), "hooks nest 3 deep") {
		t.Errorf("the innermost is told %v", told)
	}
}

// What a hook may not read keeps its place, unseen.
func TestHooks_SeeWhatTheirAgentMayRead(t *testing.T) {
	w := newWorld(t)
	ctx := w.admin()
	w.call(ctx, "context_create", args{"name": "closed", "readers": []string{"ada"}, "writers": []string{"ada"}})
	ids := map[string]string{}
	for i, c := range []string{"tea one", "tea two (closed)", "tea three", "tea four (closed)", "tea five"} {
		in := args{"content": c, "valid_from": fmt.Sprintf("2026-01-0%d", 9-i)}
		if strings.Contains(c, "closed") {
			in["context"] = "closed"
		}
		ids[c] = w.create(ctx, in)
	}
	w.call(ctx, "engram_link", args{"links": []args{{"from": ids["tea one"], "to": ids["tea two (closed)"], "relation": "near"}, {"from": ids["tea one"], "to": ids["tea three"], "relation": "near"}}})
	plain := contents(t, w.call(ctx, "engram_search", args{"query": "tea"}))

	var seen string
	w.wired("turn", args{"on_failure": "fail"}, map[string]act{
		"after:engram_search": quick(func(in args) any {
			seen = string(encoded(t, in))
			hits := at(t, in, "result", "hits").([]any)
			slices.Reverse(hits)
			return args{"result": args{"hits": hits}}
		}),
		"after:engram_get": quick(func(in args) any {
			seen = string(encoded(t, in))
			return args{"result": in["result"]}
		}),
		"before:engram_create": quick(func(in args) any {
			seen = string(encoded(t, in))
			list := at(t, in, "args", "engrams").([]any)
			for _, e := range list {
				e.(args)["content"] = strings.ToUpper(at(t, e, "content").(string))
			}
			return args{"args": in["args"]}
		}),
		"before:engram_update": quick(func(in args) any { seen = string(encoded(t, in)); return nil }),
		"after:engram_update":  quick(func(in args) any { seen = string(encoded(t, in)); return nil }),
		"after:engram_history": quick(func(in args) any { seen = string(encoded(t, in)); return nil }),
		"before:engram_search": quick(func(in args) any { seen = string(encoded(t, in)); return nil }),
		"before:engram_link":   quick(func(in args) any { seen = string(encoded(t, in)); return args{"args": in["args"]} }),
	})
	turned := contents(t, w.call(ctx, "engram_search", args{"query": "tea"}))
	var open []string
	want := slices.Clone(plain)
	for _, c := range plain {
		if !strings.Contains(c, "closed") {
			open = append(open, c)
		}
	}
	for i, c := range plain {
		if !strings.Contains(c, "closed") {
			want[i] = open[len(open)-1]
			open = open[:len(open)-1]
		}
	}
	if diff := cmp.Diff(want, turned); diff != "" {
		t.Errorf("from %q\n%s", plain, diff)
	}
	unseen := func(what string) {
		t.Helper()
		if strings.Contains(seen, "closed") || strings.Contains(seen, ids["tea two (closed)"]) || strings.Contains(seen, ids["tea four (closed)"]) {
			t.Errorf("%s: the hook sees %s", what, seen)
		}
	}
	unseen("search")

	got := w.call(ctx, "engram_get", args{"ids": []string{ids["tea one"], ids["tea two (closed)"]}, "include_links": true})
	unseen("get")
	if n := len(at(t, got, "engrams", 0, "links").([]any)); len(got["engrams"].([]any)) != 2 || n != 2 || !strings.Contains(seen, ids["tea three"]) {
		t.Errorf("the caller gets %v", got)
	}

	made := w.call(ctx, "engram_create", args{"engrams": []args{{"content": "kept quiet", "context": "closed"}, {"content": "said aloud"},
		{"content": "linked", "links": []args{{"to": ids["tea two (closed)"], "relation": "near"}}}}})
	unseen("create")
	var now []string
	for _, e := range w.call(ctx, "engram_get", args{"ids": []any{at(t, made, "engrams", 0, "id"), at(t, made, "engrams", 1, "id"), at(t, made, "engrams", 2, "id")}, "include_links": true})["engrams"].([]any) {
		now = append(now, at(t, e, "content").(string))
		if at(t, e, "content") == "LINKED" && len(at(t, e, "links").([]any)) != 1 {
			t.Errorf("the link that the hook did not see is gone: %v", e)
		}
	}
	if diff := cmp.Diff([]string{"kept quiet", "SAID ALOUD", "LINKED"}, now); diff != "" {
		t.Error(diff)
	}

	seen = "nothing"
	w.call(ctx, "engram_history", args{"id": ids["tea two (closed)"]})
	w.call(ctx, "engram_search", args{"context": "closed"})
	w.call(ctx, "engram_get", args{"ids": ids["tea two (closed)"]})
	w.call(ctx, "engram_update", args{"id": ids["tea two (closed)"], "confidence": 0.5})
	w.call(ctx, "engram_create", args{"content": "also quiet", "context": "closed"})
	if seen != "nothing" {
		t.Errorf("a hook is run for what it may not see: %s", seen)
	}
	w.call(ctx, "engram_link", args{"links": []args{{"from": ids["tea one"], "to": ids["tea four (closed)"], "relation": "x"}, {"from": ids["tea one"], "to": ids["tea five"], "relation": "x"}}})
	unseen("link")
	if n := len(at(t, w.call(ctx, "engram_graph", args{"start": ids["tea one"], "relations": "x"}), "links").([]any)); n != 2 {
		t.Errorf("%d links were made", n)
	}

	// On the readers' list it sees them.
	w.call(ctx, "context_update", args{"name": "closed", "readers": []string{"ada", "turn"}})
	w.call(ctx, "engram_search", args{"query": "tea"})
	if !strings.Contains(seen, ids["tea two (closed)"]) {
		t.Error("a reader of the context does not see it")
	}
}

// Its manifest narrows what a hook sees, too.
func TestHooks_SeeWhatTheirManifestNames(t *testing.T) {
	w := newWorld(t)
	var seen []string
	w.wired("narrow", args{"contexts": args{"read": []string{"desk"}}}, map[string]act{"before:engram_create": quick(func(in args) any {
		for _, e := range at(t, in, "args", "engrams").([]any) {
			seen = append(seen, at(t, e, "content").(string))
		}
		return nil
	})})
	w.call(w.admin(), "engram_create", args{"engrams": []args{{"content": "on the desk", "context": "desk"}, {"content": "in a drawer", "context": "drawer"}, {"content": "nowhere"}}})
	if diff := cmp.Diff([]string{"on the desk"}, seen); diff != "" {
		t.Error(diff)
	}
}

// A hook acts as its agent, whoever calls, and can neither lend its rights to
// the caller nor borrow the caller's.
func TestHooks_ActAsTheirAgent(t *testing.T) {
	w := newWorld(t)
	ctx := w.admin()
	w.call(ctx, "context_create", args{"name": "of bob", "readers": []string{"bob"}, "writers": []string{"bob"}})
	w.call(ctx, "context_create", args{"name": "of the agent", "readers": []string{"helper"}, "writers": []string{"helper"}})
	bob := w.as("bob", memory.Read|memory.Write)
	secret := w.create(bob, args{"content": "bob's", "context": "of bob"})
	w.wired("helper", nil, map[string]act{
		"after:engram_create": func(_ args, call func(string, any) (args, error)) (any, error) {
			if got, err := call("engram_get", args{"ids": secret}); err != nil || len(got["engrams"].([]any)) != 0 {
				t.Errorf("it reads what its caller may read: %v %v", got, err)
			}
			if _, err := call("engram_history", args{"id": secret}); err == nil {
				t.Error("it calls what it was not granted")
			}
			_, err := call("engram_create", args{"content": "its own", "context": "of the agent"})
			return nil, err
		},
		"before:engram_update": quick(func(in args) any { in["args"].(args)["context"] = "of the agent"; return args{"args": in["args"]} }),
	})
	id := w.create(bob, args{"content": "open"})
	var author any
	for _, e := range w.call(w.owner(), "engram_search", args{"context": "of the agent"})["hits"].([]any) {
		author = at(t, e, "author")
	}
	if author != "helper" {
		t.Errorf("what it wrote is by %v", author)
	}
	// The arguments that it changed are acted on with the caller's rights.
	if text, kind := w.refused(bob, "engram_update", args{"id": id, "content": "moved"}); kind != "denied" {
		t.Error(kind, text)
	}
	// An agent that may do less than the hook does not take anything from it.
	w.rt.acts["go"] = func(_ json.RawMessage, call func(string, any) (args, error)) (any, error) {
		return call("engram_create", args{"content": "by an agent that may only create"})
	}
	w.install(ctx, "writer", args{"grants": []string{"engram_create"}})
	w.run(bob, "writer", nil)

	// A read-only caller's call lets it write, since it writes as itself.
	w.wired("log", args{"on_failure": "fail"}, map[string]act{"after:engram_search": func(_ args, call func(string, any) (args, error)) (any, error) {
		_, err := call("engram_create", args{"content": "somebody searched"})
		return nil, err
	}})
	w.call(w.as("eve", memory.Read), "engram_search", args{})
	if n := len(w.call(ctx, "engram_search", args{"query": "somebody searched"})["hits"].([]any)); n != 1 {
		t.Errorf("%d notes", n)
	}
}

// A caller who may only write is not past the hooks.
func TestHooks_RunForThoseWhoCannotRead(t *testing.T) {
	w := newWorld(t)
	w.wired("guard", nil, map[string]act{"before:engram_create": quick(func(args) any { return args{"refuse": "no"} })})
	other := newProcess(t, w.dir)
	other.rt.acts = w.rt.acts
	if _, kind := other.refused(other.as("drop", memory.Write), "engram_create", args{"content": "x"}); kind != "denied" {
		t.Error(kind)
	}
}

// Nothing that the caller could not see comes to it through a hook, and what
// the tool said stays as it was.
func TestHooks_CannotPutWordsIntoAnAnswer(t *testing.T) {
	for name, change := range map[string]func(hit args) any{
		"content":        func(h args) any { h["content"] = "forged"; return []any{h} },
		"an unknown id":  func(h args) any { h["id"] = "0198c0de-0000-7000-8000-000000000000"; return []any{h} },
		"twice":          func(h args) any { return []any{h, h} },
		"another member": func(h args) any { h["rumour"] = "x"; return []any{h} },
		"a text":         func(args) any { return []any{"x"} },
		"no list":        func(args) any { return "x" },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.create(w.admin(), args{"content": "said by ada"})
			before, _ := w.set.Call(w.admin(), "engram_search", json.RawMessage(`{}`))
			w.wired("forge", nil, map[string]act{"after:engram_search": quick(func(in args) any {
				return args{"result": args{"hits": change(at(t, in, "result", "hits", 0).(args))}}
			})})
			after, err := w.set.Call(w.admin(), "engram_search", json.RawMessage(`{}`))
			if err != nil || string(after) != string(before) {
				t.Errorf("%v\n%s\n%s", err, before, after)
			}
		})
	}
}

func TestHooks_LeaveWhatIsTheCallers(t *testing.T) {
	w := newWorld(t)
	id := w.create(w.admin(), args{"content": "x"})
	w.wired("zeal", nil, map[string]act{"before:engram_forget": quick(func(in args) any {
		a := in["args"].(args)
		a["purge"], a["dry_run"], a["confirm"] = true, false, "x"
		return args{"args": a}
	})})
	w.call(w.admin(), "engram_forget", args{"ids": id, "dry_run": true})
	w.call(w.admin(), "engram_forget", args{"ids": id})
	w.call(w.admin(), "engram_restore", args{"id": id}) // not purged
}

// A request that is repeated is answered with its first result, and no hook
// runs again.
func TestHooks_ARepeatedRequestRunsNone(t *testing.T) {
	w := newWorld(t)
	runs := 0
	w.wired("stamp", nil, map[string]act{
		"before:engram_create": quick(func(in args) any {
			runs++
			at(t, in, "args", "engrams", 0).(args)["metadata"] = args{"n": runs} // another one each time
			return args{"args": in["args"]}
		}),
		"after:engram_create": func(_ args, call func(string, any) (args, error)) (any, error) {
			_, err := call("engram_create", args{"content": fmt.Sprint("note ", runs)})
			return nil, err
		},
	})
	bob := w.as("bob", memory.Read|memory.Write)
	in := args{"content": "once", "request_id": "0197a3c0-5b1e-7c3a-9d2f-1a2b3c4d5e6f"}
	first := w.call(bob, "engram_create", in)
	before := w.digest()
	second := w.call(bob, "engram_create", in)
	if at(t, first, "engrams", 0, "id") != at(t, second, "engrams", 0, "id") || runs != 1 || w.digest() != before {
		t.Errorf("it ran %d times: %v, %v", runs, first, second)
	}
	in["content"] = "something else"
	if text, kind := w.refused(bob, "engram_create", in); kind != "conflict" || runs != 1 {
		t.Errorf("%s: it ran %d times", text, runs)
	}
	// Made before there were hooks, it stays what it was.
	w.approve("stamp", false)
	in = args{"content": "early", "request_id": "0197a3c0-5b1e-7c3a-9d2f-1a2b3c4d5e70"}
	first = w.call(bob, "engram_create", in)
	w.approve("stamp", true)
	if second = w.call(bob, "engram_create", in); at(t, first, "engrams", 0, "id") != at(t, second, "engrams", 0, "id") || runs != 1 {
		t.Errorf("%v, %v", first, second)
	}
	if _, kind := w.refused(bob, "engram_create", args{"content": "x", "request_id": "soon"}); kind != "invalid" || runs != 1 {
		t.Error(kind, runs)
	}
}

// Calls at once, each with hooks that count in the globals of their agent:
// nothing is lost, nothing is counted twice.
func TestHooks_LoseNothing(t *testing.T) {
	w := newWorld(t)
	count := map[string]act{}
	for _, on := range []string{"before:engram_create", "after:engram_create"} {
		count[on] = func(_ args, call func(string, any) (args, error)) (any, error) {
			g, err := call("globals_get", args{})
			if err != nil {
				return nil, err
			}
			n, _ := g["n"].(float64)
			_, err = call("globals_set", args{"n": n + 1})
			return nil, err
		}
	}
	w.wired("count", nil, count)
	const clients, each = 16, 4
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			for i := range each {
				if _, err := w.set.Call(w.as(fmt.Sprint("client-", c), memory.Read|memory.Write), "engram_create", encoded(t, args{"content": fmt.Sprintf("%d of %d", i, c)})); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := w.call(w.admin(), "memory_stats", args{})["engrams"]; n != float64(clients*each) {
		t.Errorf("%v engrams", n)
	}
	store, release, err := w.open(w.owner())
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	if g, _, err := store.Globals(w.owner(), "count"); err != nil || string(g) != fmt.Sprintf(`{"n":%d}`, 2*clients*each) {
		t.Errorf("the hooks have counted %s, %v", g, err)
	}
}

// What came from another node was looked at there.
func TestHooks_DoNotRunForOpsOfOthers(t *testing.T) {
	there, here := newWorld(t), newWorld(t)
	ran := 0
	here.wired("watch", nil, map[string]act{"before:engram_create": quick(func(args) any { ran++; return nil }), "after:engram_create": quick(func(args) any { ran++; return nil })})
	here.call(here.admin(), "memory_stats", args{})
	id := there.create(there.admin(), args{"content": "from elsewhere"})
	from, release, err := there.open(there.owner())
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	entries, err := from.Ops(there.owner(), 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	to, release, err := here.open(here.owner())
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	var ops []memory.Op
	for _, e := range entries {
		ops = append(ops, e.Op)
	}
	if _, err := to.Apply(here.owner(), ops); err != nil {
		t.Fatal(err)
	}
	if got := here.call(here.admin(), "engram_get", args{"ids": id}); len(got["engrams"].([]any)) != 1 || ran != 0 {
		t.Errorf("%v; hooks ran %d times", got, ran)
	}
}

// Every process on the space has the hooks as soon as they are approved, at
// the latest with its next look at the list of tools.
func TestHooks_AreKnownToOtherProcesses(t *testing.T) {
	w := newWorld(t)
	other := newProcess(t, w.dir)
	other.rt.acts = w.rt.acts
	other.create(other.admin(), args{"content": "before"})
	w.wired("guard", nil, map[string]act{"before:engram_create": quick(func(args) any { return args{"refuse": "no"} })})
	other.set.Tools(other.admin()) // as MCP does at each call
	if _, kind := other.refused(other.admin(), "engram_create", args{"content": "after"}); kind != "denied" {
		t.Error(kind)
	}
}

// A try shows what would change, and changes nothing.
func TestHooks_Try(t *testing.T) {
	w := newWorld(t)
	ctx := w.owner()
	w.create(ctx, args{"content": "tea"})
	w.wired("both", nil, map[string]act{
		"before:engram_create": func(in args, call func(string, any) (args, error)) (any, error) {
			if _, err := call("engram_create", args{"content": "aside"}); err != nil {
				return nil, err
			}
			at(t, in, "args", "engrams", 0).(args)["kind"] = "note"
			return args{"args": in["args"]}, nil
		},
		"after:engram_search":  quick(func(args) any { return args{"result": args{"hits": []any{}}} }),
		"before:engram_update": quick(func(args) any { return args{"refuse": "never"} }),
		"before:engram_forget": quick(func(args) any { return 7 }),
	})
	w.approve("both", false)
	before := w.digest()
	for on, tt := range map[string]struct{ in, want args }{
		"before:engram_create": {args{"text": "x"}, args{"change": args{"engrams": []any{args{"content": "x", "kind": "note"}}}, "writes": 1.0}},
		"after:engram_search":  {args{"fields": "content", "query": ""}, args{"change": args{"hits": []any{}}, "writes": 0.0}},
		"before:engram_update": {args{"id": "x"}, args{"refused": "never", "writes": 0.0}},
		"before:engram_forget": {args{"ids": "x"}, args{"problem": "what it answered cannot be used: it has other members than args, refuse and result", "writes": 0.0}},
	} {
		trial, err := w.agents.Try(ctx, "both", on, encoded(t, tt.in))
		if err != nil {
			t.Fatal(on, err)
		}
		got := decoded(t, encoded(t, trial))
		for k := range got {
			if !slices.Contains([]string{"change", "writes", "refused", "problem"}, k) {
				delete(got, k)
			}
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s\n%s", on, diff)
		}
	}
	if w.digest() != before {
		t.Error("something was written")
	}
	if _, err := w.agents.Try(ctx, "both", "before:engram_create", json.RawMessage(`{"colour": 1}`)); !errors.Is(err, memory.ErrInvalid) {
		t.Error(err)
	}
}

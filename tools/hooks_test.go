package tools

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
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

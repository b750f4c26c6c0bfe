package js

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"engram-mcp/sandbox"
)

func manager(t *testing.T) *sandbox.Manager {
	t.Helper()
	rt := open(t)
	m := sandbox.NewManager(sandbox.Options{}, rt)
	t.Cleanup(func() {
		if err := errors.Join(m.Close(context.Background()), rt.Close(context.Background())); err != nil {
			t.Error(err)
		}
	})
	return m
}

// everything grants all tools that engram has functions for.
var everything = []string{"engram_create", "engram_get", "engram_search", "engram_update", "engram_forget", "engram_link", "engram_unlink", "engram_graph", "engram_history"}

func manifest(edit ...func(*sandbox.Manifest)) sandbox.Manifest {
	m := sandbox.Manifest{Name: "test", Runtime: "js", Entry: "test.js", Grants: everything}
	for _, e := range edit {
		e(&m)
	}
	return m
}

// Each function of engram calls one tool.
func TestEngram(t *testing.T) {
	m := manager(t)
	asked := ""
	answers := map[string]string{
		"engram_create":  `{"engrams":[{"id":"e1"},{"id":"e2"}]}`,
		"engram_get":     `{"engrams":[{"id":"e1","content":"tea"}],"missing":[]}`,
		"engram_search":  `{"hits":[{"id":"e1","score":1}],"cursor":"more"}`,
		"engram_update":  `{"engram":{"id":"e1","version":2}}`,
		"engram_link":    `{"links":[{"from":"a","to":"b"}]}`,
		"engram_unlink":  `{"links":[]}`,
		"engram_forget":  `{"forgotten":["e1"]}`,
		"engram_graph":   `{"engrams":[],"links":[]}`,
		"engram_history": `{"versions":[]}`,
	}
	host := func(_ context.Context, op string, in []byte) ([]byte, error) {
		asked = op + " " + string(in)
		return []byte(answers[op]), nil
	}
	for _, tc := range []struct{ call, asked, gives string }{
		{`create("tea")`, `engram_create {"content":"tea"}`, `"e1"`},
		{`create("tea", "ben", 0.5)`, `engram_create {"content":"tea","source":"ben","confidence":0.5}`, `"e1"`},
		{`create({content: "tea", tags: ["a"]})`, `engram_create {"content":"tea","tags":["a"]}`, `{"id":"e1"}`},
		{`create([{content: "tea"}, {content: "milk"}])`, `engram_create {"engrams":[{"content":"tea"},{"content":"milk"}]}`, `[{"id":"e1"},{"id":"e2"}]`},
		{`get("e1")`, `engram_get {"ids":["e1"]}`, `{"id":"e1","content":"tea"}`},
		{`get(["e1"], {include_links: true})`, `engram_get {"include_links":true,"ids":["e1"]}`, `[{"id":"e1","content":"tea"}]`},
		{`search("tea")`, `engram_search {"query":"tea"}`, `[{"id":"e1","score":1}]`},
		{`search("tea", {limit: 5})`, `engram_search {"limit":5,"query":"tea"}`, `[{"id":"e1","score":1}]`},
		{`search({tags: ["a"]}).cursor`, `engram_search {"tags":["a"]}`, `"more"`},
		{`update("e1", {kind: "fact"})`, `engram_update {"kind":"fact","id":"e1"}`, `{"id":"e1","version":2}`},
		{`link("a", "b", "is")`, `engram_link {"links":[{"from":"a","to":"b","relation":"is"}]}`, `{"from":"a","to":"b"}`},
		{`link("a", "b", "is", 0.5)`, `engram_link {"links":[{"from":"a","to":"b","relation":"is","weight":0.5}]}`, `{"from":"a","to":"b"}`},
		{`link([{from: "a", to: "b", relation: "is"}])`, `engram_link {"links":[{"from":"a","to":"b","relation":"is"}]}`, `[{"from":"a","to":"b"}]`},
		{`unlink("a", "b", "is")`, `engram_unlink {"links":[{"from":"a","to":"b","relation":"is"}]}`, `{"links":[]}`},
		{`forget("e1")`, `engram_forget {"ids":["e1"]}`, `{"forgotten":["e1"]}`},
		{`forget(["e1", "e2"])`, `engram_forget {"ids":["e1","e2"]}`, `{"forgotten":["e1"]}`},
		{`forget({filter: {tags: ["a"]}})`, `engram_forget {"filter":{"tags":["a"]}}`, `{"forgotten":["e1"]}`},
		{`graph("e1", {depth: 2})`, `engram_graph {"depth":2,"start":["e1"]}`, `{"engrams":[],"links":[]}`},
		{`history("e1")`, `engram_history {"id":"e1"}`, `{"versions":[]}`},
		{`call("engram_get", {ids: []}).missing`, `engram_get {"ids":[]}`, `[]`},
		{`call("engram_history")`, `engram_history {}`, `{"versions":[]}`},
	} {
		if _, err := m.Load(t.Context(), manifest(), []byte(`export const run = () => engram.`+tc.call)); err != nil {
			t.Fatal(err)
		}
		res, err := m.Run(t.Context(), "test", sandbox.Call{Action: "run", Host: host})
		if err != nil || string(res.Output) != tc.gives || asked != tc.asked {
			t.Errorf("%s asked %s and gave %s, %v; want %s and %s", tc.call, asked, res.Output, err, tc.asked, tc.gives)
		}
	}
}

// What an action gives or how it fails. The body is that of an async function.
func TestActions(t *testing.T) {
	m := manager(t)
	for _, tc := range []struct{ body, output, fails string }{
		{`return params.a + 1`, `42`, ``},
		{``, `null`, ``},
		{`return undefined`, `null`, ``},
		{`return () => 1`, `null`, ``},
		{`return [undefined, NaN, -0, 1e21, new Date(0)]`, `[null,null,0,1e+21,"1970-01-01T00:00:00.000Z"]`, ``},
		{`return "zażółć \u{1F469} \ud800"`, `"zażółć 👩 \ud800"`, ``},
		{`return await Promise.all([1, Promise.resolve(2), (async () => 3)()])`, `[1,2,3]`, ``},
		{`const l = []; queueMicrotask(() => l.push(1)); await null; return l`, `[1]`, ``},
		{`return (await Promise.allSettled([Promise.reject(1)]))[0].status`, `"rejected"`, ``},
		{`const p = Promise.reject(1); await null; await p.catch(() => {}); return "handled late"`, `"handled late"`, ``},
		{`const f = (n) => n ? 1 + f(n - 1) : 0; return f(600)`, `600`, ``},
		{`return Object.keys(config).concat(config.list)`, `["list",1,2]`, ``},
		{`globals = { a: 1 }; return globals`, `{"a":1}`, ``},
		{`return [typeof nowMs(), deadlineMs() > nowMs(), fuelLeft() > 1000]`, `["number",true,true]`, ``},
		{`return Math.abs(Date.now() - nowMs()) < 60000`, `true`, ``},
		{`return [typeof std, typeof os, typeof setTimeout, typeof require, typeof process, typeof WebAssembly]`, `["undefined","undefined","undefined","undefined","undefined","undefined"]`, ``},
		{`try { engram.call("agent_list", {}) } catch (e) { return [e instanceof EngramError, e instanceof Error, e.name, e.code, e.hint] }`,
			`[true,true,"EngramError","denied","add it to grants in the manifest and install the agent again"]`, ``},
		{`return /(\p{Lu}+)(?<n>\d+)/u.exec("ABC12").groups.n + 2n ** 70n`, `"121180591620717411303424"`, ``},
		{`return new Intl.DateTimeFormat()`, ``, `test.js:2:12: ReferenceError: Intl is not defined`},
		{`return 1n`, ``, `TypeError: BigInt`},
		{"\n\nthrow new RangeError('too far')", ``, `test.js:4:11: RangeError: too far`},
		{`[1].map(function f() { null.x })`, ``, `test.js:2:24: TypeError: `},
		{`JSON.parse("{")`, ``, `test.js:2:6: SyntaxError: `},
		{`throw "plain"`, ``, `it threw plain`},
		{`throw { reason: 1 }`, ``, `it threw {"reason":1}`},
		{`throw { message: "told" }`, ``, `told`},
		{`throw Symbol("x")`, ``, `something without a text`},
		{`throw new (class Odd extends Error { name = "Odd" })("one")`, ``, `Odd: one`},
		{`await new Promise(() => {})`, ``, `never be settled`},
		{`(async () => { throw new Error("floating") })()`, ``, `floating`},
		{`engram.call("agent_list", {})`, ``, `test.js:2:8: call agent_list`},
		{`engram.call(1)`, ``, `needs the name of a tool`},
		{`return eval("import('x')")`, ``, `single file`},
	} {
		source := "export async function run(params) {\n" + tc.body + "\n}"
		if _, err := m.Load(t.Context(), manifest(func(m *sandbox.Manifest) { m.Config = json.RawMessage(`{"list":[1,2]}`) }), []byte(source)); err != nil {
			t.Fatalf("%s: %v", tc.body, err)
		}
		res, err := m.Run(t.Context(), "test", sandbox.Call{Action: "run", Params: []byte(`{"a":41}`)})
		if tc.fails == "" && (err != nil || string(res.Output) != tc.output) {
			t.Errorf("%s: %s, %v; want %s", tc.body, res.Output, err, tc.output)
		}
		if tc.fails != "" && (err == nil || !strings.Contains(err.Error(), tc.fails) || sandbox.HintOf(err) == "") {
			t.Errorf("%s: %s, %v; want %q", tc.body, res.Output, err, tc.fails)
		}
	}
}

// A program that does not start is refused with its place.
func TestPrograms(t *testing.T) {
	m := manager(t)
	for _, tc := range []struct{ source, fails string }{
		{`export function run() {`, `test.js:1:24: SyntaxError: `},
		{"export const run = 1;\nnothing()", `test.js:2:1: ReferenceError: nothing`},
		{`import fs from "fs"; export const run = 1`, `an agent is a single file`},
		{`engram.search("x")`, `test.js:1:7: call engram_search: the agent may not do this`},
		{`await new Promise(() => {})`, `never be settled`},
		{`export const run = await Promise.reject(new Error("early"))`, `early`},
		{`Promise.reject(new Error("unseen")); export const run = () => 1`, `unseen`},
		{`const run = () => 1`, `neither the manifest nor the code offers any`},
		{`for (;;);`, `the agent `}, // its fuel, or on a slow machine its time,
		{"\x00asm\x01\x00\x00\x00", `SyntaxError`},
		{"", `neither the manifest nor the code offers any`},
	} {
		_, err := m.Load(t.Context(), manifest(), []byte(tc.source))
		if !errors.Is(err, sandbox.ErrBadAgent) || !strings.Contains(err.Error(), tc.fails) && !strings.Contains(sandbox.HintOf(err), tc.fails) || sandbox.HintOf(err) == "" {
			t.Errorf("%q: %v (%s), want %q", tc.source, err, sandbox.HintOf(err), tc.fails)
		}
	}
}

func TestExportsAreActions(t *testing.T) {
	m := manager(t)
	source := `export const ready = await Promise.resolve(1);
		export function plain() {}  export const arrow = () => "arrow", with_dash = async () => "dash";
		const hidden = () => {}; export { hidden as "odd-name" };
		export const number = 1, Upper = () => {}, $x = () => {}; export class Thing {}; export default () => {}`
	l, err := m.Load(t.Context(), manifest(), []byte(source))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, a := range l.Manifest.Actions {
		names = append(names, a.Name)
	}
	if want := []string{"arrow", "odd-name", "plain", "with-dash"}; !slices.Equal(names, want) {
		t.Errorf("actions %v, want %v", names, want)
	}
	for action, want := range map[string]string{"arrow": `"arrow"`, "with-dash": `"dash"`, "odd-name": `null`} {
		if res, err := m.Run(t.Context(), "test", sandbox.Call{Action: action}); err != nil || string(res.Output) != want {
			t.Errorf("%s: %s, %v", action, res.Output, err)
		}
	}
}

func TestLogsAndProgress(t *testing.T) {
	m := manager(t)
	source := `export function run() {
		log("a", 1, { b: [2] }, new Error("e"), undefined, null); log.debug("d"); log.warn("w"); console.log("c"); console.error("x"); log.info();
		emit({ done: 0.5 }); emit();
	}
	export function fail() { inner() }
	const inner = () => null.x`
	if _, err := m.Load(t.Context(), manifest(), []byte(source)); err != nil {
		t.Fatal(err)
	}
	var emitted []string
	res, err := m.Run(t.Context(), "test", sandbox.Call{Action: "run", Emit: func(b []byte) { emitted = append(emitted, string(b)) }})
	var logs []string
	for _, l := range res.Logs {
		logs = append(logs, fmt.Sprint(l.Level, " ", l.Text))
	}
	want := []string{`INFO a 1 {"b":[2]} Error: e undefined null`, "DEBUG d", "WARN w", "INFO c", "ERROR x", "INFO "}
	if err != nil || !slices.Equal(logs, want) || !slices.Equal(emitted, []string{`{"done":0.5}`, "null"}) {
		t.Errorf("logs %q, emitted %q, %v", logs, emitted, err)
	}
	res, err = m.Run(t.Context(), "test", sandbox.Call{Action: "fail"})
	if last := len(res.Logs) - 1; err == nil || last < 0 || !strings.Contains(res.Logs[last].Text, "at fail (test.js:") {
		t.Errorf("%v, logs %v: want the stack in them", err, res.Logs)
	}
}

// Calls of a pooled agent all begin in the same state, but not with the same
// random numbers.
func TestRandomNumbersDiffer(t *testing.T) {
	m := manager(t)
	source := `const first = Math.random(); export const run = () => [first, Math.random(), Math.random()]`
	if _, err := m.Load(t.Context(), manifest(), []byte(source)); err != nil {
		t.Fatal(err)
	}
	seen := map[float64]bool{}
	for range 20 {
		res, err := m.Run(t.Context(), "test", sandbox.Call{Action: "run"})
		var n []float64
		if err = errors.Join(err, json.Unmarshal(res.Output, &n)); err != nil {
			t.Fatal(err)
		}
		for _, x := range n[1:] {
			if seen[x] || x < 0 || x >= 1 {
				t.Errorf("%v came again, or is none", x)
			}
			seen[x] = true
		}
	}
}

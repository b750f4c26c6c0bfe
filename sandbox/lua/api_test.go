package lua

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"engram-mcp/sandbox"
)

// script is a Manager with one agent, whose one action has the given body, and
// with a host that answers from a table and notes what it was asked.
type script struct {
	manager *sandbox.Manager
	answers map[string]string
	asked   []string
	emitted []string
}

func newScript(t *testing.T, text string, edit ...func(*sandbox.Manifest)) *script {
	t.Helper()
	s := &script{manager: newManager(t, sandbox.Options{})}
	install(t, s.manager, "probe", text, append([]func(*sandbox.Manifest){func(m *sandbox.Manifest) {
		m.Grants = []string{"engram_create", "engram_get", "engram_search", "engram_update", "engram_link", "engram_unlink", "engram_forget", "engram_graph", "engram_history", "memory_stats"}
	}}, edit...)...)
	return s
}

func (s *script) run(t *testing.T, params string) (sandbox.Result, error) {
	t.Helper()
	s.asked, s.emitted = nil, nil
	return s.manager.Run(t.Context(), "probe", sandbox.Call{
		Action: "run", Params: json.RawMessage(params),
		Host: func(_ context.Context, op string, in []byte) ([]byte, error) {
			s.asked = append(s.asked, op+" "+sorted(string(in)))
			if a, ok := s.answers[op]; ok {
				return []byte(a), nil
			}
			return nil, &sandbox.Error{Op: op, Kind: sandbox.ErrNotFound, Err: errors.New("nothing of that id"), Hint: "search for it"}
		},
		Emit: func(m []byte) { s.emitted = append(s.emitted, string(m)) },
	})
}

// sorted returns JSON with its keys in order.
func sorted(text string) string {
	var v any
	if json.Unmarshal([]byte(text), &v) != nil {
		return text
	}
	out, err := json.Marshal(v)
	if err != nil {
		return text
	}
	return string(out)
}

// What the functions of engram ask of the tools, and what they return.
func TestTheMemoryInLua(t *testing.T) {
	s := newScript(t, `function tool_run(p) local f = assert(load("return " .. p.code, "=code")) return f() end`)
	s.answers = map[string]string{
		"engram_create":  `{"engrams":[{"id":"e1","content":"x"},{"id":"e2","content":"y"}]}`,
		"engram_get":     `{"engrams":[{"id":"e1"},{"id":"e2"}],"missing":[]}`,
		"engram_search":  `{"hits":[{"id":"e1","score":0.5}],"cursor":"next"}`,
		"engram_update":  `{"engram":{"id":"e1","version":2}}`,
		"engram_link":    `{"links":[{"from":"a","to":"b"},{"from":"b","to":"c"}]}`,
		"engram_unlink":  `{"links":[{"from":"a","to":"b"}]}`,
		"engram_forget":  `{"forgotten":["e1"]}`,
		"engram_graph":   `{"engrams":[],"links":[]}`,
		"engram_history": `{"ops":[1]}`,
		"memory_stats":   `{"engrams":7}`,
	}
	for _, tc := range []struct{ code, asked, output string }{
		{`engram.create("x", "me", 0.5)`, `engram_create {"confidence":0.5,"content":"x","source":"me"}`, `"e1"`},
		{`engram.create("x")`, `engram_create {"content":"x"}`, `"e1"`},
		{`engram.create { content = "x", tags = { "a" } }`, `engram_create {"content":"x","tags":["a"]}`, `{"content":"x","id":"e1"}`},
		{`#engram.create { engrams = { { content = "x" }, { content = "y" } } }`, `engram_create {"engrams":[{"content":"x"},{"content":"y"}]}`, `2`},
		{`engram.get("e1").id`, `engram_get {"ids":["e1"]}`, `"e1"`},
		{`engram.get({ "e1", "e2" }, { include_links = true })`, `engram_get {"ids":["e1","e2"],"include_links":true}`, `[{"id":"e1"},{"id":"e2"}]`},
		{`engram.get({})`, `engram_get {"ids":[]}`, `[{"id":"e1"},{"id":"e2"}]`},
		{`{ engram.search("tea", { limit = 3 }) }`, `engram_search {"limit":3,"query":"tea"}`, `[[{"id":"e1","score":0.5}],"next"]`},
		{`#engram.search { tags = { "a" } }`, `engram_search {"tags":["a"]}`, `1`},
		{`engram.update("e1", { confidence = 1 }).version`, `engram_update {"confidence":1,"id":"e1"}`, `2`},
		{`engram.link("a", "b", "about", 0.5).to`, `engram_link {"links":[{"from":"a","relation":"about","to":"b","weight":0.5}]}`, `"b"`},
		{`engram.link({ from = "a", to = "b", relation = "about" }).to`, `engram_link {"links":[{"from":"a","relation":"about","to":"b"}]}`, `"b"`},
		{`#engram.link { { from = "a", to = "b", relation = "r" }, { from = "b", to = "c", relation = "r" } }`,
			`engram_link {"links":[{"from":"a","relation":"r","to":"b"},{"from":"b","relation":"r","to":"c"}]}`, `2`},
		{`engram.unlink("a", "b", "about")`, `engram_unlink {"links":[{"from":"a","relation":"about","to":"b"}]}`, `[{"from":"a","to":"b"}]`},
		{`engram.forget("e1")`, `engram_forget {"ids":["e1"]}`, `["e1"]`},
		{`engram.forget { "e1", "e2" }`, `engram_forget {"ids":["e1","e2"]}`, `["e1"]`},
		{`engram.forget { filter = { kind = "note" }, dry_run = true }`, `engram_forget {"dry_run":true,"filter":{"kind":"note"}}`, `["e1"]`},
		{`engram.graph("e1", { mode = "neighbors", depth = 2 })`, `engram_graph {"depth":2,"mode":"neighbors","start":"e1"}`, `{"engrams":[],"links":[]}`},
		{`engram.history("e1")`, `engram_history {"id":"e1"}`, `{"ops":[1]}`},
		{`engram.call("memory_stats").engrams`, `memory_stats {}`, `7`},
		{`engram.call("memory_stats", { deep = json.null })`, `memory_stats {"deep":null}`, `{"engrams":7}`},
	} {
		in, _ := json.Marshal(map[string]string{"code": tc.code})
		res, err := s.run(t, string(in))
		if err != nil || sorted(string(res.Output)) != tc.output {
			t.Errorf("%s: %s, %v; want %s", tc.code, res.Output, err, tc.output)
		}
		if diff := cmp.Diff([]string{tc.asked}, s.asked); diff != "" {
			t.Errorf("%s asked (-want +got):\n%s", tc.code, diff)
		}
	}
}

// JSON goes through a script as it is, as far as Lua can hold it.
func TestJSON(t *testing.T) {
	s := newScript(t, `
		local function check(f, ...)
			local ok, text = pcall(function(...) return json.encode(f(...)) end, ...)
			return ok and text or (text:gsub("^.-json: ", ""))
		end
		function tool_run(p)
			if p.code then return check(assert(load("return " .. p.code))) end
			return check(json.decode, p.text)
		end`)
	for _, tc := range []struct{ text, want string }{
		{`null`, `null`}, {` true `, `true`}, {`""`, `""`}, {`[]`, `[]`}, {`{}`, `{}`}, {`[[],{}]`, `[[],{}]`}, {`{"a":[null]}`, `{"a":[null]}`},
		{`0`, `0`}, {`-0`, `-0`}, {`-1`, `-1`}, {`9223372036854775807`, `9223372036854775807`}, {`-9223372036854775807`, `-9223372036854775807`},
		{`-9223372036854775808`, `-9223372036854775808`}, {`9223372036854775808`, `9.2233720368547758e+18`}, {`1.50`, `1.5`}, {`3.0`, `3`}, {`1e3`, `1000`}, {`1E-7`, `1e-07`}, {`0.1`, `0.1`}, {`1e308`, `1e+308`},
		{`"\u00e9\ud83d\ude00\\\"\/\b\f\n\r\t\u0000"`, "\"é😀\\\\\\\"/\\u0008\\u000c\\n\\u000d\\u0009\\u0000\""},
		{`"\ud800x"`, `"` + "\ufffd" + `x"`}, {`"\ud800\u0041"`, `"` + "\ufffd" + `A"`}, {`{"a":1,"a":2}`, `{"a":2}`},
		{``, "value expected at byte 1"}, {`[1,]`, "unexpected character at byte 4"}, {`{"a"}`, "':' expected at byte 5"}, {`{a:1}`, "key expected at byte 2"},
		{`[1 2]`, "',' or ']' expected at byte 4"}, {`{"a":1`, "',' or '}' expected at byte 7"}, {`01`, "nothing more expected at byte 2"}, {`1.`, "digit expected at byte 3"}, {`1e`, "digit expected at byte 3"},
		{`-`, "unexpected character at byte 2"}, {`+1`, "unexpected character at byte 1"}, {`.5`, "unexpected character at byte 1"}, {`0x10`, "nothing more expected at byte 2"}, {`nul`, "unexpected character at byte 1"}, {`NaN`, "unexpected character at byte 1"},
		{"\"a\nb\"", "control character in a string at byte 3"}, {`"a`, "string without end at byte 3"}, {`"\`, "string without end at byte 3"}, {`"\x"`, "unknown escape at byte 3"}, {`"\u12"`, "four hexadecimal digits expected at byte 6"},
		{`[] []`, "nothing more expected at byte 4"}, {strings.Repeat("[", 1001), "too many levels at byte 1001"},
	} {
		in, _ := json.Marshal(map[string]string{"text": tc.text})
		expect(t, s, string(in), tc.text, tc.want)
	}
	for _, tc := range []struct{ code, want string }{
		{`{}`, `{}`}, {`json.array()`, `[]`}, {`json.array {}`, `[]`}, {`json.array { 1, a = 2 }`, `[1]`}, {`{ 1, json.null, 3 }`, `[1,null,3]`},
		{`json.decode("[1]")[1]`, `1`}, {`1 / 2`, `0.5`}, {`2^53`, `9007199254740992`}, {`7 // 2`, `3`}, {`7.0`, `7`}, {`"\xff\xe9x"`, `"` + "\ufffd\ufffd" + `x"`}, {`"\127\n\1"`, `"` + "\u007f" + `\n\u0001"`},
		{`{ 1, nil, 3 }`, "a table has both items and named keys, or gaps; mark it with json.array to take its items only"},
		{`{ 1, a = 2 }`, "a table has both items and named keys, or gaps; mark it with json.array to take its items only"},
		{`{ [5] = 1 }`, "a table has a number as key; keys are strings, or 1 to n for an array"}, {`{ [true] = 1 }`, "a table has a boolean as key; keys are strings, or 1 to n for an array"},
		{`print`, "a function cannot be encoded"}, {`1 / 0`, "JSON has no infinity and no NaN"}, {`0 / 0`, "JSON has no infinity and no NaN"},
	} {
		in, _ := json.Marshal(map[string]string{"code": tc.code})
		expect(t, s, string(in), tc.code, tc.want)
	}
}

// expect runs the script, whose output is a string.
func expect(t *testing.T, s *script, params, what, want string) {
	t.Helper()
	res, err := s.run(t, params)
	var got string
	if err == nil {
		err = json.Unmarshal(res.Output, &got)
	}
	if err != nil || got != want {
		t.Errorf("%s: %s, %v; want %s", what, got, err, want)
	}
}

// An error says where it happened, in the script's own terms; when it is
// loaded, and when it runs.
func TestErrorsNameScriptAndLine(t *testing.T) {
	for _, tc := range []struct{ script, message string }{
		{"x = = 1", `main.lua:1: unexpected symbol near '='`},
		{"\n\nlocal x <const> = 1 x = 2", `main.lua:3: attempt to assign to const variable 'x'`},
		{"\nlocal x = nothing.at_all", `main.lua:2: attempt to index a nil value (global 'nothing')`},
		{"engram.get('e1')", `main.lua:1: call engram_get`},
		{"globals = {}", `main.lua: globals are set by actions`},
		{"function initialize(config)\n error('not ' .. config.mood)\nend", `main.lua:2: not well`},
		{"function tool_other() end", `no action "run"`},
	} {
		m := newManager(t, sandbox.Options{})
		man := manifest("run")
		man.Config = json.RawMessage(`{"mood":"well"}`)
		_, err := m.Load(t.Context(), man, []byte(tc.script))
		if !errors.Is(err, sandbox.ErrBadAgent) || !strings.Contains(err.Error(), tc.message) {
			t.Errorf("%s: %v, want %s", tc.script, err, tc.message)
		}
	}
	for _, tc := range []struct{ body, message, trace string }{
		{"local x\n return x.y", `main.lua:3: attempt to index a nil value (local 'x')`, "main.lua:3: in function"},
		{"error('too late')", `main.lua:2: too late`, "stack traceback"},
		{"error('no place', 0)", `: no place`, ""},
		{"error { message = 'on purpose' }", `: on purpose`, ""},
		{"error(setmetatable({}, { __tostring = function() return 'my own' end }))", `: my own`, ""},
		{"error()", `: nil`, ""},
		{"local got = engram.get('e1')\n return got", `main.lua:2: engram_get: no such agent: nothing of that id`, ""},
		{"local ok, e = pcall(engram.get, 'e1')\n return e.code .. ': ' .. e.hint", ``, ""},
		{"return print", `: json: a function cannot be encoded`, ""},
		{"globals = 1", `: globals must be a table, it is a number`, ""},
		{"engram.call()", `main.lua:2: bad argument #1 to 'call' (string expected, got no value)`, ""},
	} {
		s := newScript(t, "function tool_run()\n"+tc.body+"\nend")
		res, err := s.run(t, `{}`)
		if tc.message == "" {
			if err != nil || string(res.Output) != `"not_found: search for it"` {
				t.Errorf("%s: %s, %v", tc.body, res.Output, err)
			}
			continue
		}
		if !errors.Is(err, sandbox.ErrFailed) || !strings.Contains(err.Error(), tc.message) {
			t.Errorf("%s: %v, want %s", tc.body, err, tc.message)
		}
		traced := slices.ContainsFunc(res.Logs, func(l sandbox.LogLine) bool {
			return l.Level == slog.LevelError && strings.Contains(l.Text, tc.trace)
		})
		if tc.trace != "" && !traced {
			t.Errorf("%s: no %q in the logs %v", tc.body, tc.trace, res.Logs)
		}
	}
}

func TestGlobalsAreStoredWhenTheyChanged(t *testing.T) {
	m := newManager(t, sandbox.Options{})
	for _, tc := range []struct {
		body, stored, output string
		calls                int64
	}{
		{"return 1", `{}`, `1`, 0},
		{"return globals", `{}`, `{}`, 1},
		{"globals.a = { 1, 2 }", `{"a":[1,2]}`, `null`, 2},
		{"globals.a[3] = json.null globals.b = {}", `{"a":[1,2,null],"b":{}}`, `null`, 2},
		{"for k in pairs(globals) do globals[k] = nil end return #globals", `{}`, `0`, 2},
		{"globals = { fresh = true }", `{"fresh":true}`, `null`, 1},
		{"globals.fresh = false error('no')", `{"fresh":true}`, ``, 1},
		{"return globals.fresh and globals", `{"fresh":true}`, `{"fresh":true}`, 1},
		{"globals.big = ('x'):rep(70000)", `{"fresh":true}`, ``, 2},
		{"globals = nil", `{"fresh":true}`, `null`, 0},
	} {
		install(t, m, "probe", "function tool_run() "+tc.body+" end")
		res, err := m.Run(t.Context(), "probe", sandbox.Call{Action: "run"})
		if (tc.output == "") != (err != nil) || string(res.Output) != tc.output || res.Usage.HostCalls != tc.calls {
			t.Errorf("%s: %s after %d host calls, %v; want %s after %d", tc.body, res.Output, res.Usage.HostCalls, err, tc.output, tc.calls)
		}
		if c, err := m.Context(t.Context(), "probe"); err != nil || sorted(string(c.Globals)) != tc.stored {
			t.Errorf("%s: globals are %s, %v; want %s", tc.body, c.Globals, err, tc.stored)
		}
	}
}

func TestWhatElseScriptsFind(t *testing.T) {
	s := newScript(t, `
		local started = config.name
		function initialize(c) ready = c.name == config.name end
		function tool_run(p)
			log("plain", 1, nil, true)
			log.debug { a = 1 }
			log.warn("care")
			log.error(setmetatable({}, { __tostring = function() return "dear me" end }))
			print("printed", { 1 })
			emit { step = 1 }
			emit "half"
			return { started, ready, now_ms() > 1.7e12, math.type(now_ms()), _VERSION }
		end`, func(m *sandbox.Manifest) { m.Config = json.RawMessage(`{"name":"ann"}`) })
	res, err := s.run(t, `{}`)
	if err != nil || string(res.Output) != `["ann",true,true,"integer","Lua 5.4"]` {
		t.Errorf("%s, %v", res.Output, err)
	}
	want := []sandbox.LogLine{{Level: slog.LevelInfo, Text: "plain 1 nil true"}, {Level: slog.LevelDebug, Text: `{"a":1}`}, {Level: slog.LevelWarn, Text: "care"},
		{Level: slog.LevelError, Text: "dear me"}, {Level: slog.LevelInfo, Text: "printed [1]"}}
	if diff := cmp.Diff(want, res.Logs); diff != "" {
		t.Errorf("logs (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{`{"step":1}`, `"half"`}, s.emitted); diff != "" {
		t.Errorf("emitted (-want +got):\n%s", diff)
	}
}

// execute performs what has no function of its own, and is offered whatever
// the manifest names.
func TestExecutePerformsTheRest(t *testing.T) {
	m := newManager(t, sandbox.Options{})
	text := `function tool_add_up(p) return "own" end function execute(action, p) return { action, p.x } end`
	install(t, m, "both", text, func(m *sandbox.Manifest) { m.Actions = manifest("add-up", "other").Actions })
	for action, want := range map[string]string{"add-up": `"own"`, "other": `["other",1]`} {
		if res, err := m.Run(t.Context(), "both", sandbox.Call{Action: action, Params: []byte(`{"x":1}`)}); err != nil || string(res.Output) != want {
			t.Errorf("%s: %s, %v", action, res.Output, err)
		}
	}
	install(t, m, "bare", `function tool_b_c() end function tool_a() end local function tool_c() end tool_d = 1`, func(m *sandbox.Manifest) { m.Actions = nil })
	l, err := m.Agent("bare")
	var names []string
	for _, a := range l.Manifest.Actions {
		names = append(names, a.Name)
	}
	if err != nil || !slices.Equal(names, []string{"a", "b-c"}) {
		t.Errorf("it offers %v, %v", names, err)
	}
}

// Random numbers differ from call to call, though every call begins in the
// same state.
func TestEveryCallDrawsOtherNumbers(t *testing.T) {
	s := newScript(t, `function tool_run(p)
		if p.seed then math.randomseed(p.seed) elseif p.again then math.randomseed() end
		return math.random(0) end`)
	seen := map[string]bool{}
	for _, params := range []string{`{}`, `{}`, `{"again":true}`, `{"again":true}`, `{"seed":7}`, `{"seed":7}`} {
		res, err := s.run(t, params)
		if err != nil {
			t.Fatal(err)
		}
		seen[string(res.Output)] = true
	}
	if len(seen) != 5 {
		t.Errorf("6 calls, 2 of them with the same seed, drew %d different numbers", len(seen))
	}
}

// The same call costs the same: on both engines, in new and in used instances,
// and after calls of other agents that took more memory.
func TestFuelIsDeterministic(t *testing.T) {
	m := newManager(t, sandbox.Options{})
	install(t, m, "greedy", `function tool_run() return #("x"):rep(3000000) end`)
	fuel := map[int64]bool{}
	for _, engine := range []string{"compiler", "interpreter"} {
		install(t, m, "dice", `function tool_run() local t = {} for i = 1, 200 do t["k" .. i] = { i, tostring(i / 3) } end
			local order = {} for k, v in pairs(t) do order[#order + 1] = k .. v[2] end pcall(error, {})
			local co = coroutine.wrap(function() coroutine.yield(1) end) co()
			return table.concat(order, " "):rep(50) end`, func(m *sandbox.Manifest) { m.Engine = engine })
		for _, before := range []string{"dice", "greedy", "dice"} {
			if _, err := m.Run(t.Context(), before, sandbox.Call{Action: "run"}); err != nil {
				t.Fatal(err)
			}
			res, err := m.Run(t.Context(), "dice", sandbox.Call{Action: "run"})
			if err != nil {
				t.Fatal(err)
			}
			fuel[res.Usage.Fuel] = true
		}
	}
	if len(fuel) != 1 {
		t.Errorf("the same call cost %v units", slices.Collect(maps.Keys(fuel)))
	}
}

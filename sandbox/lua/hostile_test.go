package lua

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"engram-mcp/sandbox"
)

// A hostileScript is the body of an action that tries not to end, or to take
// what it may not have.
type hostileScript struct {
	name, script string
	ends         []error // any of these; nil if it ends well, with the output "held"
	message      string  // of an error of its own
}

var hostileScripts = []hostileScript{
	// Time.
	{"endless loop", `while true do end`, endless, ""},
	{"goto", `::again:: goto again`, endless, ""},
	{"pcall loop", `while true do pcall(function() while true do end end) end`, endless, ""},
	{"error loop", `while true do pcall(error, "x") end`, endless, ""},
	{"deep error loop", `local function f(n) if n == 0 then while true do pcall(error, "x") end end pcall(f, n - 1) end f(60)`, endless, ""},
	{"pcall nest", `local function f() pcall(f) end while true do f() end`, endless, ""},
	{"xpcall handler that fails", `while true do xpcall(error, function(e) error(e) end, "x") end`, endless, ""},
	{"coroutine nest", `local function f() coroutine.wrap(f)() end while true do pcall(f) end`, endless, ""},
	{"coroutine create and drop", `while true do coroutine.resume(coroutine.create(function() coroutine.yield() end)) end`, endless, ""},
	{"coroutine that catches", `while true do coroutine.wrap(function() pcall(error) end)() end`, endless, ""},
	{"pattern blow-up", `string.find(string.rep("a", 100000), string.rep("a*", 50) .. "b")`, endless, ""},
	{"gmatch blow-up", `for _ in string.gmatch(string.rep("a", 100000), ".-.-.-.-b") do end`, endless, ""},
	{"gsub of nothing, for ever", `while true do string.gsub(string.rep("x", 10000), "", "") end`, endless, ""},
	{"plain find", `local s = string.rep("a", 4000000) string.find(s, string.rep("a", 2000000) .. "b", 1, true)`, endless, ""},
	{"table.move", `table.move({}, 1, 1e15, 2)`, endless, ""},
	{"string.rep of nothing", `string.rep("", 1e18)`, endless, ""},
	{"finalizers", `while true do setmetatable({}, { __gc = function() while true do end end }) end`, endless, ""},
	{"finalizers that revive", `local function gc(t) setmetatable(t, getmetatable(t)) end while true do setmetatable({}, { __gc = gc }) collectgarbage() end`, endless, ""},
	{"__close", `while true do local x <close> = setmetatable({}, { __close = function() while true do end end }) end`, endless, ""},
	{"__close that fails", `while true do pcall(function() local x <close> = setmetatable({}, { __close = error }) end) end`, endless, ""},
	{"__index chain", `local t = {} for i = 1, 1e9 do t = setmetatable({}, { __index = t }) local _ = t.x end`, failed, "chain too long"},
	{"concat", `local s = string.rep("x", 4000000) while true do local t = s .. "y" end`, endless, ""},
	{"compare", `local a, b = string.rep("x", 4000000), string.rep("x", 4000000) while true do local c = a .. "1" < b .. "2" end`, endless, ""},
	{"parse", `local s = "return " .. string.rep("1,", 200) .. "1" while true do load(s) end`, endless, ""},
	{"sort without order", `while true do pcall(table.sort, { 3, 1, 2, 5, 4, 9, 8 }, function() return true end) end`, endless, ""},
	{"tostring that loops", `tostring(setmetatable({}, { __tostring = function() while true do end end }))`, endless, ""},
	{"error whose text loops", `error(setmetatable({}, { __tostring = function() while true do end end }))`, endless, ""},
	{"utf8", `local s = string.rep("é", 1000000) while true do utf8.len(s) end`, endless, ""},
	{"json", `local t = {} for i = 1, 100000 do t[i] = i end while true do json.decode(json.encode(t)) end`, endless, ""},
	{"log flood", `while true do log(string.rep("x", 10000)) end`, endless, ""},
	{"emit flood", `while true do emit { "x" } end`, endless, ""},
	// Memory.
	{"table flood", `local t = {} while true do t[#t + 1] = {} end`, memory, ""},
	{"string flood", `local t = {} while true do t[#t + 1] = string.rep("x", 100000 + #t) end`, memory, ""},
	{"string that doubles", `local s = "x" while true do s = s .. s end`, memory, ""},
	{"memory that is caught", `local t = {} while true do pcall(function() while true do t[#t + 1] = string.rep("x", 1000) end end) end`, endless, ""},
	{"coroutine flood", `local t = {} while true do t[#t + 1] = coroutine.create(print) end`, memory, ""},
	{"gsub bomb", `local s = string.rep("x", 100000) while true do s = string.gsub(s, ".", "%0%0%0%0%0%0%0%0%0%0") end`, append(endless, memory...), ""},
	{"closures", `local f = function() end while true do local g = f f = function() return g end end`, memory, ""},
	{"deep recursion", `local function f() return 1 + f() end return f()`, anyMemory, "overflow"},
	{"string.rep", `string.rep("x", 1e10)`, failed, "resulting string too large"},
	{"string.rep with a separator", `string.rep("x", 1e9, string.rep("y", 1e6))`, failed, "resulting string too large"},
	{"unpack", `table.unpack({}, 1, 1e8)`, failed, "too many results"},
	{"table.concat", `table.concat({}, "x", 1, 1e15)`, failed, "invalid value"},
	{"format width", `string.format("%1000d", 1)`, failed, "invalid conversion"},
	{"a large pack", `while true do string.pack(string.rep("s", 1000), "x") end`, failed, "bad argument"},
	{"a table that contains itself", `local t = {} t.t = t return t`, failed, "nest too deeply"},
	{"json bomb", `json.decode(string.rep("[", 1000000))`, failed, "too many levels"},
	{"C levels", `local s = "x" local function f() return (string.gsub(s, ".", f)) end return f()`, failed, "C stack overflow"},
	{"metamethod levels", `local t = setmetatable({}, {}) getmetatable(t).__index = function(t, k) return t[k + 1] end return t[1]`, anyMemory, "overflow"},
	{"parser levels", `assert(load("return " .. string.rep("(", 100000) .. string.rep(")", 100000)))`, failed, "overflow"},
	{"pattern levels", `string.find(string.rep("a", 300000), string.rep("(a?)", 40) .. "$")`, failed, "too many captures"},
	{"pattern recursion", `string.find(string.rep("x", 300000), string.rep("x?", 300000))`, failed, "pattern too complex"},
	{"tostring levels", `local t = setmetatable({}, {}) getmetatable(t).__tostring = function(t) return tostring(t) end tostring(t)`, failed, "overflow"},
	// What is not there.
	{"bytecode", `local f, why = load("\27Lua\84\0\25\147\r\n\26\n\4\8\8") assert(f, why)`, failed, "bytecode"},
	{"bytecode, asked for", `local f, why = load("\27Lua\84", "x", "b") assert(f, why)`, failed, "bytecode"},
	{"string.dump", `assert(string.dump == nil and ("").dump == nil) return "held"`, nil, ""},
	{"libraries", `assert(not (io or os or debug or package or require or dofile or loadfile or collectgarbage("count") < 0)) return "held"`, nil, ""},
	{"registry", `for k, v in pairs(_G) do assert(v ~= nil and k ~= "debug" and k ~= "registry") end return "held"`, nil, ""},
	{"environment's metatable", `assert(getmetatable(_G) == false) setmetatable(_G, {})`, failed, "protected metatable"},
	{"poisoned libraries", `json.encode, tostring, pairs, error, select = nil getmetatable("").__index = nil globals = { a = 1 } return "held"`, nil, ""},
	{"ids of tables", `assert(not tostring(print):find("0x[^0]%x%x%x%x%x%x%x%x")) return "held"`, nil, ""},
}

var (
	endless   = []error{sandbox.ErrTimeout}
	memory    = []error{sandbox.ErrMemory}
	failed    = []error{sandbox.ErrFailed}
	anyMemory = []error{sandbox.ErrFailed, sandbox.ErrMemory} // whichever ends first
)

const (
	limitMiB = 24
	// late is when a call counts as stuck. How late calls are in fact is
	// logged; a busy machine alone may take a second.
	late = 10 * time.Second
)

// Every hostile script is stopped soon after its limit, stays within its
// memory, and leaves an interpreter that gives the next call, of another agent,
// the right answer.
func TestHostileScripts(t *testing.T) {
	const limit = 300 * time.Millisecond
	m := newManager(t, sandbox.Options{})
	install(t, m, "good", `function tool_run(p) counter = (counter or 0) + p.n return { counter, ("x"):rep(3), tostring(1.5) } end`)
	var latest time.Duration
	before := resident()
	for _, h := range hostileScripts {
		t.Run(h.name, func(t *testing.T) {
			install(t, m, "bad", "function tool_run()\n"+h.script+"\nend", func(m *sandbox.Manifest) {
				m.Limits = sandbox.Limits{TimeMS: limit.Milliseconds(), MemoryMiB: limitMiB, Fuel: sandbox.MaxLimits.Fuel}
				if !slices.Contains(h.ends, sandbox.ErrTimeout) {
					m.Limits.TimeMS = 60_000 // it ends by itself, on a busy machine too
				}
			})
			start := time.Now()
			res, err := m.Run(t.Context(), "bad", sandbox.Call{Action: "run"})
			if over := time.Since(start) - limit; errors.Is(err, sandbox.ErrTimeout) {
				if latest = max(latest, over); over > late {
					t.Errorf("it was stopped %v late", over)
				}
			}
			h.check(t, string(res.Output), err)
			if res.Usage.PeakMemory > limitMiB<<20 {
				t.Errorf("%d bytes of memory", res.Usage.PeakMemory)
			}
			res, err = m.Run(t.Context(), "good", sandbox.Call{Action: "run", Params: []byte(`{"n":2}`)})
			if err != nil || string(res.Output) != `[2,"xxx","1.5"]` {
				t.Errorf("the next call: %s, %v", res.Output, err)
			}
		})
	}
	debug.FreeOSMemory()
	t.Logf("the latest was stopped %v after its limit of %v; the process grew by %d MiB", latest.Round(time.Millisecond), limit, (resident()-before)>>20)
}

func (h *hostileScript) check(t *testing.T, output string, err error) {
	t.Helper()
	if h.ends == nil {
		if err != nil || output != `"held"` {
			t.Errorf("%s, %v", output, err)
		}
		return
	}
	for _, kind := range h.ends {
		if errors.Is(err, kind) {
			if errors.Is(err, sandbox.ErrFailed) && !(strings.Contains(err.Error(), h.message)) {
				t.Errorf("%v, want %q in it", err, h.message)
			}
			return
		}
	}
	t.Errorf("%s, %v; want %v", output, err, h.ends)
}

func install(t testing.TB, m *sandbox.Manager, name, script string, edit ...func(*sandbox.Manifest)) {
	t.Helper()
	man := manifest("run")
	man.Name = name
	for _, e := range edit {
		e(&man)
	}
	if _, err := m.Load(t.Context(), man, []byte(script)); err != nil {
		t.Fatal(err)
	}
}

// resident returns the resident memory of this process, or 0 where that
// cannot be told.
func resident() int64 {
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, pages int64
	if _, err := fmt.Sscan(string(data), &size, &pages); err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

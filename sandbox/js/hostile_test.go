package js

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"engram-mcp/sandbox"
)

// How a hostile program may end. Most are cut off by the clock; what takes
// memory may meet either bound first, depending on the machine's speed.
var (
	late    = []error{sandbox.ErrTimeout}
	either  = []error{sandbox.ErrTimeout, sandbox.ErrMemory}
	refused = []error{sandbox.ErrFailed}
	somehow = []error{sandbox.ErrTimeout, sandbox.ErrMemory, sandbox.ErrFailed}
)

// Each is the body of an async function.
var hostile = map[string]struct {
	body string
	ends []error
	says string // in the message, if it failed
}{
	"loop":                    {`for (;;);`, late, ""},
	"loop in try":             {`for (;;) try { for (;;); } catch {}`, late, ""},
	"loop in finally":         {`try { for (;;); } finally { for (;;); }`, late, ""},
	"throw loop":              {`for (;;) try { throw new Error("x") } catch {}`, late, ""},
	"null loop":               {`for (;;) try { null.x } catch {}`, late, ""},
	"labelled continue":       {`a: for (;;) { for (;;) continue a }`, late, ""},
	"regular expression":      {`/(a+)+b/.test("a".repeat(40))`, late, ""},
	"nested quantifiers":      {`/^(([a-z])+.)+[A-Z]([a-z])+$/.test("a".repeat(60))`, late, ""},
	"backreference":           {`/^(a*)*\1b$/.test("a".repeat(40))`, late, ""},
	"lookahead":               {`/(?=(a+)+b)c/.test("a".repeat(40))`, late, ""},
	"lookbehind":              {`/(?<=b(a+)+)c/.test("a".repeat(40) + "c")`, late, ""},
	"regular expression size": {`new RegExp("(?:" + "a".repeat(1000) + "){50000}").test("a".repeat(1e6))`, somehow, ""},
	"replace loop":            {`let s = "ab"; for (;;) s = s.replace(/b/g, "bb")`, somehow, ""},
	"match all":               {`for (;;) [..."a".repeat(1e5).matchAll(/a/g)]`, either, ""},
	"normalize":               {`const s = "\u1100\u1161".repeat(1e5); for (;;) s.normalize("NFC").normalize("NFD")`, either, ""},
	"promise flood":           {`for (;;) Promise.resolve().then(() => {})`, either, ""},
	"promise chain":           {`const f = () => Promise.resolve().then(f); await f()`, either, ""},
	"endless jobs":            {`const f = () => { queueMicrotask(f); queueMicrotask(f) }; f(); for (;;) await null`, somehow, ""},
	"rejection flood":         {`for (;;) Promise.reject(new Error("x"))`, either, ""},
	"thenable":                {`await { then(f) { for (;;); } }`, late, ""},
	"thenable chain":          {`const t = { then(f) { f(t) } }; await t`, either, ""},
	"never settled":           {`await new Promise(() => {})`, refused, "never be settled"},
	"rejected unseen":         {`Promise.reject(new Error("unseen"))`, refused, "unseen"},
	"async generator":         {`async function* g() { for (;;) yield 1 } for await (const x of g());`, late, ""},
	"generator":               {`function* g() { for (;;) yield* [1] } for (const x of g());`, late, ""},
	"generator flood":         {`function* g() { yield 1 } const l = []; for (;;) { const i = g(); i.next(); l.push(i) }`, either, ""},
	"generator recursion":     {`function* g() { yield* g() } for (const x of g());`, somehow, ""},
	"endless iterator":        {`[...{ [Symbol.iterator]: () => ({ next: () => ({ value: 1 }) }) }]`, either, ""},
	"iterator in finally":     {`for (const x of { [Symbol.iterator]: () => ({ next: () => ({ value: 1 }), return() { for (;;); } }) }) break`, late, ""},
	"array bomb":              {`const a = []; for (;;) a.push(a.length)`, either, ""},
	"array fill":              {`new Array(2 ** 31).fill(1)`, somehow, ""},
	"array length":            {`const a = []; a.length = 2 ** 32 - 1; for (;;) a.indexOf(1)`, late, ""},
	"array from length":       {`Array.from({ length: 2 ** 32 })`, somehow, ""},
	"array spread":            {`Math.max(...new Array(1e8))`, somehow, ""},
	"sparse sort":             {`const a = []; a[2 ** 32 - 2] = 1; a.sort(); for (;;) a.reverse()`, somehow, ""},
	"wrong order":             {`const a = Array.from({ length: 1e5 }, (_, i) => i); for (;;) a.sort(() => Math.random() - 0.5)`, late, ""},
	"flat":                    {`let a = [1]; for (let i = 0; i < 60; i++) a = [a, a]; a.flat(Infinity)`, somehow, ""},
	"array in itself":         {`const a = []; a.push(a, a); a.flat(Infinity)`, somehow, ""},
	"join":                    {`const a = new Array(2 ** 25).join("xxxxxxxx"); for (;;) a.length`, somehow, ""},
	"join in itself":          {`let a = ["x"]; for (;;) a = [a.join(a), a.join(a)]`, somehow, ""},
	"index of":                {`const s = "a".repeat(1e6); for (;;) s.indexOf("a".repeat(5e5) + "b")`, late, ""},
	"split":                   {`const s = "a".repeat(1e6); for (;;) s.split("")`, either, ""},
	"pad":                     {`"".padStart(2 ** 30, "ab")`, somehow, ""},
	"repeat":                  {`"x".repeat(2 ** 30)`, somehow, ""},
	"repeat of nothing":       {`for (;;) "".repeat(2 ** 31 - 1)`, somehow, ""},
	"repeat held":             {`const l = []; for (;;) l.push("x".repeat(2 ** 20) + l.length)`, either, ""},
	"doubling":                {`let s = "x"; for (;;) s += s`, somehow, ""},
	"doubling, flattened":     {`let s = "x"; for (;;) { s += s; s.charCodeAt(0) }`, somehow, ""},
	"rope":                    {`let s = ""; for (;;) s = s + "x" + s.length`, either, ""},
	"template":                {"let s = `x`; for (;;) s = `${s}${s}`", somehow, ""},
	"big integer power":       {`2n ** (2n ** 40n)`, somehow, ""},
	"big integer squares":     {`let n = 3n; for (;;) n *= n`, somehow, ""},
	"big integer shift":       {`1n << (1n << 40n)`, somehow, ""},
	"big integer text":        {`const n = 7n ** 100000n; for (;;) n.toString()`, late, ""},
	"big integer parse":       {`for (;;) BigInt("9".repeat(1e5))`, late, ""},
	"buffer":                  {`new ArrayBuffer(2 ** 31)`, somehow, ""},
	"buffers held":            {`const l = []; for (;;) l.push(new Uint8Array(2 ** 20).fill(l.length))`, either, ""},
	"buffer resized":          {`const b = new ArrayBuffer(1, { maxByteLength: 2 ** 30 }); b.resize(2 ** 30); new Uint8Array(b).fill(1)`, somehow, ""},
	"typed sort":              {`const a = new Float64Array(1e5); for (;;) a.sort(() => 1)`, late, ""},
	"typed copy":              {`const a = new Uint8Array(2 ** 22); for (;;) a.copyWithin(0, 1)`, late, ""},
	"typed set":               {`const a = new Uint8Array(2 ** 22); for (;;) a.set(a)`, late, ""},
	"atomics":                 {`Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)`, somehow, ""},
	"recursion":               {`const f = () => f() + 1; f()`, refused, "stack"},
	"recursion, caught":       {`const f = () => { try { f() } catch {} f() }; f()`, late, ""},
	"recursion in toString":   {`const o = { toString() { return "" + o } }; "" + o`, refused, "stack"},
	"recursion in getter":     {`const o = { get x() { return this.x } }; o.x`, refused, "stack"},
	"recursion in proxy":      {`const p = new Proxy({}, { get: (t, k, r) => r[k] }); p.x`, refused, "stack"},
	"recursion in sort":       {`const f = () => [2, 1].sort(f); f()`, refused, "stack"},
	"recursion in replace":    {`const f = () => "a".replace(/a/, f); f()`, refused, "stack"},
	"recursion in JSON":       {`const o = { toJSON() { return JSON.stringify(o) } }; JSON.stringify(o)`, refused, "stack"},
	"recursion in reviver":    {`const f = () => JSON.parse("[1]", f); f()`, refused, "stack"},
	"recursion in bind":       {`let f = () => 1; for (let i = 0; i < 1e5; i++) f = f.bind(null); f()`, somehow, ""},
	"proxy of proxy":          {`let p = {}; for (let i = 0; i < 1e5; i++) p = new Proxy(p, {}); p.x`, somehow, ""},
	"prototype chain":         {`let o = {}; for (let i = 0; i < 1e5; i++) o = Object.create(o); for (;;) o.x`, either, ""},
	"proxy traps":             {`const p = new Proxy({}, { has: () => true, get: () => 1, ownKeys() { for (;;); } }); Object.keys(p)`, late, ""},
	"proxy length":            {`[].concat(new Proxy([], { get: (t, k) => k === "length" ? 2 ** 53 - 1 : k === Symbol.isConcatSpreadable ? true : 1, has: () => true }))`, somehow, ""},
	"getter loop":             {`const o = { get x() { for (;;); } }; JSON.stringify(o)`, late, ""},
	"JSON nested":             {`JSON.parse("[".repeat(1e6))`, somehow, ""},
	"JSON nested, written":    {`let o = []; for (let i = 0; i < 1e5; i++) o = [o]; JSON.stringify(o)`, somehow, ""},
	"JSON in itself":          {`const o = {}; o.o = o; JSON.stringify(o)`, refused, "circular"},
	"JSON wide":               {`const a = new Array(1e6).fill("\u0001".repeat(100)); for (;;) JSON.stringify(a)`, somehow, ""},
	"output nested":           {`let o = []; for (let i = 0; i < 1e5; i++) o = [o]; return o`, somehow, ""},
	"parser nested":           {`eval("[".repeat(1e6))`, somehow, ""},
	"parser nested calls":     {`eval("(".repeat(1e5) + ")".repeat(1e5))`, somehow, ""},
	"parser long":             {`for (;;) eval("1;".repeat(1e5))`, somehow, ""},
	"parser of functions":     {`for (let i = 0; ; i++) new Function("return " + i)()`, somehow, ""},
	"regular expression deep": {`new RegExp("(".repeat(1e5) + ")".repeat(1e5))`, somehow, ""},
	"map":                     {`const m = new Map(); for (let i = 0; ; i++) m.set(i, i)`, either, ""},
	"map grown as it is read": {`const m = new Map([[0, 0]]); for (const [k] of m) m.set(k + 1, 0)`, either, ""},
	"symbols":                 {`for (let i = 0; ; i++) Symbol.for("s" + i)`, either, ""},
	"shapes":                  {`const l = []; for (let i = 0; ; i++) l.push({ ["k" + i]: 1 })`, either, ""},
	"closures":                {`let f = null; for (;;) { const g = f; f = () => g }`, either, ""},
	"cycles":                  {`for (;;) { const a = {}, b = { a }; a.b = b }`, late, ""},
	"weak references":         {`const r = new FinalizationRegistry(() => { for (;;); }); for (;;) r.register({}, 1)`, either, ""},
	"date":                    {`for (;;) new Date().toLocaleString()`, late, ""},
	"number text":             {`for (;;) (1.7976931348623157e308).toString(2)`, late, ""},
	"with":                    {`new Function("with (new Proxy({}, { has: () => true, get() { for (;;); } })) x")()`, late, ""},
	"log":                     {`for (;;) log("x".repeat(1e4))`, late, ""},
	"import":                  {`await import("fs")`, refused, "single file"},
	"import of data":          {`await import("data:text/javascript,export default 1")`, refused, "single file"},
	"calls":                   {`for (;;) try { engram.search("x") } catch {}`, []error{sandbox.ErrFuel, sandbox.ErrTimeout}, ""},
	"call with a bomb":        {`engram.call("engram_search", { query: "x".repeat(2 ** 24) })`, somehow, ""},
	"call with a getter":      {`engram.call("engram_search", { get query() { for (;;); } })`, late, ""},
	"globals bomb":            {`globals.x = "x".repeat(1e6)`, refused, "globals"},
	"globals of another kind": {`globals = [1]`, refused, "globals"},
	"globals of no kind":      {`globals = undefined`, refused, "globals"},
	"globals in itself":       {`globals.x = globals`, refused, "circular"},
	"thrown getter":           {`throw { get message() { for (;;); } }`, late, ""},
	"thrown proxy":            {`throw new Proxy(new Error("x"), { get() { throw 1 } })`, somehow, ""},
	"thrown nothing":          {`throw undefined`, refused, "threw undefined"},
	"thrown stack":            {`const e = new Error("x"); e.stack = "x".repeat(2 ** 24); throw e`, somehow, ""},
	"prepared stack":          {`Error.prepareStackTrace = () => { for (;;); }; null.x`, late, ""},
	"poisoned prototypes": {`
		for (const C of [Object, Array, String, Function, Promise, Map, RegExp])
			for (const k of Reflect.ownKeys(C.prototype)) try { C.prototype[k] = () => { throw "poison" } } catch {}
		Object.defineProperty(Object.prototype, "engrams", { get() { throw "poison" } });
		JSON.stringify = JSON.parse = () => "poison"; globalThis.good = () => "poison"; throw "poison"`, refused, "poison"},
}

// program has every attack as a function, and good, which is performed after
// each of them.
func program(attacks []string) string {
	var s strings.Builder
	s.WriteString(`const attacks = {};
		export const attack = ({ name }) => attacks[name]();
		export function good({ n }) {
			const found = engram.search("tea", { limit: n });
			const by = Object.groupBy(found.map((e) => e.content), (s) => s.replace(/\W+/g, "-"));
			return { by, n: [..."abc"].map((c) => c + n).join(), json: JSON.parse('{"a":[1,{"b":null}]}'), globals };
		}`)
	for _, name := range attacks {
		fmt.Fprintf(&s, "\nattacks[%q] = async () => { %s\n};", name, hostile[name].body)
	}
	return s.String()
}

const goodOutput = `{"by":{"earl-grey":["earl grey"],"green":["green"]},"n":"a2,b2,c2","json":{"a":[1,{"b":null}]},"globals":{}}`

// Every attack ends in time and within its memory, and the next call of the
// same program is right and costs what it always does. wazero's interpreter
// bears few frames, so that there recursion may end as a crash instead of a
// JavaScript error; it runs these only, being slow.
func TestHostileProgramsAreStopped(t *testing.T) {
	names := slices.Sorted(maps.Keys(hostile))
	nesting := slices.DeleteFunc(slices.Clone(names), func(n string) bool {
		return hostile[n].says != "stack" && !strings.Contains(n, "nested")
	})
	t.Run("compiler", func(t *testing.T) { attack(t, "compiler", names) })
	t.Run("interpreter", func(t *testing.T) { attack(t, "interpreter", nesting, sandbox.ErrCrashed) })
}

// attack runs the attacks of these names, one after the other; ends are ends
// that are right for all of them.
func attack(t *testing.T, engine string, names []string, ends ...error) {
	rt := open(t)
	m := sandbox.NewManager(sandbox.Options{}, rt)
	defer func() {
		if err := errors.Join(m.Close(context.Background()), rt.Close(context.Background())); err != nil {
			t.Error(err)
		}
	}()
	host := func(context.Context, string, []byte) ([]byte, error) {
		return []byte(`{"hits":[{"content":"earl grey"},{"content":"green"}]}`), nil
	}
	// Two agents of one program, which share its instances: one for what the
	// clock may end, and one that has all the time a slow machine needs.
	const limit = 200 * time.Millisecond
	limits := sandbox.Limits{MemoryMiB: 24, Fuel: sandbox.MaxLimits.Fuel, HostCalls: 50}
	for name, most := range map[string]time.Duration{"hasty": limit, "patient": time.Minute} {
		limits.TimeMS = most.Milliseconds()
		man := sandbox.Manifest{Name: name, Runtime: "js", Entry: "hostile.js", Engine: engine, Grants: []string{"engram_search"}, Limits: limits}
		if _, err := m.Load(t.Context(), man, []byte(program(names))); err != nil {
			t.Fatalf("%v (%s)", err, sandbox.HintOf(err))
		}
	}
	var fuel int64
	next := func(t *testing.T) {
		t.Helper()
		res, err := m.Run(t.Context(), "patient", sandbox.Call{Action: "good", Params: []byte(`{"n":2}`), Host: host})
		if err != nil || string(res.Output) != goodOutput {
			t.Fatalf("the next call: %s, %v", res.Output, err)
		}
		if fuel = cmp.Or(fuel, res.Usage.Fuel); fuel != res.Usage.Fuel {
			t.Errorf("the next call costs %d, before it was %d", res.Usage.Fuel, fuel)
		}
	}
	next(t)
	var worst time.Duration
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			h, agent := hostile[name], "patient"
			if slices.Contains(h.ends, sandbox.ErrTimeout) {
				agent = "hasty"
			}
			start := time.Now()
			res, err := m.Run(t.Context(), agent, sandbox.Call{Action: "attack", Params: fmt.Appendf(nil, `{"name":%q}`, name), Host: host})
			over := time.Since(start) - limit
			t.Logf("%v over its time, %d KiB: %v", over.Round(time.Millisecond), res.Usage.PeakMemory>>10, err)
			if is := func(k error) bool { return errors.Is(err, k) }; !slices.ContainsFunc(slices.Concat(ends, h.ends), is) || sandbox.HintOf(err) == "" {
				t.Errorf("it ended with %v, want one of %v, and a hint", err, h.ends)
			} else if errors.Is(err, sandbox.ErrFailed) && !strings.Contains(err.Error(), h.says) {
				t.Errorf("it says %v, want %q in it", err, h.says)
			}
			if agent == "hasty" && over > 3*time.Second {
				t.Errorf("it was stopped %v late", over)
			}
			if res.Usage.PeakMemory > limits.Memory() {
				t.Errorf("it took %d bytes", res.Usage.PeakMemory)
			}
			if agent == "hasty" {
				worst = max(worst, over)
			}
			next(t)
		})
	}
	t.Logf("%d attacks, the last was over %v after its limit", len(names), worst.Round(time.Millisecond))
}

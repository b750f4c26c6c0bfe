package js

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/dop251/goja"

	"engram-mcp/sandbox"
)

// The work that is measured beside goja, a JavaScript engine in Go that
// bounds neither memory nor time. Each is a function work(n).
var measured = []struct {
	name, source string
	n            int
}{
	{"fib", `function fib(n) { return n < 2 ? n : fib(n - 1) + fib(n - 2) } function work(n) { return fib(n) }`, 30},
	{"sort", `function work(n) { let x = 1; const a = []; for (let i = 0; i < n; i++) a.push(x = x * 16807 % 2147483647); a.sort((p, q) => p - q); return a[n >> 1] }`, 100_000},
	{"strings", `function work(n) { const m = new Map(); for (let i = 0; i < n; i++) { const k = "key " + i % 1000; m.set(k, (m.get(k) ?? 0) + i) } return [...m.values()].join().length }`, 200_000},
	{"json", `function work(n) { const a = []; for (let i = 0; i < n; i++) a.push({ id: "e" + i, tags: ["a", "b"], confidence: i / n }); return JSON.stringify(JSON.parse(JSON.stringify(a))).length }`, 20_000},
}

// BenchmarkBesideGoja runs the same work on both engines and prints the
// processor's milliseconds of each, the best of several rounds.
func BenchmarkBesideGoja(b *testing.B) {
	for _, w := range measured {
		b.Run(w.name, func(b *testing.B) {
			a := agent(b, engine(b), w.source+"\nexport const run = work", func(m *sandbox.Manifest) {
				m.Limits = sandbox.Limits{TimeMS: 60_000, Fuel: sandbox.MaxLimits.Fuel}
			})
			params, err := json.Marshal(w.n)
			if err != nil {
				b.Fatal(err)
			}
			vm := goja.New()
			if _, err = vm.RunString(w.source); err != nil {
				b.Fatal(err)
			}
			work, _ := goja.AssertFunction(vm.Get("work"))
			best := [2]time.Duration{time.Hour, time.Hour}
			for b.Loop() {
				for range 5 {
					best[0] = min(best[0], busy(func() {
						if _, err := a.Execute(b.Context(), sandbox.Call{Action: "run", Params: params}); err != nil {
							b.Fatal(err)
						}
					}))
					best[1] = min(best[1], busy(func() {
						if _, err := work(goja.Undefined(), vm.ToValue(w.n)); err != nil {
							b.Fatal(err)
						}
					}))
				}
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(best[0].Seconds()*1000, "ms-here")
			b.ReportMetric(best[1].Seconds()*1000, "ms-goja")
			b.ReportMetric(best[0].Seconds()/best[1].Seconds(), "here/goja")
		})
	}
}

// BenchmarkCall measures a call on a used instance, which is put back after
// it. The processor's time is what it would take on an idle machine.
func BenchmarkCall(b *testing.B) {
	rt := engine(b)
	a := agent(b, rt, `export const echo = (params) => params; export const ask = () => engram.get("e1").content`)
	host := func(context.Context, string, []byte) ([]byte, error) {
		return []byte(`{"engrams":[{"id":"e1","content":"tea"}],"missing":[]}`), nil
	}
	for _, action := range []string{"echo", "ask"} {
		b.Run(action, func(b *testing.B) {
			used := busy(func() {
				for b.Loop() {
					if _, err := a.Execute(b.Context(), sandbox.Call{Action: action, Params: []byte(`{"n":1}`), Host: host}); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.ReportMetric(float64(used.Nanoseconds())/1000/float64(b.N), "cpu-µs/call")
		})
	}
}

// BenchmarkNewAgent measures until a program that was not loaded before is
// ready to be called.
func BenchmarkNewAgent(b *testing.B) {
	rt := engine(b)
	agent(b, rt, `export const run = () => 0`)
	n := 0
	used := busy(func() {
		for b.Loop() {
			n++
			agent(b, rt, fmt.Sprintf(`export const run = (params) => ({ n: %d, params })`, n))
		}
	})
	b.ReportMetric(float64(used.Nanoseconds())/1000/float64(b.N), "cpu-µs/agent")
}

func engine(b *testing.B) sandbox.Runtime {
	rt := open(b)
	b.Cleanup(func() {
		if err := rt.Close(context.Background()); err != nil {
			b.Error(err)
		}
	})
	return rt
}

// agent returns a program that is ready to be called, without a manager.
func agent(t testing.TB, rt sandbox.Runtime, source string, edit ...func(*sandbox.Manifest)) sandbox.Agent {
	t.Helper()
	man := sandbox.Manifest{Name: "x", Runtime: "js", Entry: "x.js"}
	for _, e := range edit {
		e(&man)
	}
	man.Limits = sandbox.Policy{}.Resolve(man.Limits)
	a, err := rt.Load(t.Context(), man, []byte(source))
	if err == nil {
		err = a.Initialize(t.Context(), &sandbox.Context{})
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close(context.Background()) }) // never fails
	return a
}

package wasm

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"engram-mcp/sandbox"
)

// The calls that are measured: each makes one host call or, in Go, three.
var measured = []struct{ name, dir, action, export, params, result string }{
	{"wat", "wat/save", "note", "tool_note", `{"content":"tea"}`, `{"engrams":[{"id":"1"}]}`},
	{"assemblyscript", "assemblyscript/lines", "store", "tool_store", `{"text":"one\ntwo"}`, `{"engrams":[{"id":"1"}]}`},
	{"c", "c/tally", "by", "tool_by", `{"by":"source"}`, `{"hits":[{"source":"x"},{"source":"y"}]}`},
	{"rust", "rust/chain", "link", "tool_link", `{"ids":["a","b"]}`, `{"links":[]}`},
	{"go", "go/journal", "write", "tool_write", `{"text":"tea"}`, `{"engrams":[{"id":"1"}],"n":1}`},
}

func guestCode(b *testing.B, dir string) ([]byte, sandbox.Manifest) {
	man := readManifest(b, examples+dir)
	man.Limits = sandbox.Policy{}.Resolve(man.Limits)
	if dir == "go/journal" {
		return goAgent(b), man
	}
	return file(b, examples+dir+"/"+man.Entry), man
}

// BenchmarkExecute compares a call in the sandbox, with limits, fuel and the
// instance put back afterwards, to the same export called on bare wazero on an
// instance that keeps what earlier calls left in it.
func BenchmarkExecute(b *testing.B) {
	for _, c := range measured {
		b.Run(c.name, func(b *testing.B) {
			code, man := guestCode(b, c.dir)
			host := func(context.Context, string, []byte) ([]byte, error) { return []byte(c.result), nil }
			bare := bareCall(b, code, c.export, []byte(c.params), []byte(c.result))
			rt := open(b, Options{})
			agent, err := rt.Load(b.Context(), man, code)
			if err != nil {
				b.Fatal(err)
			}
			defer agent.Close(context.Background())
			if err := agent.Initialize(b.Context(), &sandbox.Context{}); err != nil {
				b.Fatal(err)
			}
			sandboxed := func() {
				res, err := agent.Execute(b.Context(), sandbox.Call{Action: c.action, Params: []byte(c.params), Host: host})
				if err != nil || len(res.Output) == 0 {
					b.Fatal(err)
				}
			}
			m := manager(b, Options{})
			load(b, m, man, code)
			managed := func() {
				if _, err := m.Run(b.Context(), man.Name, sandbox.Call{Action: c.action, Params: []byte(c.params), Host: host}); err != nil {
					b.Fatal(err)
				}
			}
			t0, t1, t2 := perCall(b.N, bare), perCall(b.N, sandboxed), perCall(b.N, managed)
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(t0/1000, "µs-bare")
			b.ReportMetric(t1/1000, "µs-sandbox")
			b.ReportMetric(t2/1000, "µs-managed")
			b.ReportMetric(t1/t0, "sandbox/bare")
		})
	}
}

// median is in microseconds. What waits for a disk or a processor now and then
// has no telling mean.
func median(all []time.Duration) float64 {
	slices.Sort(all)
	return float64(all[len(all)/2].Nanoseconds()) / 1000
}

func perCall(n int, f func()) float64 {
	f()
	start := time.Now()
	for range n {
		f()
	}
	return float64(time.Since(start).Nanoseconds()) / float64(n)
}

// bareCall returns a call of an export on plain wazero.
func bareCall(b *testing.B, code []byte, export string, input, result []byte) func() {
	rt := bareRuntime(b, wazero.NewRuntimeConfig(), input, result)
	b.Cleanup(func() { _ = rt.Close(context.Background()) })
	return bareStart(b, rt, code, export)
}

// bareRuntime is plain wazero with host functions that do no more than they
// must.
func bareRuntime(b *testing.B, cfg wazero.RuntimeConfig, input, result []byte) wazero.Runtime {
	ctx := context.Background()
	rt := wazero.NewRuntimeWithConfig(ctx, cfg)
	wasi_snapshot_preview1.MustInstantiate(ctx, rt)
	read := func(data []byte) api.GoModuleFunction {
		return api.GoModuleFunc(func(_ context.Context, m api.Module, s []uint64) {
			n := min(len(data), int(uint32(s[1])))
			m.Memory().Write(uint32(s[0]), data[:n])
			s[0] = uint64(n)
		})
	}
	length := func(n int) api.GoModuleFunction {
		return api.GoModuleFunc(func(_ context.Context, _ api.Module, s []uint64) { s[0] = uint64(n) })
	}
	nothing := api.GoModuleFunc(func(context.Context, api.Module, []uint64) {})
	h := rt.NewHostModuleBuilder("engram")
	for _, f := range []struct {
		name    string
		f       api.GoModuleFunction
		params  int
		results int
	}{{"input_len", length(len(input)), 0, 1}, {"input_read", read(input), 2, 1}, {"output", nothing, 2, 0},
		{"call", length(len(result)), 4, 1}, {"result_read", read(result), 2, 1}, {"log", nothing, 3, 0}} {
		h.NewFunctionBuilder().WithGoModuleFunction(f.f, types(i32, i32, i32, i32)[:f.params], types(i32)[:f.results]).Export(f.name)
	}
	if _, err := h.Instantiate(ctx); err != nil {
		b.Fatal(err)
	}
	return rt
}

// bareStart compiles code, or finds it compiled, makes an instance, and returns
// a call of one of its exports.
func bareStart(b *testing.B, rt wazero.Runtime, code []byte, export string) func() {
	ctx := context.Background()
	m, err := rt.InstantiateWithConfig(ctx, code, wazero.NewModuleConfig().WithName("").WithStartFunctions("_initialize"))
	if err != nil {
		b.Fatal(err)
	}
	f := m.ExportedFunction(export)
	return func() {
		var stack [1]uint64
		if err := f.CallWithStack(ctx, stack[:]); err != nil || stack[0] != 0 {
			b.Fatal(err, stack[0])
		}
	}
}

// BenchmarkColdStart measures how long it takes until an agent that was
// compiled by an earlier process has answered its first call, and how long a
// new instance of a loaded one takes. It compares the first to plain wazero
// with its own cache on disk, which checks nothing that it reads.
func BenchmarkColdStart(b *testing.B) {
	for _, c := range measured {
		b.Run(c.name, func(b *testing.B) {
			code, man := guestCode(b, c.dir)
			dir := b.TempDir()
			host := func(context.Context, string, []byte) ([]byte, error) { return []byte(c.result), nil }
			var disk, again, bare time.Duration
			bareOnce := func() {
				cache, err := wazero.NewCompilationCacheWithDir(dir + "/bare")
				if err != nil {
					b.Fatal(err)
				}
				defer cache.Close(context.Background())
				rt := bareRuntime(b, wazero.NewRuntimeConfig().WithCompilationCache(cache), []byte(c.params), []byte(c.result))
				defer rt.Close(context.Background())
				start := time.Now()
				bareStart(b, rt, code, c.export)()
				bare += time.Since(start)
			}
			once := func() {
				rt, err := New(Options{CacheDir: dir})
				if err != nil {
					b.Fatal(err)
				}
				defer rt.Close(context.Background())
				if _, err := rt.engine(0); err != nil { // once in a process
					b.Fatal(err)
				}
				start := time.Now()
				a, err := rt.Load(b.Context(), man, code)
				if err != nil {
					b.Fatal(err)
				}
				if err = a.Initialize(b.Context(), &sandbox.Context{}); err != nil {
					b.Fatal(err)
				}
				call := sandbox.Call{Action: c.action, Params: []byte(c.params), Host: host}
				if _, err = a.Execute(b.Context(), call); err != nil {
					b.Fatal(err)
				}
				disk += time.Since(start)
				a.(*agent).pool.evict()
				start = time.Now()
				if _, err = a.Execute(b.Context(), call); err != nil {
					b.Fatal(err)
				}
				again += time.Since(start)
				if err := a.Close(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			once() // compiles
			bareOnce()
			var disks, agains, bares []time.Duration
			for range b.N {
				disk, again, bare = 0, 0, 0
				once()
				bareOnce()
				disks, agains, bares = append(disks, disk), append(agains, again), append(bares, bare)
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(median(disks), "µs-from-disk")
			b.ReportMetric(median(agains), "µs-new-instance")
			b.ReportMetric(median(bares), "µs-bare-from-disk")
			b.ReportMetric(median(disks)/median(bares), "sandbox/bare")
		})
	}
}

// BenchmarkReset measures putting instances back by the size of their memory.
func BenchmarkReset(b *testing.B) {
	for _, c := range measured {
		b.Run(c.name, func(b *testing.B) {
			code, man := guestCode(b, c.dir)
			rt := open(b, Options{})
			l, err := rt.Load(b.Context(), man, code)
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close(context.Background())
			if err := l.Initialize(b.Context(), &sandbox.Context{}); err != nil {
				b.Fatal(err)
			}
			a := l.(*agent)
			g, err := a.lease(b.Context(), &turn{gate: rt.gate})
			if err != nil {
				b.Fatal(err)
			}
			defer g.close()
			kept := 0
			for _, r := range a.fresh.memory.runs {
				kept += len(r.data)
			}
			for b.Loop() {
				if !g.reset(a.fresh) {
					b.Fatal("not reset")
				}
			}
			b.ReportMetric(float64(len(g.bytes())>>10), "KiB-memory")
			b.ReportMetric(float64(kept>>10), "KiB-kept")
		})
	}
}

package meter_test

import (
	"bytes"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"engram-mcp/sandbox/meter"
)

// Every guest that would run for ever is stopped by the deadline, on both
// engines, and the instance is still usable.
func TestEndlessGuestsAreStopped(t *testing.T) {
	info, err := meter.Inspect(testdata(t, "hostile.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	wasm := rewrite(t, testdata(t, "hostile.wasm"), meter.Options{})
	for _, e := range engines {
		h := newHost(t, e, features)
		for _, x := range info.Exports {
			if x.Kind != meter.KindFunc || strings.HasPrefix(x.Name, "recursion") || testing.Short() && e.name == "interpreter" {
				continue
			}
			t.Run(e.name+"/"+x.Name, func(t *testing.T) {
				h.t = t
				m := h.instantiate(wasm)
				defer m.Close(h.ctx)
				if err := h.stopped(m, x.Name); err != nil {
					t.Error(err)
				}
				few := budget{fuel: 100_000, slice: 1_000, depth: e.depth}
				if _, _, err := h.call(h.ctx, m, few, x.Name); !errors.Is(err, errFuel) {
					t.Errorf("called again with little fuel: %v", firstLine(err))
				}
			})
		}
	}
}

// Recursion without end is stopped by the call depth, long before the stack
// of the engine overflows, which takes 170 MB.
func TestDeepRecursionIsStopped(t *testing.T) {
	info, err := meter.Inspect(testdata(t, "hostile.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	wasm := rewrite(t, testdata(t, "hostile.wasm"), meter.Options{})
	for _, e := range engines {
		h := newHost(t, e, features)
		for _, x := range info.Exports {
			if !strings.HasPrefix(x.Name, "recursion") {
				continue
			}
			t.Run(e.name+"/"+x.Name, func(t *testing.T) {
				h.t = t
				m := h.instantiate(wasm)
				defer m.Close(h.ctx)
				b := ample
				b.depth = e.depth
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				start := time.Now()
				_, _, err := h.call(h.ctx, m, b, x.Name)
				took := time.Since(start)
				runtime.ReadMemStats(&after)
				used := (after.TotalAlloc - before.TotalAlloc) >> 20
				t.Logf("depth %d: %v, %d MiB allocated", e.depth, took.Round(100*time.Microsecond), used)
				if !errors.Is(err, errStack) {
					t.Errorf("ended with %v", firstLine(err))
				}
				if used > 64 {
					t.Errorf("%d MiB allocated", used)
				}
			})
		}
	}
}

// A frame of many values counts for more than a small one: a depth is a bound
// for the native stack, at most a kilobyte a unit.
func TestDepthBoundsTheNativeStack(t *testing.T) {
	if testing.Short() {
		t.Skip("overflows the native stack of wazero on purpose")
	}
	h := newHost(t, engines[0], features)
	// Each function counts its calls in memory before it calls itself.
	count := join(i32c(0), i32c(0), ops(0x28, 2, 0), i32c(1), ops(0x6a, 0x36, 2, 0))
	// Types 5 and 6 take or return very many vectors.
	wide := sec(1, vec(ops(0x60, 0, 0), ops(0x60, 1, 0x7f, 1, 0x7f), ops(0x60, 0, 1, 0x7f), ops(0x60, 0, 0), ops(0x60, 0, 0),
		join(ops(0x60, 0), uleb(250), rep(250, 0x7b)), join(ops(0x60), uleb(250), rep(250, 0x7b), ops(0))))
	wideModule := func(typ byte, body []byte) []byte {
		return module(wide, sec(3, vec(ops(typeNone), ops(typ))), sec(5, ops(1, 0, 1)), sec(7, vec(join(str("run"), ops(0, 0)))),
			sec(10, vec(sized(code(ops(0x10, 1), rep(250*int(6-typ), 0x1a))), sized(body))))
	}
	vectors := func(n int) []byte { return rep(n, 0x41, 0, 0xfd, 0, 4, 0) }
	shapes := map[string][]byte{
		"small":       simple(function{typeNone, code(count, ops(0x10, 0))}),
		"1000 locals": simple(function{typeResult, manyLocals(1000, count)}),
		"1000 values": simple(function{typeResult, code(count, rep(1000, 0x41, 0, 0x28, 2, 0), ops(0x10, 0), rep(1000, 0x6a))}),
		"500 vectors": simple(function{typeResult, code(count, vectors(500), ops(0x10, 0, 0x1a), rep(499, 0xfd, 0x51), ops(0xfd, 0x53))}),
		"300 calls":   simple(function{typeResult, code(count, rep(300, 0x10, 0, 0x10, 0, 0x6a, 0x1a), i32c(1))}),
		"250 results": wideModule(5, code(count, ops(0x10, 1))),
		"250 params":  module(wide, sec(3, vec(ops(typeNone), ops(6))), sec(5, ops(1, 0, 1)), sec(7, vec(join(str("run"), ops(0, 0)))), sec(10, vec(sized(code(vectors(250), ops(0x10, 1))), sized(code(count, vectors(250), ops(0x10, 1)))))),
		"250 unused":  module(wide, sec(3, vec(ops(typeNone), ops(5))), sec(5, ops(1, 0, 1)), sec(7, vec(join(str("run"), ops(0, 0)))), sec(10, vec(sized(code(count, ops(0x10, 0), i32c(0), ops(0x04, 0x40, 0x10, 1), rep(250, 0x1a), ops(0x0b))), sized(code(vectors(250)))))),
	}
	for name, wasm := range shapes {
		t.Run(name, func(t *testing.T) {
			h.t = t
			p := h.instantiate(wasm)
			if _, err := p.ExportedFunction("run").Call(h.ctx); err == nil {
				t.Fatal("no stack overflow")
			}
			overflow, _ := p.Memory().ReadUint32Le(0)
			m := h.instantiate(rewrite(t, wasm, meter.Options{}))
			if _, _, err := h.call(h.ctx, m, budget{fuel: 1 << 60, slice: 1 << 30, depth: meter.CompilerDepth}, "run"); !errors.Is(err, errStack) {
				t.Fatalf("ended with %v", firstLine(err))
			}
			calls, _ := m.Memory().ReadUint32Le(0)
			const stack = 80 << 20 // wazero gives up when it would grow beyond this
			frame := stack / float64(max(overflow, 1))
			t.Logf("frame %.0f bytes, %.1f units: %.0f bytes a unit", frame, meter.CompilerDepth/float64(calls), frame*float64(calls)/meter.CompilerDepth)
			if unit := frame * float64(calls) / meter.CompilerDepth; unit > 1024 {
				t.Errorf("%.0f bytes of native stack for a unit of depth", unit)
			}
		})
	}
}

// manyLocals loads n locals, calls the function itself, and uses them all.
func manyLocals(n int, count []byte) []byte {
	b := join(ops(1), uleb(uint64(n)), ops(0x7f), count)
	for i := range n {
		b = join(b, i32c(int64(4*i)), ops(0x28, 2, 0, 0x21), uleb(uint64(i)))
	}
	b = join(b, ops(0x10, 0))
	for i := range n {
		b = join(b, ops(0x20), uleb(uint64(i)), ops(0x6a))
	}
	return join(b, ops(0x0b))
}

func rep(n int, b ...byte) []byte { return bytes.Repeat(b, n) }

// A loop over a long body without any control flow is charged by its length,
// so that it is stopped in the middle of what a count of passes would allow.
func TestLongBodiesAreStopped(t *testing.T) {
	for name, unit := range map[string][]byte{
		"divide and store": rep(20_000, 0x41, 0, 0x41, 0xe4, 0, 0x41, 3, 0x6d, 0x36, 2, 0),
		"fill":             rep(2_000, 0x41, 0, 0x41, 1, 0x3f, 0, 0x41, 16, 0x74, 0xfc, 11, 0),
		"grow by nothing":  rep(20_000, 0x41, 0, 0x40, 0, 0x1a),
		"call a leaf":      rep(20_000, 0x10, 1),
	} {
		leaf := function{typeNone, code(rep(10_000, 0x41, 100, 0x41, 3, 0x6d, 0x1a))}
		wasm := rewrite(t, simple(function{typeNone, code(ops(0x03, 0x40), unit, ops(0x0c, 0, 0x0b))}, leaf), meter.Options{})
		for _, e := range engines {
			if testing.Short() && e.name == "interpreter" {
				continue
			}
			t.Run(e.name+"/"+name, func(t *testing.T) {
				h := newHost(t, e, features)
				if err := h.stopped(h.instantiate(wasm), "run"); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// A start function does not run when the module is instantiated. It is an
// export, and runs under a budget like any other.
func TestStartFunction(t *testing.T) {
	spin := code(ops(0x03, 0x40, 0x0c, 0, 0x0b))
	body := func(b []byte) []byte {
		return module(types, sec(3, vec(ops(typeNone))), sec(8, ops(0)), sec(10, vec(sized(b))))
	}
	for _, e := range engines {
		h := newHost(t, e, features)
		m := h.instantiate(rewrite(t, body(spin), meter.Options{}))
		if err := h.stopped(m, meter.Start); err != nil {
			t.Errorf("%s: %v", e.name, err)
		}
	}
	_, info, err := meter.Rewrite(body(spin), meter.Options{})
	if err != nil || !info.Start {
		t.Errorf("start not reported: %+v, %v", info, err)
	}
}

// Memory and tables do not grow beyond the limits, whatever they declare.
func TestGrowthIsBounded(t *testing.T) {
	// run grows memory by 3 pages, then the table by 90 entries, and returns
	// both answers in one number.
	body := code(i32c(3), ops(0x40, 0), i32c(1000), ops(0x6c), ops(0xd0, 0x70), i32c(90), ops(0xfc, 15, 0, 0x6a))
	for _, max := range []byte{0, 1} { // without and with declared maxima, far above the limits
		table, memory := ops(1, 0x70, 0, 10), ops(1, 0, 1)
		if max == 1 {
			table, memory = join(ops(1, 0x70, 1, 10), uleb(1<<30)), join(ops(1, 1, 1), uleb(60_000))
		}
		wasm := withSections([]function{{typeResult, body}}, sec(4, table), sec(5, memory))
		for _, c := range []struct {
			pages   uint32
			entries int
			want    int32
		}{{4, 100, 1000 + 10}, {3, 100, -1000 + 10}, {4, 99, 1000 - 1}} {
			h := newHost(t, engines[0], features)
			m := h.instantiate(rewrite(t, wasm, meter.Options{Limits: meter.Limits{MemoryPages: c.pages, TableEntries: c.entries}}))
			res, _, err := h.call(h.ctx, m, ample, "run")
			if err != nil || int32(res[0]) != c.want {
				t.Errorf("%d pages, %d entries: got %v, %v; want %d", c.pages, c.entries, res, firstLine(err), c.want)
			}
		}
	}
}

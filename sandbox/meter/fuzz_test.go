package meter_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"

	"engram-mcp/sandbox/meter"
)

// FuzzRewrite holds three promises: no input makes the rewriter panic; what
// wazero takes before the rewriting it takes after it; and whatever comes out
// can be stopped. What the rewriter refuses is not shown to wazero: a few
// bytes can make it reserve gigabytes, or panic.
func FuzzRewrite(f *testing.F) {
	for _, name := range []string{"kernels.wasm", "hostile.wasm", "work-c.wasm", "work-as.wasm"} {
		f.Add(testdata(f, name))
	}
	f.Add(exceptions)
	f.Add(simple(function{typeUnary, code(ops(0x20, 0))}))
	f.Add(module(types, sec(2, vec(join(str("env"), str("f"), ops(0, 0)))), sec(3, vec(ops(0))), sec(8, ops(1)), sec(10, vec(sized(code(ops(0x10, 0)))))))
	h := newHost(f, engines[1], features)
	f.Fuzz(func(t *testing.T, wasm []byte) { h.promises(t, wasm) })
}

// FuzzBody holds the same promises for any two function bodies in a module
// that has something of everything.
func FuzzBody(f *testing.F) {
	f.Add(code(), code(ops(0x20, 0)))
	f.Add(code(ops(0x03, 0x40), i32c(1), ops(0x0d, 0, 0x0b)), code(ops(0x20, 0), ops(0x10, 1)))
	f.Add(code(ops(0x02, 0x40), i32c(2), ops(0x0e, 1, 0, 1, 0x0b)), code(i32c(0), ops(0x04, 0x7f), i32c(1), ops(0x05), i32c(2), ops(0x0b)))
	f.Add(code(i32c(0), i32c(0), i32c(9), ops(0xfc, 10, 0, 0)), code(ops(0x20, 0, 0x12, 1)))
	f.Add(code(ops(0xd2, 1, 0x1a)), code(ops(0xfd, 12), rep(16, 3), ops(0xfd, 0x1b, 2)))
	f.Add(code(ops(0x23, 0, 0x42, 1, 0x7c, 0x24, 0)), code(i32c(0), i32c(0), ops(0x11, 1, 0)))
	h := newHost(f, engines[1], features)
	f.Fuzz(func(t *testing.T, run, other []byte) {
		h.promises(t, module(types, sec(3, vec(ops(typeNone), ops(typeUnary))),
			sec(4, ops(1, 0x70, 0, 4)), sec(5, ops(1, 0, 1)), sec(6, vec(ops(0x7e, 1, 0x42, 0, 0x0b))),
			sec(7, vec(join(str("run"), ops(0, 0)))), sec(9, vec(ops(0, 0x41, 0, 0x0b, 2, 0, 1))), sec(12, ops(1)),
			sec(10, vec(sized(run), sized(other))), sec(11, vec(join(ops(1), str("data"))))))
	})
}

// smallLimits keep every input fast.
var smallLimits = meter.Limits{Bytes: 1 << 16, MemoryPages: 4, TableEntries: 100, Functions: 200, CompileTime: time.Second}

func (h *host) promises(t *testing.T, wasm []byte) {
	h.t = t
	_, _ = meter.Inspect(wasm)
	_, _, _ = meter.Rewrite(wasm, meter.Options{Allow: allowAll, Exceptions: true, Limits: smallLimits})
	out, info, err := meter.Rewrite(wasm, meter.Options{Limits: smallLimits})
	var e *meter.Error
	switch {
	case err == nil:
	case !errors.As(err, &e) || e.Hint == "" || e.Detail == "":
		t.Fatalf("error without detail or hint: %v", err)
	default:
		return
	}
	before, err := h.rt.CompileModule(h.ctx, wasm)
	valid := err == nil
	if valid {
		before.Close(h.ctx)
	}
	after, err := h.rt.CompileModule(h.ctx, out)
	if err != nil {
		if valid {
			t.Fatalf("valid before, but after: %v", err)
		}
		return
	}
	defer after.Close(h.ctx)
	h.runAll(t, after, info)
}

// runAll calls every export that takes nothing, with little fuel.
func (h *host) runAll(t *testing.T, c wazero.CompiledModule, info meter.Info) {
	m, err := h.rt.InstantiateModule(h.ctx, c, wazero.NewModuleConfig().WithName("").WithStartFunctions())
	if err != nil {
		return // data or elements out of bounds
	}
	defer m.Close(h.ctx)
	ctx, cancel := context.WithTimeout(h.ctx, time.Second)
	defer cancel()
	for _, x := range info.Exports {
		if x.Kind != meter.KindFunc || len(x.Type.Params) > 0 {
			continue
		}
		start := time.Now()
		_, _, _ = h.call(ctx, m, budget{fuel: 20_000, slice: 1_000, depth: 100}, x.Name)
		if took := time.Since(start); took > 10*time.Second {
			t.Fatalf("%q ran for %v with 20,000 units of fuel", x.Name, took)
		}
	}
}

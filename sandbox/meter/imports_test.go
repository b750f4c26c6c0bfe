package meter_test

import (
	"context"
	"errors"
	"testing"

	"github.com/tetratelabs/wazero/api"

	"engram-mcp/sandbox/meter"
)

// Imported functions keep their places although the rewriter adds one of its
// own, whether they are called, called in tail position, called through a
// table, exported, or the start function; and a host function charges for its
// work.
func TestImports(t *testing.T) {
	const price = 1000
	wasm := module(types,
		sec(2, vec(join(str("env"), str("work"), ops(0, typeUnary)), join(str("env"), str("note"), ops(0, typeNone)))),
		sec(3, vec(ops(typeUnary), ops(typeUnary), ops(typeUnary), ops(typeUnary))),
		sec(4, ops(1, 0x70, 0, 2)),
		sec(7, vec(join(str("call"), ops(0, 2)), join(str("tail"), ops(0, 3)), join(str("table"), ops(0, 4)), join(str("loop"), ops(0, 5)))),
		sec(8, ops(1)),
		sec(9, vec(ops(0, 0x41, 0, 0x0b, 2, 0, 2))),
		sec(10, vec(
			sized(code(ops(0x20, 0, 0x10, 0, 0x10, 1))),
			sized(code(ops(0x20, 0, 0x12, 0))),
			sized(code(ops(0x20, 0, 0x41, 0, 0x11, typeUnary, 0))),
			sized(code(ops(0x03, 0x40, 0x20, 0, 0x10, 0, 0x1a, 0x0c, 0, 0x0b, 0x41, 0))),
		)))
	out := rewrite(t, wasm, meter.Options{})
	stopped := int64(0)
	for _, e := range engines {
		h := newHost(t, e, features)
		notes := 0
		work := func(_ context.Context, m api.Module, stack []uint64) {
			fuel := m.ExportedGlobal(meter.Fuel).(api.MutableGlobal)
			fuel.Set(fuel.Get() - price)
			stack[0] *= 3
		}
		note := func(context.Context, api.Module, []uint64) { notes++ }
		i32 := []api.ValueType{api.ValueTypeI32}
		_, err := h.rt.NewHostModuleBuilder("env").
			NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(work), i32, i32).Export("work").
			NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(note), nil, nil).Export("note").
			Instantiate(h.ctx)
		if err != nil {
			t.Fatal(err)
		}
		m := h.instantiate(out)
		if notes != 0 {
			t.Error("the start function ran at once")
		}
		if _, _, err := h.call(h.ctx, m, ample, meter.Start); err != nil || notes != 1 {
			t.Errorf("start function: %d calls, %v", notes, err)
		}
		for _, name := range []string{"call", "tail", "table"} {
			res, spent, err := h.call(h.ctx, m, ample, name, 14)
			if err != nil || res[0] != 42 || spent < price || spent > price+30 {
				t.Errorf("%s %s: %v, %v, fuel %d", e.name, name, res, err, spent)
			}
		}
		_, spent, err := h.call(h.ctx, m, budget{fuel: 100 * price, slice: 777, depth: 10}, "loop", 1)
		if !errors.Is(err, errFuel) {
			t.Errorf("%s: loop of host calls ended with %v", e.name, err)
		}
		if stopped != 0 && spent != stopped {
			t.Errorf("%s: stopped at %d, other engine at %d", e.name, spent, stopped)
		}
		stopped = spent
	}
}

package meter_test

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"engram-mcp/sandbox/meter"
)

// A host rewrites a module, gives it fuel in slices, and learns what the call
// has spent.
func Example() {
	wasm, err := os.ReadFile("testdata/kernels.wasm")
	if err != nil {
		panic(err)
	}
	metered, info, err := meter.Rewrite(wasm, meter.Options{})
	if err != nil {
		panic(err)
	}
	fmt.Println("functions:", info.Functions)

	ctx := context.Background()
	rt := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter().WithCoreFeatures(features))
	defer rt.Close(ctx)
	var tank meter.Tank
	yield := func(ctx context.Context, m api.Module, _ []uint64) {
		fuel := m.ExportedGlobal(meter.Fuel).(api.MutableGlobal)
		next, ok := tank.Refill(int64(fuel.Get()))
		switch {
		case int64(m.ExportedGlobal(meter.Stack).Get()) < 0:
			panic(errors.New("call stack exhausted"))
		case !ok:
			panic(errors.New("fuel exhausted"))
		case ctx.Err() != nil:
			panic(ctx.Err())
		}
		fuel.Set(uint64(next))
	}
	_, err = rt.NewHostModuleBuilder(meter.ImportModule).
		NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(yield), nil, nil).Export(meter.Yield).
		Instantiate(ctx)
	if err != nil {
		panic(err)
	}
	m, err := rt.InstantiateWithConfig(ctx, metered, wazero.NewModuleConfig().WithStartFunctions())
	if err != nil {
		panic(err)
	}

	for _, budget := range []int64{1_000_000, 50} {
		tank = meter.Tank{Left: budget, Slice: meter.InterpreterSlice}
		fuel := m.ExportedGlobal(meter.Fuel).(api.MutableGlobal)
		fuel.Set(0)
		m.ExportedGlobal(meter.Stack).(api.MutableGlobal).Set(meter.InterpreterDepth)
		res, err := m.ExportedFunction("fib").Call(ctx, 10)
		fmt.Printf("%v, %d units spent, %q\n", res, budget-tank.Rest(int64(fuel.Get())), firstLine(err))
	}
	// Output:
	// functions: 21
	// [55], 3540 units spent, ""
	// [], 60 units spent, "fuel exhausted (recovered by wazero)"
}

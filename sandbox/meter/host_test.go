package meter_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"engram-mcp/sandbox/meter"
)

var (
	errFuel  = errors.New("out of fuel")
	errStack = errors.New("out of stack")
)

const features = api.CoreFeaturesV2 | experimental.CoreFeaturesTailCall | experimental.CoreFeaturesExtendedConst

type engine struct {
	name   string
	config func() wazero.RuntimeConfig
	depth  uint64 // what the engine bears
}

var engines = []engine{
	{"compiler", wazero.NewRuntimeConfigCompiler, 10_000},
	{"interpreter", wazero.NewRuntimeConfigInterpreter, 1_900},
}

// host runs modules as a product does: it answers yield and keeps the tank.
type host struct {
	t    testing.TB
	ctx  context.Context
	rt   wazero.Runtime
	tank *meter.Tank
}

func newHost(t testing.TB, e engine, f api.CoreFeatures) *host {
	ctx := context.Background()
	h := &host{t: t, ctx: ctx, rt: wazero.NewRuntimeWithConfig(ctx, e.config().WithCoreFeatures(f))}
	t.Cleanup(func() { _ = h.rt.Close(ctx) })
	_, err := h.rt.NewHostModuleBuilder(meter.ImportModule).
		NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(h.yield), nil, nil).Export(meter.Yield).
		Instantiate(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *host) yield(ctx context.Context, m api.Module, _ []uint64) {
	if int64(m.ExportedGlobal(meter.Stack).Get()) < 0 {
		panic(errStack)
	}
	if err := ctx.Err(); err != nil {
		panic(err)
	}
	fuel := m.ExportedGlobal(meter.Fuel).(api.MutableGlobal)
	next, ok := h.tank.Refill(int64(fuel.Get()))
	if !ok {
		panic(errFuel)
	}
	fuel.Set(uint64(next))
}

func (h *host) instantiate(wasm []byte) api.Module {
	h.t.Helper()
	m, err := h.rt.InstantiateWithConfig(h.ctx, wasm, wazero.NewModuleConfig().WithName("").WithStartFunctions())
	if err != nil {
		h.t.Fatal(err)
	}
	return m
}

// budget is what one call may use.
type budget struct {
	fuel, slice int64
	depth       uint64
}

var ample = budget{fuel: 1 << 60, slice: 1_000_000, depth: 1_500}

// call runs an export of a metered module and returns its results and the
// fuel spent.
func (h *host) call(ctx context.Context, m api.Module, b budget, name string, args ...uint64) ([]uint64, int64, error) {
	h.t.Helper()
	fuel, ok := m.ExportedGlobal(meter.Fuel).(api.MutableGlobal)
	if !ok {
		h.t.Fatal("no fuel global")
	}
	fuel.Set(0)
	m.ExportedGlobal(meter.Stack).(api.MutableGlobal).Set(b.depth)
	h.tank = &meter.Tank{Left: b.fuel, Slice: b.slice}
	res, err := m.ExportedFunction(name).Call(ctx, args...)
	return res, b.fuel - h.tank.Rest(int64(fuel.Get())), err
}

func allowAll(string, string) bool { return true }

func rewrite(t testing.TB, wasm []byte, o meter.Options) []byte {
	t.Helper()
	if o.Allow == nil {
		o.Allow = allowAll
	}
	out, _, err := meter.Rewrite(wasm, o)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func testdata(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// firstLine is the message of an error without the stack trace of wazero.
func firstLine(err error) string {
	if err == nil {
		return ""
	}
	s, _, _ := strings.Cut(err.Error(), "\n")
	return s
}

package meter_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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
	depth  uint64
	slice  int64
}

var engines = []engine{
	{"compiler", wazero.NewRuntimeConfigCompiler, meter.CompilerDepth, meter.CompilerSlice},
	{"interpreter", wazero.NewRuntimeConfigInterpreter, meter.InterpreterDepth, meter.InterpreterSlice},
}

// host runs modules as a product does: it answers yield and keeps the tank.
type host struct {
	t    testing.TB
	e    engine
	ctx  context.Context
	rt   wazero.Runtime
	tank *meter.Tank
}

func newHost(t testing.TB, e engine, f api.CoreFeatures) *host {
	ctx := context.Background()
	h := &host{t: t, e: e, ctx: ctx, rt: wazero.NewRuntimeWithConfig(ctx, e.config().WithCoreFeatures(f))}
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

const (
	deadline = 50 * time.Millisecond
	// grace is how late a call may come back. What is measured is some
	// milliseconds; the rest is for a machine that is busy otherwise.
	grace = 3 * time.Second
)

// stopped runs an export that would never return, with a deadline, and
// reports an error if it is not stopped in time.
func (h *host) stopped(m api.Module, name string, args ...uint64) error {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.ctx, deadline)
	defer cancel()
	start := time.Now()
	_, spent, err := h.call(ctx, m, budget{fuel: 1 << 60, slice: h.e.slice, depth: h.e.depth}, name, args...)
	late := time.Since(start) - deadline
	h.t.Logf("%s: back %v after the deadline, fuel %d: %s", name, late.Round(time.Millisecond), spent, firstLine(err))
	switch {
	case late > grace:
		return fmt.Errorf("%s: back %v after the deadline", name, late)
	case !errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s: ended with %v, not by the deadline", name, err)
	}
	return nil
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
	return readFile(t, filepath.Join("testdata", name))
}

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
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

// Package wasm runs agents that are WebAssembly modules, on wazero.
//
// A [Runtime] rewrites every module with the meter before it compiles it, so
// that a call can be stopped at any point, its fuel is counted, and its memory
// is put back to what it was when it ends. A guest has no files, network,
// environment or arguments; what it can reach are the functions of the import
// module engram, which abi.go lists. Programs made for WASI (input on stdin,
// output on stdout) and Extism plug-ins are recognised by what they import and
// run as they are.
//
// DESIGN.md says what is bounded and how, and what agents can rely on.
package wasm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"engram-mcp/sandbox"
	"engram-mcp/sandbox/meter"
)

// Options configure a Runtime. The zero value works.
type Options struct {
	// CacheDir keeps compiled code from one process to the next. It holds
	// machine code that is run as it is: nobody else may write there. Empty
	// keeps nothing.
	CacheDir string
	// Parallel bounds the guests that compute at one moment; 0 means one
	// less than GOMAXPROCS, but at least one. More take turns.
	Parallel int
	// Queue bounds the calls under way, computing or not; 0 means 1024.
	Queue int
	// Memory bounds the memory of all guests together, in bytes; 0 means 2 GiB.
	Memory int64
	// Kind is the name of the runtime in manifests; empty means wasm.
	Kind string
}

// A Runtime is a sandbox.Runtime for WebAssembly. It may be used concurrently.
type Runtime struct {
	opts     Options
	gate     *gate
	memory   *budget
	code     *codeStore
	programs *programStore

	mu      sync.Mutex
	engines [engineKinds]*engine
	cache   *diskCache // nil without a directory
	closed  bool
}

var _ sandbox.Runtime = (*Runtime)(nil)

// New returns a Runtime. It fails only if the cache directory cannot be made.
func New(opts Options) (*Runtime, error) {
	opts.Parallel = cmp.Or(opts.Parallel, max(1, runtime.GOMAXPROCS(0)-1))
	opts.Queue = cmp.Or(opts.Queue, 1024)
	opts.Memory = cmp.Or(opts.Memory, 2<<30)
	opts.Kind = cmp.Or(opts.Kind, "wasm")
	r := &Runtime{opts: opts, gate: newGate(opts.Parallel, opts.Queue), memory: newBudget(opts.Memory), programs: newProgramStore()}
	r.code = newCodeStore(r)
	if opts.CacheDir != "" {
		cache, err := openCache(opts.CacheDir)
		if err != nil {
			return nil, err
		}
		r.cache = cache
	}
	return r, nil
}

// Kind returns wasm, or what Options.Kind says.
func (r *Runtime) Kind() string { return r.opts.Kind }

// Features returns that everything is enforced.
func (r *Runtime) Features() sandbox.Features {
	return sandbox.Features{Fuel: true, MemoryLimit: true, HardKill: true, CrashIsolated: true, Sandboxed: true}
}

// Close frees all compiled code. Every agent must be closed before.
func (r *Runtime) Close(ctx context.Context) error {
	r.code.close()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	var errs []error
	for _, e := range r.engines {
		if e != nil {
			errs = append(errs, e.rt.Close(ctx))
		}
	}
	if r.cache != nil {
		errs = append(errs, r.cache.close())
	}
	r.engines, r.cache = [engineKinds]*engine{}, nil
	return errors.Join(errs...)
}

// engineKind is how code is run, and which features it may use.
type engineKind int

const (
	interpreter engineKind = 1 << iota // instead of the compiler
	trusted                            // exception handling is on
	uncached                           // the cache directory is not used
	engineKinds = 8
)

// An engine is one wazero runtime with the host modules in it.
type engine struct {
	rt    wazero.Runtime
	cache *diskCache // nil without one
	depth uint64     // of calls, in units of the meter
	slice int64      // fuel that a guest gets at a time
}

// userFeatures leave out what costs memory that nothing bounds (exception
// handling) and what the meter does not take (threads).
const userFeatures = api.CoreFeaturesV2 | experimental.CoreFeaturesTailCall | experimental.CoreFeaturesExtendedConst

// engine returns the engine of a kind, made on first use.
func (r *Runtime) engine(kind engineKind) (*engine, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, sandbox.ErrClosed
	}
	if r.engines[kind] == nil {
		e, err := newEngine(kind, r.cache)
		if err != nil {
			return nil, err
		}
		r.engines[kind] = e
	}
	return r.engines[kind], nil
}

func newEngine(kind engineKind, cache *diskCache) (*engine, error) {
	ctx := context.Background()
	e := &engine{depth: meter.CompilerDepth, slice: meter.CompilerSlice}
	features := userFeatures
	cfg := wazero.NewRuntimeConfig()
	if kind&interpreter != 0 {
		cfg = wazero.NewRuntimeConfigInterpreter()
		e.depth, e.slice = meter.InterpreterDepth, meter.InterpreterSlice
	}
	if kind&trusted != 0 {
		features |= experimental.CoreFeaturesExceptionHandling
	}
	if cache != nil && kind&(interpreter|uncached) == 0 {
		cfg, e.cache = cfg.WithCompilationCache(cache.wazero), cache
	}
	e.rt = wazero.NewRuntimeWithConfig(ctx, cfg.WithCoreFeatures(features).WithDebugInfoEnabled(false).WithMemoryLimitPages(hardPages))
	for _, m := range hostModules {
		b := e.rt.NewHostModuleBuilder(m.name)
		for _, f := range m.functions {
			b.NewFunctionBuilder().WithGoModuleFunction(f.guarded(), f.params, f.results).Export(f.name)
		}
		if _, err := b.Instantiate(ctx); err != nil {
			_ = e.rt.Close(ctx)
			return nil, fmt.Errorf("wasm: host module %s: %w", m.name, err)
		}
	}
	return e, nil
}

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
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

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
	// Parallel bounds the guests that compute at one moment; 0 means
	// GOMAXPROCS. More take turns.
	Parallel int
	// Queue bounds the calls under way, computing or not; 0 means 1024.
	Queue int
	// Memory bounds the linear memory of all guests together, in bytes;
	// 0 means 2 GiB.
	Memory int64
	// Kind is the name of the runtime in manifests; empty means wasm.
	Kind string
}

// A Runtime is a sandbox.Runtime for WebAssembly. It may be used concurrently.
type Runtime struct {
	opts   Options
	gate   *gate
	memory *budget
	code   *codeStore

	mu      sync.Mutex
	engines [engineKinds]*engine
	retired []*engine // replaced, but with agents that still run
	cache   wazero.CompilationCache
	closed  bool
}

var _ sandbox.Runtime = (*Runtime)(nil)

// New returns a Runtime. It fails only if the cache directory cannot be made.
func New(opts Options) (*Runtime, error) {
	opts.Parallel = cmp.Or(opts.Parallel, runtime.GOMAXPROCS(0))
	opts.Queue = cmp.Or(opts.Queue, 1024)
	opts.Memory = cmp.Or(opts.Memory, 2<<30)
	opts.Kind = cmp.Or(opts.Kind, "wasm")
	r := &Runtime{opts: opts, gate: newGate(opts.Parallel, opts.Queue), memory: newBudget(opts.Memory)}
	r.code = newCodeStore(r)
	if opts.CacheDir != "" {
		r.opts.CacheDir = filepath.Join(opts.CacheDir, "meter-"+meter.Version)
		if err := os.MkdirAll(r.opts.CacheDir, 0o700); err != nil {
			return nil, fmt.Errorf("wasm: make the cache directory: %w", err)
		}
		trimCache(r.opts.CacheDir, maxCache)
		cache, err := wazero.NewCompilationCacheWithDir(r.opts.CacheDir)
		if err != nil {
			return nil, fmt.Errorf("wasm: open the cache directory: %w", err)
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
	for _, e := range append(r.retired, r.engines[:]...) {
		if e != nil {
			errs = append(errs, e.rt.Close(ctx))
		}
	}
	if r.cache != nil {
		errs = append(errs, r.cache.Close(ctx))
	}
	r.engines, r.retired, r.cache = [engineKinds]*engine{}, nil, nil
	return errors.Join(errs...)
}

// engineKind is how code is run, and which features it may use.
type engineKind int

const (
	interpreter engineKind = 1 << iota // instead of the compiler
	trusted                            // exception handling is on
	engineKinds = 4
)

// An engine is one wazero runtime with the host modules in it.
type engine struct {
	kind   engineKind
	rt     wazero.Runtime
	cached bool
	depth  uint64 // of calls, in units of the meter
}

// Call depths that the engines bear, in the meter's units of stack. wazero's
// interpreter gives up at 2,000 frames; its compiler could go further, but a
// deep native stack is memory that no limit counts.
const (
	compilerDepth    = 10_000
	interpreterDepth = 1_900
)

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

func newEngine(kind engineKind, cache wazero.CompilationCache) (*engine, error) {
	ctx := context.Background()
	e := &engine{kind: kind, depth: compilerDepth}
	features := userFeatures
	cfg := wazero.NewRuntimeConfig()
	if kind&interpreter != 0 {
		cfg, e.depth, cache = wazero.NewRuntimeConfigInterpreter(), interpreterDepth, nil
	}
	if kind&trusted != 0 {
		features |= experimental.CoreFeaturesExceptionHandling
	}
	if cache != nil {
		cfg, e.cached = cfg.WithCompilationCache(cache), true
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

// replace puts an engine without a cache into the place of one whose cache
// directory is damaged, and empties the directory.
func (r *Runtime) replace(plain *engine) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.retired = append(r.retired, plain)
	if r.closed {
		return sandbox.ErrClosed
	}
	r.engines[plain.kind], r.retired[len(r.retired)-1] = plain, r.engines[plain.kind]
	trimCache(r.opts.CacheDir, 0)
	return nil
}

// maxCache bounds the compiled code on disk, in bytes.
const maxCache = 2 << 30

// trimCache removes the oldest files until at most limit bytes are left, and
// leavings of writes that a crash cut short.
func trimCache(dir string, limit int64) {
	type file struct {
		path string
		size int64
		time time.Time
	}
	var files []file
	var total int64
	_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil
		}
		info, err := d.Info()
		if err != nil || !info.Mode().IsRegular() {
			return nil
		}
		if filepath.Ext(path) == ".tmp" && time.Since(info.ModTime()) > time.Hour {
			_ = os.Remove(path)
			return nil
		}
		files = append(files, file{path, info.Size(), info.ModTime()})
		total += info.Size()
		return nil
	})
	for total > limit && len(files) > 0 {
		oldest := 0
		for i := range files {
			if files[i].time.Before(files[oldest].time) {
				oldest = i
			}
		}
		if os.Remove(files[oldest].path) == nil {
			total -= files[oldest].size
		}
		files[oldest] = files[len(files)-1]
		files = files[:len(files)-1]
	}
}

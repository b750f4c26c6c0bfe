// Package meter rewrites WebAssembly modules that strangers wrote so that a
// host can stop them, count what they do and reset them.
//
// [Rewrite] takes a core module and returns one that behaves the same, but
// spends fuel as it runs and asks the host, through an import, whether it may
// go on. [Inspect] tells what a module is without rewriting it. [Tank] is the
// host's side of the fuel: it hands out slices and carries debt forward. Both
// functions are pure; they may run concurrently.
//
// The rewritten module has, besides its own exports:
//
//   - the import [ImportModule].[Yield], a function without parameters or
//     results that it calls when its fuel or its stack is used up;
//   - the mutable i64 global [Fuel], which it counts down;
//   - the mutable i64 global [Stack], the call depth that is left;
//   - the function [Start], if it had a start section, which the host calls
//     once after instantiation, under a budget like any other call;
//   - its own mutable globals under [GlobalPrefix] and their index, so that
//     the host can save and restore them.
//
// Before every call the host sets Stack to the depth it allows and Fuel to
// zero or a first slice. In Yield it reads both: a negative Stack means that
// the call went too deep and must be trapped; a negative Fuel is a debt, to
// be charged before the next slice is written to the global. A host function
// charges the guest by subtracting from Fuel. DESIGN.md has the cost model and
// what is guaranteed.
package meter

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Version changes whenever the same module would be rewritten to other bytes
// or at other costs. It belongs into the key of every cache of rewritten or
// compiled modules, and beside every fuel figure that is kept.
const Version = "1"

// Names that the rewriter adds. A module that uses one of them itself is
// refused with [ErrReserved].
const (
	ImportModule = "engram"  // module of the import Yield
	Yield        = "__yield" // func(): asks the host for more fuel
	Fuel         = "__fuel"  // global, mut i64: fuel left, negative is debt
	Stack        = "__stack" // global, mut i64: call depth left
	Start        = "__start" // func(): the former start function
	GlobalPrefix = "__g"     // global __g7: the module's global 7
)

// What wazero v1.12 bears. Its compiler stops a call at some 80 MB of native
// stack, after the slow copying of it; a unit of depth is up to a kilobyte
// there, in ordinary code less than 100 bytes. Its interpreter stops at 2,000
// calls. A slice is some milliseconds of either.
const (
	CompilerDepth    = 10_000
	InterpreterDepth = 1_900
	CompilerSlice    = 1_000_000
	InterpreterSlice = 100_000
)

// Options says what a module may be and have.
type Options struct {
	// Allow reports whether the module may import the function name of
	// module. Nil allows nothing.
	Allow func(module, name string) bool
	// Exceptions accepts exception handling (try_table, throw, throw_ref).
	// The memory that wazero keeps for nested try blocks is bounded by no
	// limit of this package, so it is for modules of one's own only.
	Exceptions bool
	// Limits bounds the module; a zero field takes its value from
	// [DefaultLimits].
	Limits Limits
}

// Limits bounds what a module may be made of. Beyond a limit it is refused
// with [ErrLimit], except that a maximum of memory or of a table that is only
// declared is lowered to the limit.
type Limits struct {
	Bytes         int    // of the file
	MemoryPages   uint32 // of 64 KiB, that the memory may grow to
	Tables        int    // number of tables
	TableEntries  int    // of each table; also of all element segments together
	Types         int    // function types
	Params        int    // parameters of a type, and results
	Imports       int
	Exports       int
	Functions     int // defined by the module
	Globals       int
	Segments      int // data segments, and element segments
	Customs       int // custom sections
	Body          int // bytes of one function
	Locals        int // of one function, without parameters
	Nesting       int // blocks within blocks
	BranchTargets int // of one br_table
	// CompileTime is what wazero's compiler may need for the module if its
	// code has the worst shape, by an estimate that includes memory; a single
	// function may take a quarter of it. Real programs need about a tenth of
	// their estimate.
	CompileTime time.Duration
}

// DefaultLimits returns limits that let real programs pass (Go with its
// runtime, SQLite, QuickJS) and stop modules that are built to exhaust a
// compiler. Very large programs, such as Ruby, need a larger CompileTime.
func DefaultLimits() Limits {
	return Limits{
		Bytes:         32 << 20,
		MemoryPages:   512,
		Tables:        16,
		TableEntries:  1 << 16,
		Types:         1 << 14,
		Params:        256,
		Imports:       1 << 10,
		Exports:       1 << 14,
		Functions:     1 << 17,
		Globals:       1 << 12,
		Segments:      1 << 17,
		Customs:       256,
		Body:          256 << 10,
		Locals:        5_000,
		Nesting:       2_000,
		BranchTargets: 1 << 14,
		CompileTime:   30 * time.Second,
	}
}

// withDefaults fills zero fields.
func (l Limits) withDefaults() Limits {
	d := DefaultLimits()
	l.Bytes = cmp.Or(l.Bytes, d.Bytes)
	l.MemoryPages = cmp.Or(l.MemoryPages, d.MemoryPages)
	l.Tables = cmp.Or(l.Tables, d.Tables)
	l.TableEntries = cmp.Or(l.TableEntries, d.TableEntries)
	l.Types = cmp.Or(l.Types, d.Types)
	l.Params = cmp.Or(l.Params, d.Params)
	l.Imports = cmp.Or(l.Imports, d.Imports)
	l.Exports = cmp.Or(l.Exports, d.Exports)
	l.Functions = cmp.Or(l.Functions, d.Functions)
	l.Globals = cmp.Or(l.Globals, d.Globals)
	l.Segments = cmp.Or(l.Segments, d.Segments)
	l.Customs = cmp.Or(l.Customs, d.Customs)
	l.Body = cmp.Or(l.Body, d.Body)
	l.Locals = cmp.Or(l.Locals, d.Locals)
	l.Nesting = cmp.Or(l.Nesting, d.Nesting)
	l.BranchTargets = cmp.Or(l.BranchTargets, d.BranchTargets)
	l.CompileTime = cmp.Or(l.CompileTime, d.CompileTime)
	return l
}

// Rewrite returns the metered form of a core module and what it found in it.
// The result depends only on its arguments and [Version]. It refers to no
// memory of wasm; Info does, see there. An error is an [*Error] with a hint,
// and then Info holds what was read before it.
//
// Types are not checked: a module that is invalid only in its types yields
// one that is invalid in the same way, for the runtime to refuse.
func Rewrite(wasm []byte, o Options) (out []byte, info Info, err error) {
	defer catch(&err)
	lim := o.Limits.withDefaults()
	var m module
	func() {
		defer func() { info.describe(&m) }()
		parse(&m, wasm, lim, o.Exceptions)
	}()
	checkNames(&m)
	checkImports(&m, o.Allow)
	clampSizes(&m, lim)
	if slices.ContainsFunc(m.globals, func(g global) bool { return g.mutable && g.typ == typeV128 }) {
		info.Sticky = "global.set of a v128" // wazero shows the host only half of it
	}
	fns := analyse(&m, lim, o.Exceptions)
	for i := range fns {
		mergeSmall(fns[i].marks)
		info.Sticky = cmp.Or(info.Sticky, fns[i].sticky)
		info.CompileTime += fns[i].compile
	}
	e := newEmitter(&m, fns, len(wasm))
	out = e.emit()
	info.Sites, info.Size = e.sites, len(out)
	return out, info, nil
}

func checkNames(m *module) {
	for _, i := range m.imports {
		if i.Module == ImportModule && len(i.Name) >= 2 && i.Name[:2] == "__" {
			fail(ErrReserved, -1, hintRename, "import %q.%.64q", i.Module, i.Name)
		}
	}
	for _, e := range m.exports {
		if reserved(e.name) {
			fail(ErrReserved, -1, hintRename, "export %.64q", e.name)
		}
	}
}

// reserved reports whether an export would collide with one of ours. Other
// names with two underscores are common and stay legal (__heap_base, __new).
func reserved(name string) bool {
	switch name {
	case Fuel, Stack, Start, Yield:
		return true
	}
	if len(name) <= len(GlobalPrefix) || name[:len(GlobalPrefix)] != GlobalPrefix {
		return false
	}
	for _, c := range name[len(GlobalPrefix):] {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

func checkImports(m *module, allow func(module, name string) bool) {
	var missing []Import
	for _, i := range m.imports {
		if allow == nil || !allow(i.Module, i.Name) {
			missing = append(missing, i)
		}
	}
	if missing != nil {
		panic(fault{importError(missing)})
	}
}

// clampSizes lowers the declared maxima of memory and tables, so that nothing
// can grow beyond the limits.
func clampSizes(m *module, lim Limits) {
	if m.memory != nil {
		clamp(m.memory, lim.MemoryPages, "memory pages at start", "Lower the initial memory (`-Wl,--initial-memory=`, smaller static data), or allow the agent more memory.")
	}
	for i := range m.tables {
		clamp(&m.tables[i].limits, uint32(lim.TableEntries), fmt.Sprintf("entries of table %d at start", i), "Make the table smaller.")
	}
}

func clamp(l *limits, limit uint32, what, hint string) {
	if l.min > limit {
		fail(ErrLimit, -1, hint, "%s: %d, limit %d", what, l.min, limit)
	}
	if !l.hasMax || l.max > limit {
		l.hasMax, l.max = true, limit
	}
}

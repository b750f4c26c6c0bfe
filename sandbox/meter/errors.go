package meter

import (
	"errors"
	"fmt"
	"strings"
)

// The kinds of refusal. Compare with [errors.Is]; every error of this package
// is an [*Error] that wraps exactly one of them.
var (
	// ErrMalformed reports bytes that are not a WebAssembly module: cut short,
	// out of order, with an index that points nowhere.
	ErrMalformed = errors.New("malformed module")
	// ErrUnsupported reports a well-formed module that needs a part of
	// WebAssembly that cannot be metered here.
	ErrUnsupported = errors.New("unsupported module")
	// ErrLimit reports a module that asks for more than its [Limits].
	ErrLimit = errors.New("module over a limit")
	// ErrImport reports imports that the caller does not allow.
	ErrImport = errors.New("import not allowed")
	// ErrReserved reports imports or exports with a name of the rewriter's own.
	ErrReserved = errors.New("reserved name")
)

// Error says why a module was refused and what its author can do.
type Error struct {
	Kind    error    // one of the sentinels of this package
	Detail  string   // what exactly was found
	Offset  int      // byte offset in the module, or -1
	Hint    string   // the remedy, a full sentence
	Imports []Import // the refused imports, in module order; only for ErrImport
}

// Error returns the kind, the detail and the offset on one line. The hint is
// not part of it.
func (e *Error) Error() string {
	s := "meter: " + e.Kind.Error() + ": " + e.Detail
	if e.Offset >= 0 {
		s += fmt.Sprintf(" (at byte %#x)", e.Offset)
	}
	return s
}

// Unwrap returns the kind.
func (e *Error) Unwrap() error { return e.Kind }

const (
	hintRebuild    = "Rebuild the module: the file is damaged or was made by a tool that this WebAssembly version does not match."
	hintComponent  = "This is a component, not a core module. Build a core module: Rust `--target wasm32-unknown-unknown` or `wasm32-wasip1`, Go `GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared`, C `clang --target=wasm32`; or take the core module out with `wasm-tools component unbundle`."
	hintNotWasm    = "Give a binary WebAssembly module (its first four bytes are 00 61 73 6d); text is made binary by `wat2wasm`."
	hintExceptions = "Build without exceptions: C++ `-fno-exceptions`, Rust `-C panic=abort`, Emscripten `-sDISABLE_EXCEPTION_CATCHING=1 -sSUPPORT_LONGJMP=0`."
	hintLegacyEH   = "Legacy exception handling was replaced in WebAssembly 3.0; build without exceptions, or with LLVM 20 or newer and `-mllvm -wasm-use-legacy-eh=false`."
	hintThreads    = "Build without threads: no `-pthread`, no `-matomics`, no `--shared-memory`."
	hintMemory64   = "Build for wasm32; 64-bit memories are not supported."
	hintGC         = "Build for WebAssembly 2.0; garbage-collected and typed references are not supported."
	hintMultiMem   = "A module has one memory of its own; link it into one memory."
	hintRelaxed    = "Build without `-mrelaxed-simd`; its results depend on the machine."
	hintOwnMemory  = "The module must define its own memory, tables and globals; link without `--import-memory` and `--import-table`."
	hintRename     = "Rename it: names that the rewriter adds itself cannot be used by a module."
)

// fault carries an *Error from the depth of the decoder to the exported
// functions, which recover it; every other panic is a bug and goes on.
type fault struct{ err *Error }

func fail(kind error, offset int, hint, format string, args ...any) {
	panic(fault{&Error{Kind: kind, Detail: fmt.Sprintf(format, args...), Offset: offset, Hint: hint}})
}

func catch(err *error) {
	switch f := recover().(type) {
	case nil:
	case fault:
		*err = f.err
	default:
		panic(f)
	}
}

func importError(missing []Import) *Error {
	names := make([]string, 0, len(missing))
	for i, m := range missing {
		if i == 8 {
			names = append(names, fmt.Sprintf("and %d more", len(missing)-i))
			break
		}
		names = append(names, fmt.Sprintf("%.64q.%.64q", m.Module, m.Name))
	}
	return &Error{
		Kind: ErrImport, Offset: -1, Imports: missing,
		Detail: strings.Join(names, ", "),
		Hint:   "The host offers none of these functions: remove them, or build for the imports that its documentation lists.",
	}
}

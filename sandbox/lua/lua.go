// Package lua runs agents that are Lua scripts.
//
// A script defines functions: tool_add(params) performs the action add, and
// execute(action, params) all actions without a function of their own. What a
// function returns is the action's output, an error it raises is the action's
// failure. Scripts find the memory in the table engram, and what they keep
// from call to call in the table globals; DESIGN.md lists all of it.
//
// The interpreter is PUC-Rio Lua 5.4, compiled to WebAssembly and run by
// sandbox/wasm, which bounds it like any other guest. It has no files,
// processes, native modules, bytecode or debug library.
package lua

import (
	"cmp"
	"context"
	_ "embed"
	"path"
	"strings"

	"engram-mcp/sandbox"
	"engram-mcp/sandbox/wasm"
)

// interpreter is lua.wasm, which guest/build.sh makes.
//
//go:embed lua.wasm
var interpreter []byte

// hostMemory is what protected calls in one another take of the host, as deep
// as LUAI_MAXCCALLS lets them nest.
const hostMemory = 18 << 20

// A Runtime is a sandbox.Runtime for Lua. It may be used concurrently.
type Runtime struct {
	engine *wasm.Runtime
}

var _ sandbox.Runtime = (*Runtime)(nil)

// New returns a Runtime whose scripts run on engine and share its bounds with
// everything else that runs there. The engine stays its maker's to close.
func New(engine *wasm.Runtime) *Runtime { return &Runtime{engine} }

// Kind returns lua.
func (r *Runtime) Kind() string { return "lua" }

// Features returns those of the engine: everything is enforced.
func (r *Runtime) Features() sandbox.Features { return r.engine.Features() }

// Close does nothing: what scripts use belongs to the engine.
func (r *Runtime) Close(context.Context) error { return nil }

// Load takes a script as source text. Messages name it by the last part of
// the manifest's entry. Initialize of the agent reports errors in it.
func (r *Runtime) Load(ctx context.Context, m sandbox.Manifest, script []byte) (sandbox.Agent, error) {
	name := strings.ReplaceAll(path.Base(cmp.Or(m.Entry, m.Name+".lua")), "\x00", "")
	program := append([]byte(name+"\x00"), script...)
	return r.engine.LoadProgram(ctx, m, wasm.Interpreter{Wasm: interpreter, Exceptions: true, HostMemory: hostMemory}, program)
}

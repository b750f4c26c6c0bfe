// Package js runs agents that are JavaScript programs, on QuickJS.
//
// QuickJS is compiled to WebAssembly (js.wasm) and run by sandbox/wasm, so
// that fuel, deadline, memory and all other limits are those of any Wasm
// agent, and a fault of the interpreter stays in the linear memory of one
// agent. A program is one ES module: each function it exports is an action.
// engram.d.ts describes what a program finds; DESIGN.md says why things are
// as they are.
package js

import (
	"context"
	_ "embed"
	"path"
	"strings"

	"engram-mcp/sandbox"
	"engram-mcp/sandbox/wasm"
)

// interpreter is js.wasm, which guest/build.sh makes.
//
//go:embed js.wasm
var interpreter []byte

// A Runtime is a sandbox.Runtime for JavaScript. It may be used concurrently.
type Runtime struct {
	engine *wasm.Runtime
}

var _ sandbox.Runtime = (*Runtime)(nil)

// New returns a Runtime whose programs run on engine and share its bounds with
// everything else that runs there. The engine stays its maker's to close.
func New(engine *wasm.Runtime) *Runtime { return &Runtime{engine} }

// Kind returns js.
func (r *Runtime) Kind() string { return "js" }

// Features returns those of the engine: everything is enforced.
func (r *Runtime) Features() sandbox.Features { return r.engine.Features() }

// Close does nothing: what programs use belongs to the engine.
func (r *Runtime) Close(context.Context) error { return nil }

// Load takes a program as source text, an ES module. Messages name it by the
// last part of the manifest's entry. Initialize of the agent reports errors in
// it.
func (r *Runtime) Load(ctx context.Context, m sandbox.Manifest, source []byte) (sandbox.Agent, error) {
	program := append([]byte(fileName(m)+"\x00"), source...)
	return r.engine.LoadProgram(ctx, m, wasm.Interpreter{Wasm: interpreter}, program)
}

// maxFileName bounds the name of a program in messages.
const maxFileName = 60

// fileName returns what a program is called in messages and stack traces.
func fileName(m sandbox.Manifest) string {
	name := path.Base(strings.ReplaceAll(m.Entry, `\`, "/"))
	if m.Entry == "" || len(name) > maxFileName || strings.ContainsAny(name, "\x00\r\n(): ") {
		return m.Name + ".js"
	}
	return name
}

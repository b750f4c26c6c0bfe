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

//go:embed js.wasm
var interpreter []byte

// A Runtime is a sandbox.Runtime for JavaScript. It may be used concurrently.
type Runtime struct{ *wasm.Runtime }

var _ sandbox.Runtime = Runtime{}

// New returns a Runtime of the kind js. It fails only if the cache directory
// cannot be made.
func New(opts wasm.Options) (Runtime, error) {
	opts.Kind = "js"
	rt, err := wasm.New(opts)
	return Runtime{rt}, err
}

// Load reads a program. Its interpreter is compiled with the first program
// and shared by all.
func (r Runtime) Load(ctx context.Context, m sandbox.Manifest, source []byte) (sandbox.Agent, error) {
	program := append([]byte(fileName(m.Entry)+"\n"), source...)
	return r.LoadProgram(ctx, m, wasm.Interpreter{Wasm: interpreter}, program)
}

// maxFileName bounds the name of a program in messages.
const maxFileName = 60

// fileName returns what a program is called in messages and stack traces.
func fileName(entry string) string {
	name := path.Base(strings.ReplaceAll(entry, `\`, "/"))
	if entry == "" || len(name) > maxFileName || strings.ContainsAny(name, "\r\n(): ") {
		return "agent.js"
	}
	return name
}

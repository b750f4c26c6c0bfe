package lua

import (
	"context"
	"os"
	"testing"

	"engram-mcp/sandbox"
	"engram-mcp/sandbox/sandboxtest"
	"engram-mcp/sandbox/wasm"
)

// whole is a Runtime with an engine of its own.
type whole struct {
	*Runtime
	engine *wasm.Runtime
}

func (w whole) Close(ctx context.Context) error { return w.engine.Close(ctx) }

func open(t testing.TB) whole {
	t.Helper()
	engine, err := wasm.New(wasm.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return whole{New(engine), engine}
}

func TestSuite(t *testing.T) {
	script, err := os.ReadFile("testdata/reference.lua")
	if err != nil {
		t.Fatal(err)
	}
	for _, engine := range []string{"compiler", "interpreter"} {
		t.Run(engine, func(t *testing.T) {
			sandboxtest.Run(t, sandboxtest.Subject{
				Open:     func(t testing.TB) sandbox.Runtime { return open(t) },
				Loads:    map[string]int{"compiler": 1000, "interpreter": 50}[engine],
				Code:     script,
				Manifest: func(m *sandbox.Manifest) { m.Engine = engine },
				Lacks: map[string]string{
					"crash":   "a script can end only by returning or with an error",
					"corrupt": "scripts have no pointers",
				},
			})
		})
	}
}

package lua

import (
	"context"
	"os"
	"sync"
	"testing"

	"engram-mcp/sandbox"
	"engram-mcp/sandbox/sandboxtest"
	"engram-mcp/sandbox/wasm"
)

// engine is one for all tests: compiling the interpreter takes longer than
// most of them.
var engine = sync.OnceValues(func() (*wasm.Runtime, error) { return wasm.New(wasm.Options{}) })

func shared(t testing.TB) *Runtime {
	t.Helper()
	e, err := engine()
	if err != nil {
		t.Fatal(err)
	}
	return New(e)
}

func newManager(t testing.TB, o sandbox.Options) *sandbox.Manager {
	t.Helper()
	m := sandbox.NewManager(o, shared(t))
	t.Cleanup(func() {
		if err := m.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return m
}

func TestSuite(t *testing.T) {
	script, err := os.ReadFile("testdata/reference.lua")
	if err != nil {
		t.Fatal(err)
	}
	for _, engine := range []string{"compiler", "interpreter"} {
		t.Run(engine, func(t *testing.T) {
			if engine == "interpreter" && raceEnabled {
				t.Skip("wazero's interpreter is Go code, which the race detector makes twenty times slower; what is ours is the same on the compiler")
			}
			sandboxtest.Run(t, sandboxtest.Subject{
				Open:     func(t testing.TB) sandbox.Runtime { return shared(t) },
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

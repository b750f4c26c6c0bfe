package js

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

// compiled is where the interpreter's compiled code is kept from test to test.
var compiled string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "js")
	if err != nil {
		panic(err)
	}
	compiled = dir
	code := m.Run()
	_ = os.RemoveAll(dir) // the system's to clean otherwise
	os.Exit(code)
}

func open(t testing.TB) whole {
	t.Helper()
	engine, err := wasm.New(wasm.Options{CacheDir: compiled})
	if err != nil {
		t.Fatal(err)
	}
	return whole{New(engine), engine}
}

func file(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestSandbox(t *testing.T) {
	for _, engine := range []string{"compiler", "interpreter"} {
		t.Run(engine, func(t *testing.T) {
			sandboxtest.Run(t, sandboxtest.Subject{
				Open:     func(t testing.TB) sandbox.Runtime { return open(t) },
				Loads:    map[string]int{"compiler": 400, "interpreter": 20}[engine],
				Code:     file(t, "testdata/reference.js"),
				Manifest: func(m *sandbox.Manifest) { m.Engine = engine },
				Lacks: map[string]string{
					"crash":   "a program cannot crash its interpreter",
					"corrupt": "a program reaches the host through the interpreter alone",
				},
			})
		})
	}
}
